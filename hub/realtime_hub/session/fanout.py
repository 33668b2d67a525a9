"""Carries changes of trust and payments to whoever watches them."""

import asyncio
from collections import deque
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from msgspec.structs import replace

from realtime_hub.apps.model import App
from realtime_hub.clock import Clock
from realtime_hub.pay.model import PaymentChange
from realtime_hub.session.counters import SessionCounters
from realtime_hub.session.coverage import Coverage
from realtime_hub.session.outbox import Urgency
from realtime_hub.session.ports import SessionAuth, SessionPayments, TrustChange
from realtime_hub.session.recheck import Recheck
from realtime_hub.session.registry import SessionRegistry
from realtime_hub.session.subscriptions import (
    UNPOSITIONED,
    Change,
    ChannelKind,
    Message,
    Subscription,
)
from realtime_protocol.codec import encode_push
from realtime_protocol.codes import CloseCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Gap,
    GapCause,
    Initiator,
    Position,
    PushType,
    Trust,
    TrustChanged,
    TrustStatus,
    WalletTrust,
)

if TYPE_CHECKING:
    from realtime_hub.session.session import LiveSession

_REVOCATION: Final = Urgency.REVOCATION  # Python 3.11 looks members up in slow code of its own.
CHUNK: Final = 64
"""Sessions that are written to before others get their turn on the loop."""
PENDING_MAX: Final = 65_536
"""Trust changes that wait for their fan-out; beyond, watchers of the oldest are closed 4003."""
WALLETS_PER_READ: Final = 64


class _Pending:
    """A trust change on its way, encoded once for all subscriptions with the same number."""

    __slots__ = ("_change", "_frames", "_told", "offset", "revokes", "wallet")

    def __init__(self, change: TrustChange) -> None:
        self.offset = change.log_seq
        self.wallet = PublicKey(change.body.wallet)
        self._change = change
        self._frames: dict[int, bytes] = {}
        self.revokes = change.body.status is TrustStatus.BLOCKED
        self._told: set[LiveSession] = set()

    def owe_to(self, session: "LiveSession") -> None:
        """Count the session among those that must hear of this revocation, once."""
        if session not in self._told and not session.ended:
            self._told.add(session)
            session.owe(self.offset)

    def end(self, session: "LiveSession", coverage: Coverage) -> None:
        """The blocked wallet's own session: nobody acts on it any more."""
        self._told.add(session)
        coverage.owed(self.offset)
        coverage.closed([self.offset])
        session.block()

    def offer_to(self, subscription: Subscription) -> None:
        app = subscription.session.app
        if app is not None and self.wallet in app.blocked:
            offset, urgency, messages = trust_change_messages(self._change, subscription)
            subscription.offer(offset, urgency, *messages)
            return
        number = subscription.number
        frame = self._frames.get(number)
        if frame is None:
            change = self._change
            frame = encode_push(PushType.TRUST_CHANGED, number, change.log_seq, change.body)
            self._frames[number] = frame
        subscription.offer(self.offset, _REVOCATION, (self.wallet, frame))


class _LostPlace(NamedTuple):
    subscription: Subscription
    first: int
    """The first position that was lost."""
    cause: GapCause


