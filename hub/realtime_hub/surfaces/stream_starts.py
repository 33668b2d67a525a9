"""With what a subscription begins: the changes after a position, or where they can't be had, state.

The subscription must be registered, with its changes held, before anything is read here; then what
happens meanwhile waits behind what is read.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from realtime_hub.session.context import HubContext
from realtime_hub.session.fanout import (
    offer_unpositioned,
    payment_messages,
    read_at_head,
    trust_change_messages,
    trust_state,
)
from realtime_hub.session.outbox import Urgency
from realtime_hub.session.subscriptions import Change, ChannelKind, Message, Subscription
from realtime_protocol.codec import encode_push
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Gap,
    GapCause,
    PaymentStatus,
    Position,
    PushType,
    WalletTrust,
)

REPLAY_ENTRIES_MAX: Final = 4_096
"""Entries of the trust log that are read for one subscription; beyond, it begins with the state."""
REPLAY_WITHIN_S: Final = 1.0
"""How long they may take to be read."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The changes after *since*, up to *head*."""

    head: Position
    since: int
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class State:
    """What stands at *head*; *lost* says why a position could not be continued."""

    head: Position
    entries: Sequence[WalletTrust] | Sequence[PaymentStatus]
    lost: GapCause | None = None


class StreamStarts:
    """Reads beginnings. Stateless."""

    def __init__(self, context: HubContext) -> None:
        self._context = context

    async def read(
        self, subscription: Subscription, wallet: PublicKey | None, since: Position | None
    ) -> Replay | State:
        """Return what a subscription of *wallet* begins with; RequestError when it can't be had.

        Only a backend, which has no wallet, follows no payments.
        """
        channel = subscription.channel
        if channel.kind.is_trust or wallet is None:
            return await self._trust(subscription, since)
        if channel.kind is ChannelKind.PAY_ONE:
            return await self._payment(subscription, wallet, since)
        return await self._payments(subscription, wallet, since)

    def send_state(self, subscription: Subscription, state: State, since: Position) -> None:
        """Send a gap from *since* on, the state behind it, and then what was held."""
        session, number, head = subscription.session, subscription.number, state.head.offset
        cause = GapCause.EPOCH if state.lost is None else state.lost
        gap = Gap(number, since.offset + 1, head, cause)
        trust = subscription.channel.kind.is_trust
        urgency = Urgency.REVOCATION if trust else Urgency.PAYMENT
        messages: list[Message] = [("gap", encode_push(PushType.GAP, number, head, gap))]
        for entry in state.entries:
            if isinstance(entry, WalletTrust):
                body = trust_state(entry, now_ms=self._context.clock.now_ms())
                frame = encode_push(PushType.TRUST_CHANGED, number, head, body)
                messages.append((PublicKey(entry.wallet), frame))
            else:
                frame = encode_push(PushType.PAYMENT_STATUS, number, head, entry)
                messages.append((entry.payment_id, frame))
        for key, message in messages:
            session.push(urgency, message, (number, key))
        subscription.release(head)

    async def _trust(self, subscription: Subscription, since: Position | None) -> Replay | State:
        auth = self._context.auth
        if since is not None:
            replay = await self._missed_trust(subscription, since)
            if replay is not None:
                return replay
        wallets = sorted(subscription.wallets)
        head, trusts = await read_at_head(auth, wallets)
        entries = [
            WalletTrust(wallet, subscription.see(wallet, trust))
            for wallet, trust in zip(wallets, trusts, strict=True)
        ]
        return State(head, entries, _lost(since, head))

    async def _missed_trust(self, subscription: Subscription, since: Position) -> Replay | None:
        auth = self._context.auth
        app = subscription.session.app
        if app is not None and any(map(app.touched, subscription.wallets)):
            return None  # The log doesn't hold what the app's own list did meanwhile.
        head = auth.position()
        if head.offset - since.offset > REPLAY_ENTRIES_MAX:
            return None
        try:
            async with asyncio.timeout(REPLAY_WITHIN_S):
                changes = await auth.changes_since(since)
        except TimeoutError:
            return None
        if changes is None or auth.position().epoch != since.epoch:
            return None
        missed = [
            trust_change_messages(change, subscription)
            for change in changes
            if subscription.covers(PublicKey(change.body.wallet))
        ]
        return Replay(head, since.offset, missed)

    async def tell_app_list(self, subscription: Subscription) -> None:
        """Tell a backend that follows every wallet what its app's own list makes of some."""
        app = subscription.session.app
        if app is None or subscription.channel.kind is not ChannelKind.TRUST_ALL:
            return
        wallets = sorted({*app.blocked, *app.ended})
        _, trusts = await read_at_head(self._context.auth, wallets)
        for wallet, trust in zip(wallets, trusts, strict=True):
            entry = WalletTrust(wallet, subscription.see(wallet, trust))
            offer_unpositioned(subscription, entry, now_ms=self._context.clock.now_ms())

    async def _payment(
        self, subscription: Subscription, wallet: PublicKey, since: Position | None
    ) -> Replay | State:
        payments = self._context.payments
        head = payments.position()
        status = await payments.get(wallet, subscription.channel.payment_id)
        if since is None or since.epoch != head.epoch:
            return State(head, [status], _lost(since, head))
        # Of one payment the newest state says all.
        frame = encode_push(PushType.PAYMENT_STATUS, subscription.number, head.offset, status)
        newest: Change = (head.offset, Urgency.PAYMENT, ((status.payment_id, frame),))
        return Replay(head, since.offset, [newest] if head.offset > since.offset else [])

    async def _payments(
        self, subscription: Subscription, wallet: PublicKey, since: Position | None
    ) -> Replay | State:
        as_payer = subscription.channel.kind is ChannelKind.PAY_OUT
        read = await self._context.payments.read_stream(wallet, as_payer=as_payer, since=since)
        if since is None or read.changes is None:
            return State(read.head, read.snapshot, _lost(since, read.head))
        changes = [payment_messages(change, subscription) for change in read.changes]
        return Replay(read.head, since.offset, changes)


def _lost(since: Position | None, head: Position) -> GapCause | None:
    if since is None:
        return None
    return GapCause.TRIMMED if since.epoch == head.epoch else GapCause.EPOCH
