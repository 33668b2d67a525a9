"""Several hubs, one journal: one owns it at a time, and no change of owner loses or doubles.

Hubs, Redis and devnet are processes of their own; what counts is what the devnet executed.
"""

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet import Fleet, HubProcess, fleet, wait_for
from realtime_client import HubError, Intent, RealtimeError, Reconnect, Session, connect
from realtime_protocol.codec import decode_payment_snapshot
from realtime_protocol.codes import ErrorCode
from realtime_protocol.messages import (
    PaymentGetRequest,
    PaymentState,
    PaymentStatus,
    RequestType,
    SubscribeReply,
    SubscribeRequest,
)

pytestmark = pytest.mark.slow

SIGN_WITHIN_MS = 3_500
"""Puts ticks so far ahead that a new owner is there before them."""
# So many tries that a worker on a busy machine is up before the last.
AGAIN = Reconnect(first_s=0.05, longest_s=0.2, tries_max=200)
NEVER = Reconnect(tries_max=0)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path) as started:
        yield started


def fence_of(state: Path) -> int:
    with closing(sqlite3.connect(state / "payments.sqlite3")) as connection:
        [[fence]] = connection.execute("SELECT value FROM meta WHERE key = 'fence'")
    return int.from_bytes(fence, "big")


def two_hubs(running: Fleet) -> tuple[HubProcess, HubProcess]:
    """Start two; return the owner and the other once both serve."""
    one, two = running.start(), running.start()
    wait_for(lambda: one.ready and two.ready)
    owner = running.owner()
    return owner, two if owner is one else one


async def settle(session: Session, payee: str, amount_qu: int, *, idem: bytes) -> bytes:
    """Pay, or follow what was begun under the key before, until it ran; return its id."""
    while True:
        try:
            async with asyncio.timeout(20):
                return await _until_it_ran(session, Intent(payee, amount_qu), idem)
        except HubError as error:
            if error.code != ErrorCode.BACKBONE_UNAVAILABLE:
                raise
            await asyncio.sleep(0.2)


async def _until_it_ran(session: Session, intent: Intent, idem: bytes) -> bytes:
    payment = session.pay(intent, sign_within_ms=SIGN_WITHIN_MS, idem=idem)
    payment_id = (await payment.accepted()).payment_id
    asked = PaymentGetRequest(payment_id)
    while not _ran(await session.request(RequestType.PAYMENT_GET, asked)):  # noqa: ASYNC110 - asks
        await asyncio.sleep(0.1)
    return payment_id


def _ran(status: PaymentStatus) -> bool:
    # Looked at late, nodes can't show any more whether money moved; it did run.
    hidden = status.state is PaymentState.INCLUDED and bool(status.detail)
    return hidden or status.state is PaymentState.SETTLED


def idem_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


async def incoming(session: Session) -> list[PaymentState]:
    """Return the states of what was paid to the session's wallet."""
    reply: SubscribeReply = await session.request(
        RequestType.SUBSCRIBE, SubscribeRequest("pay:in", None)
    )
    return [one.state for one in decode_payment_snapshot(reply.snapshot or [])]


async def test_a_payment_asked_of_any_worker_runs_once_and_shows_on_every_worker(
    running: Fleet,
) -> None:
    owner, other = await asyncio.to_thread(two_hubs, running)
    payer, payee = running.wallets[0], running.wallets[-1]
    async with connect(other.url, payer) as paying, connect(owner.url, payer) as looking:
        payment_id = await settle(paying, payee.identity, 1_000, idem=idem_of(1))
        found = await looking.request(RequestType.PAYMENT_GET, PaymentGetRequest(payment_id))
        assert found.state in (PaymentState.SETTLED, PaymentState.INCLUDED)
    for hub in (owner, other):
        async with connect(hub.url, payee) as paid:
            assert await incoming(paid) == [found.state]
    assert await asyncio.to_thread(running.executed) == (1, 1_000)


