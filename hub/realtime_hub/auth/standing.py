"""One wallet's standing: the chain's record, at most one pending change over it, and how old."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

from realtime_hub.auth.model import Overlay, TrustRecord
from realtime_protocol.messages import Trust, TrustReason, TrustStatus, TrustTier

_RANK = {TrustStatus.BLOCKED: 0, TrustStatus.UNKNOWN: 1, TrustStatus.ACTIVE: 2}


@dataclass(frozen=True, slots=True)
class Effective:
    """What counts for a wallet now."""

    status: TrustStatus
    score: int
    reason: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What this hub knows of one wallet. *record* None: a source answered that it isn't listed."""

    record: TrustRecord | None
    overlay: Overlay | None = None
    log_seq: int = 0
    """Place of this wallet's newest change in the trust log; 0 when there is none known."""
    verified_ms: int = 0
    """When the chain's word was last read, epoch ms; 0: never."""
    _effective: Effective = field(init=False, repr=False, compare=False)
    """Reckoned once: it is read far more often than it changes."""

    def __post_init__(self) -> None:
        """Reckon what counts."""
        object.__setattr__(self, "_effective", _lowered(self.record, self.overlay))

    @property
    def chain_sequence(self) -> int:
        """Of the record; 0 for a wallet that isn't listed."""
        return 0 if self.record is None else self.record.chain_sequence

    @property
    def known(self) -> bool:
        """Whether the chain's word was ever heard; if not, "not listed" is no answer."""
        return self.record is not None or self.verified_ms > 0

    def absorb(self, record: TrustRecord | None, *, verified_ms: int) -> "Standing":
        """Take a chain record unless the one here is newer. Not listed is older than any record."""
        found = 0 if record is None else record.chain_sequence
        if found < self.chain_sequence:
            return self
        overlay = self.overlay
        if (
            overlay is not None
            and record is not None
            and record.updated_tick >= overlay.target_tick
        ):
            overlay = None  # The change is on chain, or something after it is.
        return replace(self, record=record, overlay=overlay, verified_ms=verified_ms)

    def effective(self) -> Effective:
        """Return the chain's word, lowered by a pending change."""
        return self._effective

    def answer(self, tier: TrustTier, now_ms: int, use_until_ms: int) -> Trust:
        """Return the answer to somebody who asks now."""
        effective = self._effective
        age_ms = now_ms - self.verified_ms if self.verified_ms else 0
        return Trust(
            effective.status,
            effective.score,
            self.log_seq,
            effective.reason,
            tier,
            max(0, age_ms),
            use_until_ms,
        )


def unavailable(now_ms: int) -> Trust:
    """Return the answer when no source gave one."""
    return Trust(TrustStatus.UNKNOWN, 0, 0, int(TrustReason.UNAVAILABLE), TrustTier.NONE, 0, now_ms)


_NOT_LISTED = Effective(TrustStatus.UNKNOWN, 0, int(TrustReason.NOT_LISTED))
# Most wallets share a few values.
_effective = lru_cache(maxsize=4_096)(Effective)


def _of_record(record: TrustRecord | None) -> Effective:
    if record is None:
        return _NOT_LISTED
    score = record.score if record.status is TrustStatus.ACTIVE else 0
    return _effective(record.status, score, record.reason)


def _lowered(record: TrustRecord | None, overlay: Overlay | None) -> Effective:
    base = _of_record(record)
    if overlay is None or _RANK[overlay.status] > _RANK[base.status]:
        return base
    if overlay.status is base.status:
        return min(base, Effective(base.status, overlay.score, overlay.reason), key=_score)
    score = min(base.score, overlay.score) if overlay.status is TrustStatus.ACTIVE else 0
    return Effective(overlay.status, score, overlay.reason)


def _score(effective: Effective) -> int:
    return effective.score
