"""Issuing decisions: what is signed, for how long, and when nothing is."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from fakes import FakeClock
from realtime_hub.auth.decisions import Decisions
from realtime_hub.keys import Purpose, first_keys
from realtime_protocol.decision import verify_decision
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position, Trust, TrustReason, TrustStatus, TrustTier

WALLET = PublicKey(bytes(range(32)))
EPOCH = bytes(range(8))
SESSION_KEY = bytes(range(1, 33))
ACTIVE = Trust(TrustStatus.ACTIVE, 80, 7, 0, TrustTier.L1, 0, 0)
SEEDS = {purpose: bytes([number]) * 32 for number, purpose in enumerate(Purpose, 1)}
RING = first_keys(SEEDS, dict.fromkeys(Purpose, 1_000), now_ms=0)


class FakeBook:
    """Knows one answer; *arriving* is a change that comes in while the answer is read."""

    def __init__(self) -> None:
        self.trust = ACTIVE
        self.offset = 9
        self.arriving = 0

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        answer = [self.trust for _ in wallets]
        await asyncio.sleep(0)
        self.offset += self.arriving
        return answer

    def position(self) -> Position:
        return Position(EPOCH, self.offset)


@pytest.fixture
def book() -> FakeBook:
    return FakeBook()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def decisions(book: FakeBook, clock: FakeClock) -> Decisions:
    return Decisions(book=book, keys=lambda: RING, clock=clock, fresh_ms=300, stale_ms=1_000)


async def test_a_decision_says_what_the_hub_knows_and_verifies(
    decisions: Decisions, clock: FakeClock
) -> None:
    issued = await decisions.issue(WALLET, audience="door", nonce="n1", session_key=SESSION_KEY)
    keys = RING.public_keys(Purpose.DECISION, clock.now_ms())
    assert verify_decision(issued.signed, keys, audience="door", nonce="n1") == issued.decision
    told, now_ms = issued.decision, clock.now_ms()
    assert (told.wallet, told.status, told.score) == (WALLET, TrustStatus.ACTIVE, 80)
    assert (told.epoch, told.seq, told.session_key) == (EPOCH, 9, SESSION_KEY)
    assert (told.issued_ms, told.fresh_until_ms, told.stale_until_ms) == (
        now_ms,
        now_ms + 300,
        now_ms + 1_000,
    )


async def test_a_change_that_comes_during_the_read_is_not_claimed(
    decisions: Decisions, book: FakeBook
) -> None:
    book.arriving = 1
    assert (await decisions.issue(WALLET, audience="door")).decision.seq == 9


async def test_a_change_that_the_answer_has_already_counts(
    decisions: Decisions, book: FakeBook
) -> None:
    book.trust = Trust(TrustStatus.BLOCKED, 0, 12, 3, TrustTier.L1, 0, 0)
    told = (await decisions.issue(WALLET, audience="door")).decision
    assert (told.status, told.seq) == (TrustStatus.BLOCKED, 12)


@pytest.mark.parametrize(
    ("until_ms", "fresh_ms", "stale_ms"), [(2_000, 300, 1_000), (500, 300, 500), (200, 200, 200),
                                           (-1, 0, 0)]
)  # fmt: skip
async def test_a_decision_goes_stale_with_its_session_key(
    decisions: Decisions, clock: FakeClock, until_ms: int, fresh_ms: int, stale_ms: int
) -> None:
    now_ms = clock.now_ms()
    issued = await decisions.issue(
        WALLET, audience="door", session_key=SESSION_KEY, session_key_until_ms=now_ms + until_ms
    )
    told = issued.decision
    assert (told.fresh_until_ms - now_ms, told.stale_until_ms - now_ms) == (fresh_ms, stale_ms)


async def test_not_listed_is_signed_but_unavailable_is_not(
    decisions: Decisions, book: FakeBook
) -> None:
    book.trust = Trust(TrustStatus.UNKNOWN, 0, 0, TrustReason.NOT_LISTED, TrustTier.L3, 0, 0)
    told = (await decisions.issue(WALLET, audience="door")).decision
    assert (told.status, told.score) == (TrustStatus.UNKNOWN, 0)
    book.trust = Trust(TrustStatus.UNKNOWN, 0, 0, TrustReason.UNAVAILABLE, TrustTier.NONE, 0, 0)
    with pytest.raises(RequestError, match="108"):
        await decisions.issue(WALLET, audience="door")


@pytest.mark.parametrize("audience", ["", "a b", "a" * 62, "ä", "door\n"])
async def test_an_audience_that_no_decision_can_carry_is_refused(
    decisions: Decisions, audience: str
) -> None:
    with pytest.raises(RequestError, match="103"):
        await decisions.issue(WALLET, audience=audience)


async def test_the_key_whose_time_has_come_signs(book: FakeBook, clock: FakeClock) -> None:
    now_ms = clock.now_ms()
    ring = RING.rotated(Purpose.DECISION, bytes(32), now_ms=now_ms, lead_ms=100)
    decisions = Decisions(book=book, keys=lambda: ring, clock=clock, fresh_ms=1, stale_ms=1)
    first = (await decisions.issue(WALLET, audience="door")).decision
    clock.advance_ms(100)
    second = (await decisions.issue(WALLET, audience="door")).decision
    assert [first.key_id, second.key_id] == list(ring.public_keys(Purpose.DECISION, clock.now_ms()))
    assert replace(second, key_id=first.key_id) != first
