"""Compile the native module when a wheel is built or the package is installed as editable.

Without a compiler there is a pure wheel; protocol/native/compile.py tells what is done and what
the environment can ask for.
"""

import importlib.util
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILE: Final = Path(__file__).resolve().parent / "protocol" / "native" / "compile.py"


def _load_compile() -> ModuleType:
    """Load the file as a module; builders don't put the source tree on the path."""
    spec = importlib.util.spec_from_file_location("realtime_native_compile", COMPILE)
    if spec is None or spec.loader is None:
        raise ImportError(f"{COMPILE} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class NativeModuleHook(BuildHookInterface[Any]):
    """Adds the module to a wheel; an editable install finds it in the source tree."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tag the wheel for this Python and platform if that worked."""
        if version == "editable":
            refusal = _load_compile().compile_in_tree(self.app.display_info)
        else:
            refusal = self._add_to_wheel(build_data)
        if refusal is not None:
            self.app.display_warning(
                f"Signatures will run in pure Python, about a hundred times slower: {refusal}"
            )
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the wheel has a copy of."""
        folder = getattr(self, "_folder", None)
        if folder is not None:
            folder.cleanup()

    def _add_to_wheel(self, build_data: dict[str, Any]) -> str | None:
        self._folder = tempfile.TemporaryDirectory()
        outcome = _load_compile().compile_apart(Path(self._folder.name), self.app.display_info)
        if isinstance(outcome, str):
            return outcome
        build_data["force_include"][str(outcome)] = f"realtime_protocol/{outcome.name}"
        return None
