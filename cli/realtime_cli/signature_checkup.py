"""Which signatures run here, whether they are right, and how quick they are."""

import os
import shlex
import shutil
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from realtime_cli.findings import Finding, fine, wrong
from realtime_protocol.schnorrq import ENGINE, HOW_TO_COMPILE, is_native
from realtime_protocol.signature_timing import (
    SECOND_NS,
    SignatureWorks,
    measure_ns,
    sample_message,
    verify_ed25519,
)

YARDSTICK: Final = "Ed25519 verify (PyNaCl)"
COMPILERS: Final = ("cc", "gcc", "clang")
_EMPTY_DIGEST: Final = "1ac2d450fc3b4205d19da7bfca1b37513c0803577ac7167f06fe2ce1f0ef39e5"


def check_verdicts() -> Finding:
    """Sign, verify, and verify what was changed."""
    name, path = "signatures", ENGINE.IMPLEMENTATION
    key, digest, signature = sample_message(0)
    good, forged = (key, digest, signature), (key, digest[::-1], signature)
    verdicts = [ENGINE.verify(*good), ENGINE.verify(*forged)]
    verdicts += ENGINE.verify_many([good, forged] * 8)
    if verdicts != [True, False] * 9 or ENGINE.k12(b"").hex() != _EMPTY_DIGEST:
        return wrong(
            name,
            f"{path} gives wrong answers",
            "compile anew (make native) or set REALTIME_NATIVE=0 and reinstall; please report it",
            path=path,
        )
    if not is_native():
        return wrong(
            name, "pure Python, about 100 times slower than native", HOW_TO_COMPILE, path=path
        )
    return fine(name, path, path=path)


def check_key_cache() -> Finding:
    """Tell what the memory of decoded keys may take."""
    keys, size = ENGINE.CACHED_KEYS_MAX, ENGINE.KEY_CACHE_BYTES_MAX
    text = f"{keys:,} wallets in {size / 1e6:.1f} MB at most"
    return fine("key cache", text, keys_max=keys, bytes_max=size)


def check_compiler(
    environ: Mapping[str, str] = os.environ, *, headers: Path | None = None
) -> Finding:
    """Tell what an installation would compile with; *headers* is where Python.h lies."""
    given = shlex.split(environ.get("CC", ""))[:1]
    path = next(filter(None, map(shutil.which, given or COMPILERS)), None)
    folder = headers or Path(sysconfig.get_path("include"))
    has_headers = (folder / "Python.h").exists()
    facts = {"path": path, "python_h": has_headers}
    if path is not None and has_headers:
        return fine("compiler", path, **facts)
    text = f"{path}, but no Python.h in {folder}" if path else "none found (cc, gcc, clang, or CC)"
    if is_native():
        return fine("compiler", f"{text}; none is needed now", **facts)
    remedy = "apt-get install python3-dev" if path else "apt-get install gcc python3-dev"
    return wrong("compiler", text, remedy, **facts)


def measure_rates(now_s: Callable[[], float]) -> dict[str, float]:
    """Return operations a second of each kind, PyNaCl's Ed25519 among them; takes half a second."""
    works, native = SignatureWorks(ENGINE), is_native()
    times, often = (32, 1_000) if native else (2, 20)
    measured = measure_ns(
        {
            "verify, 1 of a new key": works.verify_cold(times),
            "verify, 1 of a known key": works.verify_cached(times),
            "verify, 64 of known keys": works.batch_cached(64),
            "sign": works.sign(times),
            "k12 of 64 bytes": works.hash_short(often),
            YARDSTICK: verify_ed25519(32),
        },
        rounds=15 if native else 1,
        now_s=now_s,
    )
    return {name: SECOND_NS / spent_ns for name, spent_ns in measured.items()}
