"""Changes of trust and payments on their way to who watches them."""

import asyncio

import pytest

from realtime_hub.session import outbox
from realtime_hub.session.fanout import CHUNK, Fanout
from realtime_protocol.codes import CloseCode
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Gap,
    GapCause,
    PaymentState,
    PaymentStatus,
    PayResign,
    PushType,
    RequestType,
    SubscribeRequest,
    Trust,
    TrustChanged,
    TrustStatus,
    TrustTier,
)
from session_fakes import ALICE, BOB, CAROL, EPOCH, Client, FakeHub, settle

PAYMENT = b"\x01" * 16


async def watching(hub: FakeHub, owner: PublicKey, *wallets: PublicKey, address: str) -> Client:
    client = await hub.session(owner, address=address)
    channel = "trust" if wallets else "trust:@me"
    await client.ask(RequestType.SUBSCRIBE, SubscribeRequest(channel, None, list(wallets) or None))
    return client


async def test_a_block_reaches_the_wallets_own_sessions_before_the_listener_returns() -> None:
    async with FakeHub().running() as hub:
        own = await watching(hub, ALICE, address="a")
        other = await watching(hub, BOB, ALICE, address="b")
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        [push] = own.pushes()
        assert isinstance(push.body, TrustChanged)
        assert (push.type, push.offset) == (PushType.TRUST_CHANGED, 1)
        assert push.body.status is TrustStatus.BLOCKED
        assert own.wire.closed == (CloseCode.WALLET_BLOCKED, "wallet_blocked", 0.25)
        assert other.pushes() == []
        await settle()
        [push] = other.pushes()
        assert push.offset == 1
        assert other.wire.closed is None


async def test_a_blocked_wallets_session_without_a_subscription_is_closed_too() -> None:
    async with FakeHub().running() as hub:
        own = await hub.session(ALICE)
        bystander = await hub.session(BOB)
        hub.auth.change(ALICE, TrustStatus.BLOCKED)
        assert own.wire.close_code == CloseCode.WALLET_BLOCKED
        assert own.pushes() == []
        await settle()
        assert bystander.pushes() == []


async def test_a_lower_score_does_not_close() -> None:
    async with FakeHub().running() as hub:
        own = await watching(hub, ALICE, address="a")
        hub.auth.change(ALICE, TrustStatus.ACTIVE)
        assert len(own.pushes()) == 1
        assert own.wire.closed is None


async def test_only_watched_wallets_are_told() -> None:
    async with FakeHub().running() as hub:
        client = await watching(hub, BOB, CAROL, address="b")
        hub.auth.change(ALICE)
        hub.auth.change(CAROL)
        await settle()
        assert [push.offset for push in client.pushes()] == [2]


async def test_nobody_skips_a_position_when_own_changes_overtake_others() -> None:
    async with FakeHub().running() as hub:
        client = await watching(hub, ALICE, ALICE, BOB, address="a")
        hub.auth.change(BOB)
        hub.auth.change(ALICE)  # Delivered at once; Bob's change must not be lost for it.
        await settle()
        assert [push.offset for push in client.pushes()] == [1, 2]


async def test_others_get_their_turn_within_a_fan_out() -> None:
    async with FakeHub().running() as hub:
        clients = [
            await watching(hub, PublicKey(bytes([number]) * 32), ALICE, address=str(number))
            for number in range(1, CHUNK + 10)
        ]
        hub.auth.change(ALICE)
        served = []
        for _ in range(4):
            await asyncio.sleep(0)
            served.append(sum(bool(client.wire.sent) for client in clients))
        assert CHUNK in served
        assert served[-1] == len(clients)
        frames = {client.wire.sent[0] for client in clients}
        assert len(frames) == 1


async def test_heads_tell_only_what_every_watcher_has_been_sent() -> None:
    async with FakeHub().running() as hub:
        client = await watching(hub, BOB, ALICE, address="b")
        hub.auth.change(ALICE)
        assert [head.head for head in client.live.heads()] == [0]
        await settle()
        assert [(head.epoch, head.head) for head in client.live.heads()] == [(EPOCH, 1)]


async def test_a_log_that_began_anew_gives_a_gap_and_then_what_is_known() -> None:
    async with FakeHub().running() as hub:
        client = await watching(hub, BOB, ALICE, CAROL, address="b")
        for _ in range(3):
            hub.auth.change(ALICE)
        await settle()
        client.pushes()
        hub.auth.begin_anew(b"epoch--2")
        hub.context.fanout.check_epoch()
        assert client.live.heads() == []
        await settle()
        gap, first, second = client.pushes()
        assert gap.body == Gap(1, 4, 0, GapCause.EPOCH)
        for push in (first, second):
            assert push.type is PushType.TRUST_CHANGED
        assert [head.epoch for head in client.live.heads()] == [b"epoch--2"]
        hub.auth.change(ALICE)
        await settle()
        assert [push.offset for push in client.pushes()] == [1]


async def test_changes_that_may_be_missing_give_a_gap_in_the_same_log_too() -> None:
    async with FakeHub().running() as hub:
        client = await watching(hub, BOB, ALICE, address="b")
        hub.auth.change(ALICE)
        await settle()
        client.pushes()
        hub.context.fanout.begin_anew()
        await settle()
        gap, state = client.pushes()
        assert gap.body == Gap(1, 2, 1, GapCause.EPOCH)
        assert (state.type, state.offset) == (PushType.TRUST_CHANGED, 1)


