"""subscribe, unsubscribe: a snapshot or a replay, then what is new, without hole or overlap.

The subscription is registered with its changes held before anything is read, so that what happens
meanwhile waits behind the reply.
"""

from collections.abc import Coroutine, Iterable
from typing import Any, Final

from msgspec import Raw

from realtime_hub.session.context import HubContext
from realtime_hub.session.fanout import payment_messages, read_at_head, trust_change_messages
from realtime_hub.session.outbox import Urgency
from realtime_hub.session.session import LiveSession
from realtime_hub.session.subscriptions import (
    Change,
    Channel,
    ChannelKind,
    Subscription,
    parse_channel,
)
from realtime_hub.surfaces.answers import Answer
from realtime_protocol.codec import encode_raw
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Empty,
    Position,
    SubscribeReply,
    SubscribeRequest,
    UnsubscribeRequest,
    WalletTrust,
)

_EMPTY: Final = Empty()


class SubscriptionRequests:
    """Opens and ends subscriptions."""

    def __init__(self, context: HubContext) -> None:
        self._context = context

    def subscribe(
        self, session: LiveSession, body: SubscribeRequest
    ) -> Answer | Coroutine[Any, Any, Answer]:
        """Open a subscription."""
        channel = parse_channel(body.channel)
        session.machine.require_scope(channel.kind.scope)
        wallets = _watched(session, channel, body)
        subscription = Subscription(session, session.next_sub(), channel, wallets)
        subscription.hold()
        if channel.kind.scope == "trust":
            return self._with_trust(session, subscription, body.position)
        if channel.kind is ChannelKind.PAY_ONE:
            return self._with_payment(session, subscription)
        return self._with_payments(session, subscription, body.position)

    def unsubscribe(self, session: LiveSession, body: UnsubscribeRequest) -> Answer:
        """End a subscription."""
        if not session.remove_subscription(body.sub):
            raise RequestError(ErrorCode.BAD_MESSAGE, f"there is no subscription {body.sub}")
        return Answer(_EMPTY)

    def _add(self, session: LiveSession, subscription: Subscription) -> None:
        """Let changes reach the subscription; RequestError 220 when there are too many."""
        limit = self._context.limits.subscriptions_max
        if len(session.subscriptions) >= limit:
            raise RequestError(ErrorCode.SUB_LIMIT, f"{limit} subscriptions are open")
        session.add_subscription(subscription)

    async def _with_trust(
        self, session: LiveSession, subscription: Subscription, position: Position | None
    ) -> Answer:
        auth = self._context.auth
        self._add(session, subscription)
        try:
            if position is not None:
                head = auth.position()
                changes = await auth.changes_since(position)
                if changes is not None and auth.position().epoch == position.epoch:
                    replay = [
                        trust_change_messages(change, subscription)
                        for change in changes
                        if change.body.wallet in subscription.wallets
                    ]
                    return _answer(subscription, head, position.offset, None, replay)
            wallets = sorted(subscription.wallets)
            head, trusts = await read_at_head(auth, wallets)
        except BaseException:
            session.remove_subscription(subscription.number)
            raise
        pairs = zip(wallets, trusts, strict=True)
        snapshot = [encode_raw(WalletTrust(wallet, trust)) for wallet, trust in pairs]
        return _answer(subscription, head, head.offset, snapshot)

    async def _with_payment(self, session: LiveSession, subscription: Subscription) -> Answer:
        payments = self._context.payments
        head = payments.position()
        self._add(session, subscription)
        try:
            status = await payments.get(session.wallet, subscription.channel.payment_id)
        except BaseException:
            session.remove_subscription(subscription.number)
            raise
        return _answer(subscription, head, head.offset, [encode_raw(status)])

    async def _with_payments(
        self, session: LiveSession, subscription: Subscription, position: Position | None
    ) -> Answer:
        self._add(session, subscription)
        try:
            read = await self._context.payments.read_stream(
                session.wallet,
                as_payer=subscription.channel.kind is ChannelKind.PAY_OUT,
                since=position,
            )
        except BaseException:
            session.remove_subscription(subscription.number)
            raise
        if position is not None and read.changes is not None:
            replay = [payment_messages(change, subscription) for change in read.changes]
            return _answer(subscription, read.head, position.offset, None, replay)
        snapshot = [encode_raw(status) for status in read.snapshot]
        return _answer(subscription, read.head, read.head.offset, snapshot)


def _watched(
    session: LiveSession, channel: Channel, body: SubscribeRequest
) -> frozenset[PublicKey]:
    """Return whose changes belong to the subscription."""
    if channel.kind is not ChannelKind.TRUST:
        return frozenset({session.wallet})
    if not body.wallets:
        raise RequestError(ErrorCode.BAD_MESSAGE, "channel trust needs 1 to 256 wallets")
    return frozenset(PublicKey(wallet) for wallet in body.wallets)


def _answer(
    subscription: Subscription,
    head: Position,
    since: int,
    snapshot: list[Raw] | None,
    replay: Iterable[Change] = (),
) -> Answer:
    """Answer with the snapshot, or, where it is None, with the replay behind the reply."""
    reply = SubscribeReply(
        subscription.number, head.epoch, head.offset, snapshot, recovered=snapshot is None
    )
    trust = subscription.channel.kind.scope == "trust"
    return Answer(
        reply,
        Urgency.REVOCATION if trust else Urgency.PAYMENT,
        then=lambda: subscription.release(since, replay),
    )
