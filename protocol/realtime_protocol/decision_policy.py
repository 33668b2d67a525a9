"""What a verified decision is worth on a device, as time goes by and newer ones come.

Pure: the time is an argument. A device keeps, for each wallet, the decision that `supersedes` all
others, and the newest ``issued_ms`` that it has seen at all, across restarts if it can.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from realtime_protocol.decision import Decision
from realtime_protocol.messages import TrustStatus

WALLETS_MAX: Final = 4_096


class Freshness(StrEnum):
    """How old a decision is."""

    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "expired"
    NO_CLOCK = "no_clock"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What counts now. Without a reason to trust it the status is UNKNOWN and the score 0."""

    status: TrustStatus
    score: int
    freshness: Freshness


def device_time_ms(clock_ms: int | None, newest_issued_ms: int) -> int | None:
    """Return the time that a device goes by; None for a device without a clock.

    A clock that was set back, or stands at its factory's date, is never believed behind the newest
    ``issued_ms`` of a verified decision: that much time has passed.
    """
    return None if clock_ms is None else max(clock_ms, newest_issued_ms)


def weigh(decision: Decision, *, now_ms: int | None, stale_allowed: bool) -> Verdict:
    """Return what *decision* says at *now_ms*, for an action that may or may not use a stale one.

    BLOCKED stands at any age and without a clock: only a newer decision ends it.
    """
    freshness = _freshness(decision, now_ms)
    usable = freshness is Freshness.FRESH or (freshness is Freshness.STALE and stale_allowed)
    if decision.status is TrustStatus.BLOCKED or usable:
        return Verdict(decision.status, decision.score, freshness)
    return Verdict(TrustStatus.UNKNOWN, 0, freshness)


def supersedes(offered: Decision, held: Decision) -> bool:
    """Tell whether *offered* takes the place of *held*, a decision on the same wallet.

    Within one epoch of the trust log the higher seq wins; at the same seq BLOCKED wins, else the
    later issue. Epochs have no order of their own: there the later issue wins.
    """
    if offered.epoch == held.epoch:
        if offered.seq != held.seq:
            return offered.seq > held.seq
        blocked = TrustStatus.BLOCKED
        if (offered.status is blocked) != (held.status is blocked):
            return offered.status is blocked
    return offered.issued_ms > held.issued_ms


def _freshness(decision: Decision, now_ms: int | None) -> Freshness:
    if now_ms is None:
        return Freshness.NO_CLOCK
    if now_ms < decision.fresh_until_ms:
        return Freshness.FRESH
    return Freshness.STALE if now_ms < decision.stale_until_ms else Freshness.EXPIRED


class DecisionKeeper:
    """The decisions of a device, the newest of each wallet.

    At *wallets_max* it lets go of the one that runs out first. Whoever is let go may show an older
    decision again, so the bound should hold every wallet that the device may meet.
    """

    def __init__(self, *, newest_issued_ms: int = 0, wallets_max: int = WALLETS_MAX) -> None:
        self.newest_issued_ms = newest_issued_ms
        """Keep it across restarts: the device's clock never counts behind it."""
        self._wallets_max = wallets_max
        self._held: dict[bytes, Decision] = {}

    def take(self, decision: Decision) -> Decision:
        """Take a **verified** decision; return the one that counts for its wallet now."""
        self.newest_issued_ms = max(self.newest_issued_ms, decision.issued_ms)
        held = self._held.get(decision.wallet)
        if held is None or supersedes(decision, held):
            self._held[decision.wallet] = held = decision
            if len(self._held) > self._wallets_max:
                oldest = min(self._held.values(), key=lambda kept: kept.stale_until_ms)
                del self._held[oldest.wallet]
        return held

    def find(self, wallet: bytes) -> Decision | None:
        """Return what is held for a wallet."""
        return self._held.get(wallet)

    def time_ms(self, clock_ms: int | None) -> int | None:
        """Return the time that this device goes by."""
        return device_time_ms(clock_ms, self.newest_issued_ms)
