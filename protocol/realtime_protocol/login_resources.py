"""What a login grants beyond identity: the lines under "Resources:" of the login text.

Each line must match one of three forms in full; there is no line that is merely ignored, since a
person signed it and a hub that skips it would grant something else than what was read.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from realtime_protocol.identity import PublicKey, encode_identity, parse_identity
from realtime_protocol.transaction import MAX_SUPPLY_QU

SCOPES: Final = ("trust", "quote", "pay")
"""What a login may choose from; without a scope line it has them all."""

_PREFIX: Final = "urn:qubic:realtime:"
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
_TIME_FORM: Final = re.compile(_TIME)
_TIME_MS_MAX: Final = 253_402_300_799_000  # The last second of the year 9999.
_SCOPE_FORM: Final = re.compile(rf"{_PREFIX}scope:({'|'.join(SCOPES)})")
_KEY_FORM: Final = re.compile(rf"{_PREFIX}key:ed25519:([0-9A-Za-z_-]{{43}})(?:\?until=({_TIME}))?")
_SPEND_FORM: Final = re.compile(
    rf"{_PREFIX}spend:([A-Z]{{60}})\?max=([1-9][0-9]{{0,14}})&until=({_TIME})"
)


@dataclass(frozen=True, slots=True)
class ScopeGrant:
    """The session may do this kind of thing."""

    scope: str


@dataclass(frozen=True, slots=True)
class KeyGrant:
    """This Ed25519 key stands for the session; until *until_ms* also for later logins."""

    public_key: bytes
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class SpendGrant:
    """This other wallet may spend up to *max_qu* for the one that signs."""

    wallet: PublicKey
    max_qu: int
    until_ms: int


Resource = ScopeGrant | KeyGrant | SpendGrant


@dataclass(frozen=True, slots=True)
class LoginResources:
    """All that a login grants."""

    scopes: tuple[str, ...]
    key: KeyGrant | None
    spends: tuple[SpendGrant, ...]
    names_scopes: bool = True
    """Whether it lists scopes; else it has them all."""


def encode_scope(scope: str) -> str:
    """Return the line that asks for one scope only."""
    if scope not in SCOPES:
        raise ValueError(f"unknown scope {scope!r}; there are {', '.join(SCOPES)}")
    return f"{_PREFIX}scope:{scope}"


def encode_key(public_key: bytes, *, until_ms: int | None = None) -> str:
    """Return the line that makes an Ed25519 key the session's, for longer with *until_ms*."""
    if len(public_key) != 32:
        raise ValueError(f"an Ed25519 key has 32 bytes, not {len(public_key)}")
    line = f"{_PREFIX}key:ed25519:{urlsafe_b64encode(public_key).decode().rstrip('=')}"
    return line if until_ms is None else f"{line}?until={encode_time(until_ms)}"


def encode_spend(wallet: bytes, *, max_qu: int, until_ms: int) -> str:
    """Return the line that names a spending wallet and its bounds."""
    if not 1 <= max_qu <= MAX_SUPPLY_QU:
        raise ValueError(f"max of {max_qu} QU is not in 1..{MAX_SUPPLY_QU}")
    return f"{_PREFIX}spend:{encode_identity(wallet)}?max={max_qu}&until={encode_time(until_ms)}"


def parse_resource(line: str) -> Resource:
    """Return what one line grants; ValueError when it matches no known form in full."""
    if match := _SCOPE_FORM.fullmatch(line):
        return ScopeGrant(match[1])
    if match := _KEY_FORM.fullmatch(line):
        until_ms = parse_time(match[2]) if match[2] else None
        grant = KeyGrant(urlsafe_b64decode(match[1] + "="), until_ms)
        # 43 letters hold 258 bits: the two that are left over must be zero, or two lines say one.
        if encode_key(grant.public_key, until_ms=until_ms) == line:
            return grant
    if match := _SPEND_FORM.fullmatch(line):
        max_qu = int(match[2])
        if max_qu <= MAX_SUPPLY_QU:
            return SpendGrant(parse_identity(match[1]), max_qu, parse_time(match[3]))
    raise ValueError(f"unknown resource {line[:120]!r}; known are scope, key and spend lines")


def parse_resources(lines: Sequence[str], *, now_ms: int) -> LoginResources:
    """Return what the lines grant together at *now_ms*.

    ValueError for an unknown line, one that has run out, a second key, or the same thing twice.
    """
    scopes: list[str] = []
    key: KeyGrant | None = None
    spends: dict[PublicKey, SpendGrant] = {}
    for line in lines:
        match parse_resource(line):
            case ScopeGrant(scope):
                if scope in scopes:
                    raise ValueError(f"scope {scope} is listed twice")
                scopes.append(scope)
            case KeyGrant(_, until_ms) as grant:
                if key is not None:
                    raise ValueError("a login lists at most one key")
                _require_future(until_ms, now_ms, line)
                key = grant
            case SpendGrant(wallet, _, until_ms) as grant:
                if wallet in spends:
                    raise ValueError("a spending wallet is listed twice")
                _require_future(until_ms, now_ms, line)
                spends[wallet] = grant
    return LoginResources(
        tuple(scopes) or SCOPES, key, tuple(spends.values()), names_scopes=bool(scopes)
    )


def encode_time(epoch_ms: int) -> str:
    """Return a time as in ``2026-11-23T22:00:00Z``; ValueError unless it is a whole second."""
    if isinstance(epoch_ms, bool) or not isinstance(epoch_ms, int):
        raise TypeError(f"a time is a whole number of ms, not {type(epoch_ms).__name__}")
    if epoch_ms % 1000 or not 0 <= epoch_ms <= _TIME_MS_MAX:
        raise ValueError(f"time {epoch_ms} ms is not a whole second from 1970 to 9999")
    return _encode_second(epoch_ms // 1000)


@lru_cache(maxsize=64)  # Challenges of one moment have the same times.
def _encode_second(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> int:
    """Return the epoch ms of a time as `encode_time` writes it; ValueError for others."""
    if not _TIME_FORM.fullmatch(text):
        raise ValueError(f"time {text[:40]!r} is not of the form 2026-11-23T22:00:00Z")
    epoch_ms = int(datetime.fromisoformat(text).timestamp()) * 1000
    if encode_time(epoch_ms) != text:  # Python reads 24:00:00 too.
        raise ValueError(f"time {text} has another usual form")
    return epoch_ms


def _require_future(until_ms: int | None, now_ms: int, line: str) -> None:
    if until_ms is not None and until_ms <= now_ms:
        raise ValueError(f"{line[:120]!r} has run out")