class Fanout:
    """The way from the services' listeners to the sessions.

    :meth:`on_trust_change` and :meth:`on_payment_change` are listeners; one owner runs
    :meth:`run`, which serves the watchers of other wallets.
    """

    def __init__(
        self,
        registry: "SessionRegistry[LiveSession]",
        auth: SessionAuth,
        payments: SessionPayments,
        clock: Clock,
        counters: SessionCounters,
        coverage: Coverage,
        *,
        pending_max: int = PENDING_MAX,
    ) -> None:
        self._registry = registry
        self._auth = auth
        self._payments = payments
        self._clock = clock
        self._counters = counters
        self._coverage = coverage
        self._pending_max = pending_max
        self._pending: deque[_Pending] = deque()
        self._wake = asyncio.Event()
        self._trust: Position | None = None
        self._lost_place: deque[_LostPlace] = deque()
        self._app_blocks: deque[tuple[App, PublicKey]] = deque()
        self._recheck = Recheck(registry, auth)

    def position_of(self, kind: ChannelKind) -> Position | None:
        """Return up to where every watcher of such a channel has been served."""
        if not kind.is_trust:
            try:
                return self._payments.position()
            except RequestError:
                return None
        if self._pending or self._lost_place:
            return self._trust
        return self._auth.position()

    # Trust ----------------------------------------------------------------------------------

    def on_trust_change(self, change: TrustChange) -> None:
        """Tell and close the wallet's own sessions at once; note the change for all others."""
        self.check_epoch()
        pending = _Pending(change)
        if not self._pending:
            self._trust = Position(self._auth.position().epoch, change.log_seq - 1)
        self._pending.append(pending)
        if pending.revokes:
            self._coverage.begin(change)
        own = self._registry.sessions_of(pending.wallet)
        for session in own:
            for subscription in list(session.subscriptions.values()):
                self._catch_up(subscription)
        if pending.revokes:
            for session in own:
                pending.end(session, self._coverage)
        if len(self._pending) > self._pending_max:
            self._give_up_oldest()
        self._wake.set()

    def on_app_block(self, app: App, wallet: PublicKey, blocked: bool) -> None:
        """Close the wallet's sessions of that app at once; note the change for its watchers."""
        self._app_blocks.append((app, wallet))
        if blocked:
            for session in self._registry.sessions_of(wallet):
                if session.app is app:
                    session.block()
        self._wake.set()

    def check_epoch(self) -> None:
        """Begin anew when the log did: whoever watches trust gets a gap and a snapshot."""
        position = self._auth.position()
        before, self._trust = self._trust, self._trust or position
        if before is not None and before.epoch != position.epoch:
            self.begin_anew()

    def begin_anew(self) -> None:
        """Changes may have been missed: tell watchers so, and look at every session again."""
        self._recheck.all_sessions()
        self._trust = self._auth.position()
        self._pending.clear()
        self._coverage.begin_anew()
        for session in self._registry.connections:
            session.forget_owed()
            for subscription in session.subscriptions.values():
                # One that is held is just being made, and looks at the epoch itself.
                if subscription.channel.kind.is_trust and subscription.held is None:
                    self.lose_place(subscription, subscription.since + 1, GapCause.EPOCH)
        self._wake.set()

    def lose_place(self, subscription: Subscription, first: int, cause: GapCause) -> None:
        """Hold a subscription that has lost what came from *first* on, until it has a snapshot."""
        subscription.hold()
        subscription.since = first - 1
        self._lost_place.append(_LostPlace(subscription, first, cause))
        self._wake.set()

    async def run(self) -> None:
        """Serve watchers, in the order of the log, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve(), name="fan-out")
            group.create_task(self._recheck.run(), name="recheck of sessions")

    async def _serve(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending or self._lost_place or self._app_blocks:
                if self._lost_place:
                    await self._send_snapshot(self._lost_place.popleft())
                elif self._app_blocks:
                    await self._tell_app(*self._app_blocks.popleft())
                else:
                    await self._fan_out(self._pending[0])

    async def _fan_out(self, pending: _Pending) -> None:
        watchers = self._registry.trust_watchers(pending.wallet)
        for begin in range(0, len(watchers), CHUNK):
            for subscription in watchers[begin : begin + CHUNK]:
                pending.offer_to(subscription)
                if pending.revokes:
                    pending.owe_to(cast("LiveSession", subscription.session))
            await asyncio.sleep(0)
        self._counters.push(PushType.TRUST_CHANGED, len(watchers))
        # The log may have begun anew meanwhile.
        if self._pending and self._pending[0] is pending:
            self._pending.popleft()
            self._trust = Position(self._auth.position().epoch, pending.offset)

    def _catch_up(self, subscription: Subscription) -> None:
        """Serve one subscription everything that is on its way, so that no position is skipped."""
        if not subscription.channel.kind.is_trust:
            return
        for pending in self._pending:
            if subscription.covers(pending.wallet):
                pending.offer_to(subscription)

    def _give_up_oldest(self) -> None:
        oldest = self._pending.popleft()
        for subscription in self._registry.trust_watchers(oldest.wallet):
            if subscription.since < oldest.offset:
                subscription.session.fail(CloseCode.POSITION_LOST)

    async def _tell_app(self, app: App, wallet: PublicKey) -> None:
        """Tell an app's watchers what counts for a wallet, now that its own list changed."""
        [trust] = await self._auth.get([wallet])
        watchers = [one for one in self._registry.trust_watchers(wallet) if one.session.app is app]
        for begin in range(0, len(watchers), CHUNK):
            for subscription in watchers[begin : begin + CHUNK]:
                entry = WalletTrust(wallet, subscription.see(wallet, trust))
                offer_unpositioned(subscription, entry, now_ms=self._clock.now_ms())
            await asyncio.sleep(0)
        self._counters.push(PushType.TRUST_CHANGED, len(watchers))

    async def _send_snapshot(self, lost: "_LostPlace") -> None:
        """Send a gap, then what is known of each watched wallet, all at the log's head."""
        subscription = lost.subscription
        wallets = sorted(subscription.wallets)
        try:
            position, trusts = await read_at_head(self._auth, wallets)
        except RequestError:
            subscription.session.fail(CloseCode.POSITION_LOST)
            return
        number, head = subscription.number, position.offset
        gap = Gap(number, lost.first, head, lost.cause)
        messages: list[Message] = [("gap", encode_push(PushType.GAP, number, head, gap))]
        for wallet, trust in zip(wallets, trusts, strict=True):
            entry = WalletTrust(wallet, subscription.see(wallet, trust))
            body = trust_state(entry, now_ms=self._clock.now_ms())
            messages.append((wallet, encode_push(PushType.TRUST_CHANGED, number, head, body)))
        for key, message in messages:
            subscription.session.push(Urgency.REVOCATION, message, (number, key))
        subscription.release(head)

    # Payments -------------------------------------------------------------------------------

    def on_payment_change(self, change: PaymentChange) -> None:
        """Tell payer and payee; they are few, so this is done at once."""
        watchers = self._registry.payment_watchers(
            change.pays, change.payee, change.status.payment_id
        )
        for subscription in watchers:
            offset, urgency, messages = payment_messages(change, subscription)
            subscription.offer(offset, urgency, *messages)
            self._counters.push(PushType.PAYMENT_STATUS)

    def on_payment_gap(self) -> None:
        """Changes of payments were missed: whoever follows some reads the state again."""
        for session in list(self._registry.connections):
            if any(not one.channel.kind.is_trust for one in session.subscriptions.values()):
                session.fail(CloseCode.POSITION_LOST)