async def test_a_wallet_whose_block_was_missed_is_closed_when_the_log_begins_anew() -> None:
    async with FakeHub().running() as hub:
        blocked, kept = (
            await watching(hub, ALICE, address="a"),
            await watching(hub, BOB, address="b"),
        )
        hub.auth.trusts[ALICE] = Trust(TrustStatus.BLOCKED, 0, 0, 0, TrustTier.L3, 0, 0)
        hub.context.fanout.begin_anew()
        await settle()
        assert blocked.wire.close_code == CloseCode.WALLET_BLOCKED
        assert kept.wire.closed is None


async def test_a_change_of_a_new_log_is_not_taken_for_an_old_one() -> None:
    async with FakeHub().running() as hub:
        client = await watching(hub, BOB, ALICE, address="b")
        for _ in range(3):
            hub.auth.change(ALICE)
        await settle()
        client.pushes()
        hub.auth.begin_anew(b"epoch--2")
        hub.auth.change(ALICE)
        await settle()
        kinds = [push.type for push in client.pushes()]
        assert kinds[0] is PushType.GAP
        assert PushType.TRUST_CHANGED in kinds


async def test_watchers_of_a_change_that_found_no_room_are_closed_4003() -> None:
    hub = FakeHub()
    context = hub.context
    small = Fanout(
        context.registry,
        hub.auth,
        hub.payments,
        hub.clock,
        context.counters,
        context.coverage,
        pending_max=2,
    )
    async with hub.running():
        client = await watching(hub, BOB, ALICE, address="b")
        bystander = await watching(hub, BOB, CAROL, address="b")
        hub.auth.listeners[:] = [small.on_trust_change]
        for _ in range(3):
            hub.auth.change(ALICE)
        assert client.wire.close_code == CloseCode.POSITION_LOST
        assert bystander.wire.closed is None


# Payments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "channel", "told"),
    [
        (ALICE, "pay:@me", True),
        (ALICE, "pay:in", False),
        (BOB, "pay:in", True),
        (BOB, "pay:@me", False),
        (CAROL, "pay:in", False),
    ],
)
async def test_payer_and_payee_are_told_on_their_own_channels(
    owner: PublicKey, channel: str, told: bool
) -> None:
    async with FakeHub().running() as hub:
        client = await hub.session(owner)
        await client.ask(RequestType.SUBSCRIBE, SubscribeRequest(channel))
        hub.payments.change(ALICE, BOB, PAYMENT)
        assert [push.offset for push in client.pushes()] == ([1] if told else [])


async def test_a_single_payment_is_followed_by_payer_and_payee() -> None:
    async with FakeHub().running() as hub:
        hub.payments.change(ALICE, BOB, PAYMENT)
        clients = [await hub.session(wallet) for wallet in (ALICE, BOB)]
        for client in clients:
            await client.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:" + PAYMENT.hex()))
        hub.payments.change(ALICE, BOB, PAYMENT, PaymentState.BROADCAST)
        hub.payments.change(ALICE, BOB, bytes(16))
        for client in clients:
            [push] = client.pushes()
            assert isinstance(push.body, PaymentStatus)
            assert push.body.state is PaymentState.BROADCAST


async def test_only_the_payer_is_asked_to_sign_again() -> None:
    async with FakeHub().running() as hub:
        payer, payee = await hub.session(ALICE), await hub.session(BOB)
        await payer.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        await payee.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:in"))
        hub.payments.change(ALICE, BOB, PAYMENT, PaymentState.MISSED, resign=True)
        status, duty = payer.pushes()
        assert isinstance(status.body, PaymentStatus)
        assert isinstance(duty.body, PayResign)
        assert status.offset == duty.offset == 1
        assert [push.type for push in payee.pushes()] == [PushType.PAYMENT_STATUS]


async def test_a_full_queue_costs_a_stream_of_trust_its_place_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "KEYS_MAX", 4)
    wallets = [PublicKey(bytes([number]) * 32) for number in range(1, 4)]
    async with FakeHub().running() as hub:
        slow = await watching(hub, ALICE, BOB, CAROL, address="a")
        await slow.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust", None, list(wallets)))
        slow.wire.writable = False
        for wallet in (BOB, CAROL, *wallets, BOB):
            hub.auth.change(wallet, TrustStatus.ACTIVE)
            await settle()
        assert all(head.sub != 2 for head in slow.live.heads())
        slow.wire.writable = True
        slow.live.flush()
        await settle()
        pushes = slow.pushes()
        by_stream = {number: [p for p in pushes if p.sub == number] for number in (1, 2)}
        # The stream that still had room tells the newest of each wallet, in order.
        assert [(p.type, p.offset) for p in by_stream[1]] == [
            (PushType.TRUST_CHANGED, 2),
            (PushType.TRUST_CHANGED, 6),
        ]
        gap, *snapshot = by_stream[2]
        assert isinstance(gap.body, Gap)
        assert (gap.body.first, gap.body.cause) == (3, GapCause.QUEUE)
        told = [p.body.wallet for p in snapshot if isinstance(p.body, TrustChanged)]
        assert sorted(told) == wallets
        assert slow.wire.closed is None


async def test_other_messages_than_trust_have_no_snapshot_to_go_on_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "KEYS_MAX", 2)
    async with FakeHub().running() as hub:
        slow = await hub.session(ALICE)
        await slow.ask(RequestType.SUBSCRIBE, SubscribeRequest("pay:@me"))
        slow.wire.writable = False
        for number in range(3):
            hub.payments.change(ALICE, BOB, bytes([number]) * 16)
        assert slow.wire.close_code == CloseCode.POSITION_LOST