async def test_the_owner_is_killed_in_the_middle_and_the_next_one_carries_on(
    running: Fleet,
) -> None:
    owner, other = await asyncio.to_thread(two_hubs, running)
    payee = running.wallets[-1].identity
    async with (
        connect(owner.url, running.wallets[0], reconnect=NEVER) as dying,
        connect(other.url, running.wallets[1], reconnect=AGAIN) as staying,
    ):
        doomed = dying.pay(Intent(payee, 1), sign_within_ms=SIGN_WITHIN_MS, idem=idem_of(1))
        following = [
            asyncio.create_task(settle(staying, payee, n, idem=idem_of(n))) for n in (2, 3, 4)
        ]
        await asyncio.sleep(0.15)
        owner.end(signal.SIGKILL)
        following.append(asyncio.create_task(settle(staying, payee, 5, idem=idem_of(5))))
        with pytest.raises(RealtimeError):
            await doomed
        await asyncio.gather(*following)
    assert other.owns
    async with connect(other.url, running.wallets[0]) as back:
        await settle(back, payee, 1, idem=idem_of(1))
    assert await asyncio.to_thread(running.executed) == (5, 15)


async def test_an_owner_that_stood_still_past_its_lease_neither_writes_nor_broadcasts(
    running: Fleet, tmp_path: Path
) -> None:
    owner, other = await asyncio.to_thread(two_hubs, running)
    fence = fence_of(tmp_path / "hub")
    payee = running.wallets[-1].identity
    async with connect(other.url, running.wallets[1], reconnect=AGAIN) as session:
        before = asyncio.create_task(settle(session, payee, 1, idem=idem_of(1)))
        await asyncio.sleep(0.3)
        owner.send(signal.SIGSTOP)
        await asyncio.to_thread(wait_for, lambda: other.owns)
        owner.send(signal.SIGCONT)
        await settle(session, payee, 2, idem=idem_of(2))
        await before
    assert not owner.owns
    assert other.owns
    assert fence_of(tmp_path / "hub") > fence
    # What stood still serves its sessions through the new owner.
    await asyncio.to_thread(wait_for, lambda: owner.ready)
    async with connect(owner.url, running.wallets[0]) as session:
        await settle(session, payee, 3, idem=idem_of(3))
    assert await asyncio.to_thread(running.executed) == (3, 6)


async def test_an_owner_that_is_told_to_end_hands_over_without_waiting_for_the_lease(
    running: Fleet,
) -> None:
    owner, other = await asyncio.to_thread(two_hubs, running)
    payee = running.wallets[-1].identity
    async with connect(other.url, running.wallets[1], reconnect=AGAIN) as session:
        following = asyncio.create_task(settle(session, payee, 1, idem=idem_of(1)))
        await asyncio.sleep(0.1)
        owner.send(signal.SIGTERM)
        await asyncio.to_thread(wait_for, lambda: other.owns)
        await following
    assert await asyncio.to_thread(owner.process.wait, 5) == 0
    assert await asyncio.to_thread(running.executed) == (1, 1)


async def test_without_redis_nobody_owns_and_payments_are_refused_with_108(
    running: Fleet,
) -> None:
    owner, _other = await asyncio.to_thread(two_hubs, running)
    payer, payee = running.wallets[0], running.wallets[-1].identity
    async with connect(owner.url, payer) as session:
        await settle(session, payee, 1, idem=idem_of(1))
        running.redis.stop()
        await asyncio.to_thread(wait_for, lambda: not owner.owns)
        with pytest.raises(HubError) as refused:
            await session.request(RequestType.PAYMENT_GET, PaymentGetRequest(bytes(16)))
        assert refused.value.code == ErrorCode.BACKBONE_UNAVAILABLE
        await asyncio.to_thread(running.redis.start)
        await asyncio.to_thread(running.owner)
        await settle(session, payee, 2, idem=idem_of(2))
    assert await asyncio.to_thread(running.executed) == (2, 3)


def test_a_hub_with_another_journal_takes_no_payments_of_the_fleet(running: Fleet) -> None:
    one = running.start()
    wait_for(lambda: one.ready)
    stranger = running.start(state="elsewhere")
    wait_for(lambda: "payments" in stranger.readiness()[1])
    one.end()
    status, text = wait_for(
        lambda: found if "another hub's journal" in (found := stranger.readiness())[1] else None
    )
    assert status == 503, text
    assert not stranger.owns
