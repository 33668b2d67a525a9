"""What a session is resumed with, and what the program is told about the way back."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from realtime_protocol.messages import Gap, ResumedSub, ResumeOutcome, ResumeSub

FRAME_BYTES_MAX: Final = 4_096
FRAME_BYTES_LIMIT: Final = "frame_before_login_bytes_max"
SUBS_MAX: Final = 64
_ENVELOPE_BYTES: Final = 256
_ROW_BYTES: Final = 32
_WALLET_BYTES: Final = 34


@dataclass(frozen=True, slots=True)
class Ticket:
    """A session's id, its next token and the seed of its key. In memory only, never printed."""

    sid: str
    token: bytes = field(repr=False)
    key_seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection was lost; another is tried after *pause_s*."""

    why: Exception
    failures: int
    pause_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session goes on where it was; the wallet wasn't asked.

    Streams that are *replaying* hear what they missed; of the *gaps* what they missed is lost, and
    what stands now follows.
    """

    caught_up: int
    replaying: int
    gaps: int


@dataclass(frozen=True, slots=True)
class LoggedInAgain:
    """The session could not be resumed; the wallet has signed another login."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A stream lost changes; what stands now follows on it."""

    gap: Gap


SessionEvent = Reconnecting | Resumed | LoggedInAgain | Lost


def describe(subs: Iterable[ResumedSub]) -> Resumed:
    """Count what became of the subscriptions."""
    outcomes = [sub.outcome for sub in subs]
    return Resumed(
        caught_up=outcomes.count(ResumeOutcome.CAUGHT_UP),
        replaying=outcomes.count(ResumeOutcome.REPLAYING),
        gaps=outcomes.count(ResumeOutcome.GAP),
    )


def fitting(rows: Iterable[ResumeSub], bytes_max: int) -> list[ResumeSub]:
    """Return as many rows as fit a frame before the login; the others are subscribed to again."""
    left = bytes_max - _ENVELOPE_BYTES
    taken: list[ResumeSub] = []
    for row in rows:
        size = _ROW_BYTES + len(row.channel) + _WALLET_BYTES * len(row.wallets or ())
        if size <= left and len(taken) < SUBS_MAX:
            left -= size
            taken.append(row)
    return taken