def trust_state(entry: WalletTrust, *, now_ms: int) -> TrustChanged:
    """Return what stands of a wallet, as one who missed changes is told."""
    trust = entry.trust
    return TrustChanged(
        wallet=entry.wallet,
        status=trust.status,
        score=trust.score,
        reason=trust.reason,
        initiator=Initiator.SYSTEM,
        event_ms=now_ms,
        use_until_ms=trust.use_until_ms,
        pending=False,
    )


def offer_unpositioned(subscription: Subscription, entry: WalletTrust, *, now_ms: int) -> None:
    """Send what stands of a wallet for an app; the shared log has no place for that."""
    body = replace(trust_state(entry, now_ms=now_ms), initiator=Initiator.ADMIN)
    frame = encode_push(PushType.TRUST_CHANGED, subscription.number, UNPOSITIONED, body)
    message = (PublicKey(entry.wallet), frame)
    subscription.offer(UNPOSITIONED, Urgency.REVOCATION, message)


async def read_at_head(
    auth: SessionAuth, wallets: Sequence[PublicKey]
) -> tuple[Position, list[Trust]]:
    """Return a position of the trust log, and trust that is at least as new as it."""
    while True:
        position = auth.position()
        trusts: list[Trust] = []
        for begin in range(0, len(wallets), WALLETS_PER_READ):
            trusts += await auth.get(wallets[begin : begin + WALLETS_PER_READ])
        if auth.position().epoch == position.epoch:
            return position, trusts


def payment_messages(change: PaymentChange, subscription: Subscription) -> Change:
    """Return what a subscription is sent for a change: the state, and the payer's next duty."""
    number = subscription.number
    status = change.status
    messages: list[tuple[Hashable, bytes]] = [
        (
            status.payment_id,
            encode_push(PushType.PAYMENT_STATUS, number, change.offset, status),
        )
    ]
    if change.resign is not None and _is_payers(subscription, change):
        frame = encode_push(PushType.PAY_RESIGN, number, change.offset, change.resign)
        messages.append((("resign", status.payment_id), frame))
    return change.offset, Urgency.PAYMENT, tuple(messages)


def _is_payers(subscription: Subscription, change: PaymentChange) -> bool:
    return (
        subscription.channel.kind is not ChannelKind.PAY_IN
        and not subscription.wallets.isdisjoint(change.pays)
    )


def trust_change_messages(change: TrustChange, subscription: Subscription) -> Change:
    """Return what a subscription is sent for a change of the trust log."""
    app = subscription.session.app
    body = change.body if app is None else app.see_change(change.body)
    frame = encode_push(PushType.TRUST_CHANGED, subscription.number, change.log_seq, body)
    return change.log_seq, Urgency.REVOCATION, ((PublicKey(change.body.wallet), frame),)
