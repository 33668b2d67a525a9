"""subscribe, unsubscribe: a snapshot or a replay, then what is new, without hole or overlap.

The subscription is registered with its changes held before anything is read, so that what happens
meanwhile waits behind the reply.
"""

from collections.abc import Coroutine, Sequence
from typing import Any, Final

from realtime_hub.session.context import HubContext
from realtime_hub.session.outbox import Urgency
from realtime_hub.session.session import LiveSession
from realtime_hub.session.subscriptions import (
    Channel,
    ChannelKind,
    Subscription,
    parse_channel,
)
from realtime_hub.surfaces.answers import Answer
from realtime_hub.surfaces.stream_starts import Replay, State, StreamStarts
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
)

_EMPTY: Final = Empty()


class SubscriptionRequests:
    """Opens and ends subscriptions."""

    def __init__(self, context: HubContext) -> None:
        self._context = context
        self._starts = StreamStarts(context)

    def subscribe(
        self, session: LiveSession, body: SubscribeRequest
    ) -> Answer | Coroutine[Any, Any, Answer]:
        """Open a subscription."""
        channel = parse_channel(body.channel)
        session.machine.require_scope(channel.kind.scope)
        wallet = None if session.seat is not None else session.wallet
        wallets = watched(wallet, channel, body.wallets)
        subscription = Subscription(session, session.next_sub(), channel, wallets)
        subscription.hold()
        return self._open(session, subscription, wallet, body.position)

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

    async def _open(
        self,
        session: LiveSession,
        subscription: Subscription,
        wallet: PublicKey | None,
        since: Position | None,
    ) -> Answer:
        self._add(session, subscription)
        try:
            start = await self._starts.read(subscription, wallet, since)
            await self._starts.tell_app_list(subscription)
        except BaseException:
            session.remove_subscription(subscription.number)
            raise
        return _answer(subscription, start)


def watched(
    wallet: PublicKey | None, channel: Channel, listed: Sequence[bytes] | None
) -> frozenset[PublicKey]:
    """Return whose changes belong to a subscription of *wallet*; RequestError 103.

    A backend has no wallet. Where every wallet belongs to it, none is listed.
    """
    if channel.kind is ChannelKind.TRUST_ALL:
        return frozenset()
    if channel.kind is not ChannelKind.TRUST:
        if wallet is None:
            raise RequestError(
                ErrorCode.UNKNOWN_CHANNEL,
                f"a service session has no wallet for {channel.kind.value}; take trust or trust:*",
            )
        return frozenset({wallet})
    if not listed:
        raise RequestError(ErrorCode.BAD_MESSAGE, "channel trust needs 1 to 256 wallets")
    return frozenset(PublicKey(each) for each in listed)


def _answer(subscription: Subscription, start: Replay | State) -> Answer:
    """Answer with the state, or announce the replay that goes behind the reply."""
    head, recovered, state = start.head, isinstance(start, Replay), None
    # Of every wallet there is no state to send: its reader asks as it needs it.
    if isinstance(start, State) and subscription.channel.kind is not ChannelKind.TRUST_ALL:
        state = [encode_raw(entry) for entry in start.entries]
    reply = SubscribeReply(subscription.number, head.epoch, head.offset, state, recovered)
    since, replay = (start.since, start.changes) if isinstance(start, Replay) else (head.offset, ())
    trust = subscription.channel.kind.is_trust
    return Answer(
        reply,
        Urgency.REVOCATION if trust else Urgency.PAYMENT,
        then=lambda: subscription.release(since, replay),
    )
