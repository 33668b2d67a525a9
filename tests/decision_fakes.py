"""A real issuer of decisions over whatever a test takes for the trust book."""

from realtime_hub.auth.decisions import Decisions, TrustBook
from realtime_hub.clock import Clock
from realtime_hub.keys import Purpose, first_keys


def fake_decisions(book: TrustBook, clock: Clock) -> Decisions:
    """Return an issuer whose keys are all zeros and whose decisions live for seconds."""
    seeds = {purpose: bytes(32) for purpose in Purpose}
    ring = first_keys(seeds, dict.fromkeys(Purpose, 0), now_ms=0)
    return Decisions(book=book, keys=lambda: ring, clock=clock, fresh_ms=1_000, stale_ms=2_000)
