"""The ways in which signatures can run on this machine, to be measured side by side."""

import importlib.util
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final, cast

from realtime_protocol import _pure_schnorrq
from realtime_protocol.schnorrq import ENGINE, Engine, is_native

ROOT: Final = Path(__file__).resolve().parents[3]
PURE: Final = "pure Python"
PORTABLE: Final = "portable C"
LANES: Final = "AVX-512 IFMA"


def find_engines(tell: Callable[[str], object]) -> dict[str, Engine]:
    """Return what can run here, by name; *tell* hears why one can't.

    The installed module takes the lanes where the processor has them; what other processors run is
    compiled beside it then.
    """
    pure = {PURE: cast(Engine, _pure_schnorrq)}
    if not is_native():
        tell("Only pure Python runs here: make native")
        return pure
    if "IFMA" not in ENGINE.IMPLEMENTATION:
        tell("This processor has no AVX-512 IFMA: the lanes can't be measured.")
        return {PORTABLE: ENGINE, **pure}
    portable = _compile_portable(tell)
    return {LANES: ENGINE, **({} if portable is None else {PORTABLE: portable}), **pure}


def _compile_portable(tell: Callable[[str], object]) -> Engine | None:
    build = _load(ROOT / "protocol" / "native" / "compile.py", "bench_native_compile")
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / build.MODULE
    try:
        build.compile_module(target, tell, with_ifma=False)
    except build.CannotCompileError as error:
        tell(f"Portable C can't be measured: {error}")
        return None
    loader = ExtensionFileLoader("_native", str(target))
    return cast(Engine, _execute(importlib.util.spec_from_loader("_native", loader)))


def _load(path: Path, name: str) -> ModuleType:
    return _execute(importlib.util.spec_from_file_location(name, path))


def _execute(spec: importlib.machinery.ModuleSpec | None) -> ModuleType:
    if spec is None or spec.loader is None:
        raise ImportError("a module can't be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
