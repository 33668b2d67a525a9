"""Secrets in files that nobody else may read, written whole or not at all."""

import os
import secrets
from pathlib import Path

_OTHERS = 0o077


def read_secret(path: Path) -> str | None:
    """Return a file's text; None when there is none. PermissionError when others may read it."""
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OTHERS:
                raise PermissionError(
                    f"{path} may be read by others; make it yours alone: chmod 600 {path}"
                )
            return file.read()
    except FileNotFoundError:
        return None


def write_secret(path: Path, text: str) -> None:
    """Put *text* in the place of what is there; it is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
