"""What one client may ask for, and how fast. All of it stands in the challenge."""

from math import ceil
from typing import Final

from msgspec import Struct, structs

from realtime_protocol.messages import RequestType


class Limits(Struct, frozen=True, kw_only=True):
    """The bounds of a session. A unit ends each name; the defaults are the protocol's."""

    frame_before_login_bytes_max: int = 4_096
    frame_bytes_max: int = 16_384
    fragments_max: int = 64
    """Frames of one fragmented message."""
    message_within_ms: int = 10_000
    """From the first byte of a message to its last."""
    logins_failed_max: int = 3
    challenges_before_login_max: int = 5
    """Requests for a challenge; the one that comes by itself is not counted."""
    first_challenge_ttl_ms: int = 10_000
    challenge_ttl_ms_max: int = 300_000
    long_logins_per_ip_max: int = 16
    """Sockets of one address that wait for a login longer than the first challenge's ttl."""
    requests_per_s: int = 20
    requests_burst: int = 40
    login_weight: int = 5
    quote_weight: int = 2
    pay_weight: int = 2
    control_frames_per_s: int = 10
    control_frames_burst: int = 20
    subscriptions_max: int = 64
    quotes_max: int = 16
    in_flight_max: int = 32
    requests_per_wallet_per_s: int = 60
    """Together, of a wallet's sessions at one process; the burst is twice that."""
    requests_per_ip_per_s: int = 200
    """Together, of an address's connections to one process; the burst is twice that."""
    upgrades_per_ip_per_s: int = 10
    sessions_per_ip_max: int = 64
    sessions_per_wallet_max: int = 16
    queue_bytes_max: int = 65_536
    """Queued for a client: from here on its requests wait and quotes are left out."""
    write_stall_ms_max: int = 5_000
    ping_every_ms: int = 15_000
    pings_missed_max: int = 2
    checkpoint_every_ms: int = 15_000
    service_checkpoint_every_ms: int = 1_000
    resume_within_ms: int = 120_000
    """After the connection was lost."""

    def as_detail(self) -> dict[str, int | str]:
        """Return the limits as they stand in the challenge."""
        return structs.asdict(self)

    def weight_of(self, kind: RequestType) -> int:
        """Return how much of the request rate one request of this type uses up."""
        name = _WEIGHTS.get(kind)
        return 1 if name is None else int(getattr(self, name))


_WEIGHTS: Final = {
    RequestType.LOGIN: "login_weight",
    RequestType.RESUME: "login_weight",
    RequestType.REFRESH: "login_weight",
    RequestType.QUOTE_OPEN: "quote_weight",
    RequestType.PAY: "pay_weight",
    RequestType.PAY_PREPARE: "pay_weight",
}


_ROUNDING: Final = 1e-6
"""Tokens that floating point may have lost: whoever waits as told must be let in."""


class TokenBucket:
    """A rate with a burst: *per_s* tokens come back each second, up to *burst*."""

    __slots__ = ("_at_s", "_burst", "_level", "_per_s")

    def __init__(self, per_s: float, burst: float, *, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._level = burst
        self._at_s = now_s

    def take(self, weight: float, now_s: float) -> int:
        """Take *weight* tokens and return 0, or take none and return the wait for them in ms."""
        if now_s != self._at_s:
            self._refill(now_s)
        left = self._level - weight
        if left + _ROUNDING >= 0:
            self._level = left if left > 0 else 0.0
            return 0
        return max(1, ceil((weight - self._level) / self._per_s * 1_000 - _ROUNDING))

    def give_back(self, weight: float) -> None:
        """Undo what `take` just took."""
        self._level = min(self._burst, self._level + weight)

    def is_full(self, *, now_s: float) -> bool:
        """Whether nothing was taken for so long that forgetting the bucket changes nothing."""
        self._refill(now_s)
        return self._level + _ROUNDING >= self._burst

    def _refill(self, now_s: float) -> None:
        elapsed_s = now_s - self._at_s
        self._at_s = now_s
        if elapsed_s > 0:
            self._level = min(self._burst, self._level + elapsed_s * self._per_s)
