"""The audit log in a file of JSON lines, with its end in a second file and its key in a third."""

import asyncio
import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

from realtime_hub.adapters.key_files import create_private, read_private, replace_private
from realtime_hub.auth.audit import (
    LINE_BYTES_MAX,
    MAC_BYTES,
    AuditError,
    AuditHead,
    AuditRecord,
    Place,
    head_at,
    next_record,
    place_of,
    verify_log,
)
from realtime_hub.clock import Clock, Entropy
from realtime_protocol.identity import PublicKey

logger = logging.getLogger(__name__)

LOG_FILE: Final = "audit.jsonl"
HEAD_FILE: Final = "audit.head"
KEY_FILE: Final = "audit.key"
HEAD_BYTES_MAX: Final = 512


class FileAudit:
    """An AuditLog in a hub's state folder; worker processes of one hub share it."""

    def __init__(self, folder: Path, clock: Clock, entropy: Entropy) -> None:
        self._folder = folder
        self._clock = clock
        if not (folder / KEY_FILE).exists():
            create_private(folder / KEY_FILE, entropy.token(MAC_BYTES))
        self._key = read_private(folder / KEY_FILE, bytes_max=MAC_BYTES)

    async def append(self, action: str, actor: PublicKey, details: Mapping[str, str | int]) -> None:
        """Write down what was done; on return it is on disk. OSError, AuditError."""
        await asyncio.to_thread(self._append, action, actor, dict(details))

    def _append(self, action: str, actor: PublicKey, details: dict[str, str | int]) -> None:
        path = self._folder / LOG_FILE
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            record = next_record(
                self._key,
                _end_of(file),
                at_ms=self._clock.now_ms(),
                action=action,
                actor=actor,
                details=details,
            )
            file.write(msgspec.json.encode(record) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            head = head_at(self._key, place_of(record))
            replace_private(self._folder / HEAD_FILE, msgspec.json.encode(head))
        # Whoever collects the logs holds a copy of the end that nobody here can change.
        logger.info("audit: %s end %d:%s", action, record.number, record.mac)


def verify_folder(folder: Path, *, through: str | None = None) -> Place:
    """Return where the log in a state folder ends; AuditError, OSError or KeyFileError.

    *through*, ``N:MAC``, is a place that somebody noted elsewhere and that must be in the log.
    """
    key = read_private(folder / KEY_FILE, bytes_max=MAC_BYTES)
    head_path = folder / HEAD_FILE
    head = None
    if head_path.exists():
        try:
            content = read_private(head_path, bytes_max=HEAD_BYTES_MAX)
            head = msgspec.json.decode(content, type=AuditHead)
        except msgspec.MsgspecError as error:
            raise AuditError(f"{head_path} can't be read: {error}") from error
    place = verify_log(key, _lines(folder / LOG_FILE), head)
    if through is not None and not any(
        f"{record.number}:{record.mac}" == through for record in read_records(folder)
    ):
        raise AuditError(f"{through[:80]} is not in the log: it was rolled back, or is another's")
    return place


def read_records(folder: Path) -> Iterator[AuditRecord]:
    """Yield the records as they stand in the file, unchecked."""
    for line in _lines(folder / LOG_FILE):
        yield msgspec.json.decode(line, type=AuditRecord)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES_MAX + 1):
            yield line


def _end_of(file: IO[bytes]) -> Place:
    """Return the place after the last record; a line that was cut off by a crash is removed."""
    size = file.seek(0, os.SEEK_END)
    begin = max(0, size - 2 * LINE_BYTES_MAX)
    file.seek(begin)
    content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) != len(content):
        file.truncate(begin + len(whole))
        file.seek(0, os.SEEK_END)
    lines = whole.splitlines()
    if not lines:
        return Place()
    try:
        return place_of(msgspec.json.decode(lines[-1], type=AuditRecord))
    except msgspec.MsgspecError as error:
        raise AuditError(f"the audit log's last line is no record: {error}") from error
