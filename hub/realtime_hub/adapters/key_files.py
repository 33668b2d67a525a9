"""Secrets in files: made once, readable by their owner only, refused when others may read them."""

import logging
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from realtime_hub.clock import Clock, Entropy
from realtime_hub.keys import SEED_BYTES, KeyRing, Purpose, SigningKey, first_keys

FLEET_KEY_BYTES: Final = 32
KEY_FILE_BYTES_MAX: Final = 65_536
KEYS_MAX: Final = 64

logger = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class KeyFileError(OSError):
    """A file of secrets can't be used; the message names it and says what to do."""


class _StoredKey(Struct, frozen=True, forbid_unknown_fields=True):
    purpose: Purpose
    seed: Annotated[str, Meta(pattern=rf"^[0-9a-f]{{{2 * SEED_BYTES}}}$")]
    signs_from_ms: Annotated[int, Meta(ge=0)]


class _StoredKeys(Struct, frozen=True, forbid_unknown_fields=True):
    version: Annotated[int, Meta(ge=1, le=1)]
    keys: Annotated[list[_StoredKey], Meta(min_length=1, max_length=KEYS_MAX)]


def read_private(path: Path, *, bytes_max: int) -> bytes:
    """Return what is in a file of secrets; KeyFileError unless it is ours alone."""
    try:
        with path.open("rb") as file:
            _require_ours(path, os.fstat(file.fileno()))
            data = file.read(bytes_max + 1)
    except OSError as error:
        if isinstance(error, KeyFileError):
            raise
        raise KeyFileError(f"can't read {path}: {error.strerror}") from error
    if len(data) > bytes_max:
        raise KeyFileError(f"{path} has over {bytes_max} bytes; it is no file of keys")
    return data


def create_private(path: Path, data: bytes) -> bool:
    """Make a new file of secrets, whole or not at all; False when one is there already."""
    temporary = _write_beside(path, data)
    try:
        # A link, unlike a rename, never replaces what another process made meanwhile.
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise KeyFileError(f"can't make {path}: {error.strerror}") from error
    finally:
        temporary.unlink()
    return True


def replace_private(path: Path, data: bytes) -> None:
    """Put *data* in the place of a file of secrets, whole or not at all."""
    temporary = _write_beside(path, data)
    try:
        temporary.replace(path)
    except OSError as error:
        temporary.unlink()
        raise KeyFileError(f"can't replace {path}: {error.strerror}") from error


def read_fleet_key(path: Path, entropy: Entropy) -> bytes:
    """Return the key that hubs authenticate to each other with; make it at the first start."""
    if not path.exists():
        create_private(path, entropy.token(FLEET_KEY_BYTES))
    key = read_private(path, bytes_max=FLEET_KEY_BYTES)
    if len(key) != FLEET_KEY_BYTES:
        raise KeyFileError(
            f"{path} has {len(key)} bytes, not {FLEET_KEY_BYTES}; copy the fleet's key"
        )
    return key


class SigningKeyFile:
    """The hub's signing keys in one JSON file, made at the first start."""

    def __init__(self, path: Path, overlap_ms: Mapping[Purpose, int]) -> None:
        self.path = path
        self._overlap_ms = overlap_ms

    def open(self, clock: Clock, entropy: Entropy) -> KeyRing:
        """Return the keys; make them when there is no file yet. KeyFileError."""
        if not self.path.exists():
            seeds = {purpose: entropy.token(SEED_BYTES) for purpose in Purpose}
            ring = first_keys(seeds, self._overlap_ms, now_ms=clock.now_ms())
            if create_private(self.path, _encode(ring, clock.now_ms())):
                logger.info("made the hub's signing keys in %s", self.path)
        return self.read()

    def read(self) -> KeyRing:
        """Return the keys that are there; KeyFileError."""
        data = read_private(self.path, bytes_max=KEY_FILE_BYTES_MAX)
        try:
            stored = msgspec.json.decode(data, type=_StoredKeys)
            keys = [
                SigningKey(key.purpose, bytes.fromhex(key.seed), key.signs_from_ms)
                for key in stored.keys
            ]
            return KeyRing(keys, self._overlap_ms)
        except (msgspec.MsgspecError, ValueError) as error:
            # The error names a field, never a value.
            raise KeyFileError(f"{self.path} is no file of signing keys: {error}") from None

    def write(self, ring: KeyRing, *, now_ms: int) -> None:
        """Replace the file; KeyFileError."""
        replace_private(self.path, _encode(ring, now_ms))

    def stamp(self) -> Stamp | None:
        """Return what tells one content of the file from another; None when it is gone."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


class WatchedKeys:
    """The keys of a running hub; :meth:`refresh` takes up what `realtime keys rotate` wrote."""

    def __init__(self, file: SigningKeyFile, clock: Clock, entropy: Entropy) -> None:
        self._file = file
        self.ring = file.open(clock, entropy)
        self._stamp = file.stamp()

    def refresh(self) -> None:
        """Read the file again if it changed; keep what was there if it can't be used."""
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.ring = self._file.read()
        except KeyFileError as error:
            logger.error("the signing keys stay as they were: %s", error)
        else:
            logger.info("took up the signing keys in %s", self._file.path)


def _encode(ring: KeyRing, now_ms: int) -> bytes:
    keys = [
        _StoredKey(told.key.purpose, told.key.seed.hex(), told.key.signs_from_ms)
        for told in ring.describe(now_ms)
    ]
    return msgspec.json.format(msgspec.json.encode(_StoredKeys(1, keys)), indent=1) + b"\n"


def _require_ours(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError(f"{path} is not a file")
    mode = stat.S_IMODE(found.st_mode)
    # A secret that Kubernetes mounts is root's, and our own group may read it.
    mounted = found.st_uid == 0 and found.st_gid in (os.getegid(), *os.getgroups())
    if mode & (0o037 if mounted and os.geteuid() != 0 else 0o077):
        raise KeyFileError(
            f"{path} holds secrets and can be used by others (mode {mode:04o}); "
            f"run: chmod 600 {path}"
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(
            f"{path} holds secrets and belongs to user {found.st_uid}, not to user "
            f"{os.geteuid()}, who runs the hub; run: chown {os.geteuid()} {path}"
        )


def _write_beside(path: Path, data: bytes) -> Path:
    """Write a file of mode 0600 in the same folder and have it on the disk."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise KeyFileError(f"can't write in {path.parent}: {error.strerror}") from error
    return Path(name)
