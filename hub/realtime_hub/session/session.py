"""One connection's session: the protocol's machine, its queue, its subscriptions, its tasks.

It knows no sockets: messages come in through :meth:`LiveSession.receive` and leave through a
:class:`~realtime_hub.session.ports.Wire`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final

from realtime_hub.apps.model import ApiKey, App
from realtime_hub.auth.grants import Grant
from realtime_hub.session.delivery import Delivery
from realtime_hub.session.outbox import Urgency
from realtime_hub.session.owed import Owed
from realtime_hub.session.ports import QuoteStream, Wire
from realtime_hub.session.ready_trust import answer_together
from realtime_hub.session.reply_first import ReplyFirst
from realtime_hub.session.resumes import Place
from realtime_hub.session.service_seat import ServiceSeat
from realtime_hub.session.shared_rates import SharedRate
from realtime_hub.session.subscriptions import Subscription
from realtime_protocol import codec
from realtime_protocol.codec import Push, decode_answer, encode_push
from realtime_protocol.codes import CloseCode, ErrorCode, close_reason
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.login_text import LoginChallenge
from realtime_protocol.messages import (
    Challenge,
    Checkpoint,
    GapCause,
    Goaway,
    GoawayCause,
    Head,
    PushType,
    RequestType,
)
from realtime_protocol.server import (
    Closing,
    Event,
    Refused,
    RequestReader,
    RequestSent,
    ServerSession,
)

if TYPE_CHECKING:
    from realtime_hub.session.context import HubContext

logger = logging.getLogger(__name__)

CLOSE_WITHIN_S: Final = 2.0
BLOCKED_CLOSE_WITHIN_S: Final = 0.25
DRAIN_CLOSE_WITHIN_S: Final = 0.5
_REVOCATION: Final = Urgency.REVOCATION  # Python 3.11 looks members up in slow code of its own.
_PAYMENT: Final = Urgency.PAYMENT
_CHECKPOINT_KEY: Final = "checkpoint"
_SERVICE: Final = "service"
NORMAL_CLOSURE: Final = 1000
_NO_WAY_BACK: Final = 4_500
_REVOKED: Final = frozenset({CloseCode.SESSION_REVOKED, CloseCode.RESUME_REUSED})

Serve = Callable[["LiveSession", Event], None]
"""Serves what the machine let through: a challenge, a login, a request."""


class LiveSession:
    """Everything that one connection holds in this process.

    After `end` or `lost` it holds nothing any more, and takes and sends nothing.
    """

    __slots__ = (
        "_backbone_ok", "_checkpoint_s", "_context", "_delivery", "_entered", "_long_login",
        "_lost", "_opened_s", "_owed", "_pays", "_place",
        "_serve", "_subs_made", "_tasks", "address", "app", "barred", "by_key", "domain",
        "ended", "from_page", "grant", "machine", "quotes", "rates", "seat", "sid",
        "subscriptions",
    )  # fmt: skip

    def __init__(
        self,
        context: "HubContext",
        wire: Wire,
        serve: Serve,
        *,
        address: str,
        domain: str,
        from_page: bool,
        reader: RequestReader = codec,
    ) -> None:
        now_s = context.clock.monotonic_s()
        self.machine = ServerSession(context.limits, now_s=now_s, reader=reader)
        self.address = address
        self.domain = domain
        self.from_page = from_page
        """Whether a browser opened it, for a page."""
        self.app = context.apps.of_domain(domain)
        self.seat: ServiceSeat | None = None
        """Of a backend."""
        self.sid = ""
        self.subscriptions: dict[int, Subscription] = {}
        self.quotes: dict[int, QuoteStream] = {}
        self.rates: tuple[SharedRate, ...] = ()
        """What it shares with other sessions of its wallet and its address."""
        self.barred = False
        """The wallet was blocked while its login was being checked."""
        self.grant: Grant | None = None
        """On which it stands: it ends with that."""
        self.by_key = False
        """Whether that grant's key logged in, not the wallet."""
        self.ended = False
        self._context = context
        self._serve = serve
        self._delivery = Delivery(wire, context.limits, now_s=now_s)
        # Most sessions never pay, and wait for nothing: what is empty isn't there.
        self._pays: ReplyFirst | None = None
        self._tasks: set[asyncio.Task[None]] | None = None
        self._lost: list[tuple[Subscription, int]] | None = None
        """Streams that fell silent, each with the first position that was lost."""
        self._subs_made = 0
        self._entered: PublicKey | None = None
        self._place: Place | None = None
        self._owed: Owed | None = None
        self._long_login = False
        self._opened_s = now_s
        self._checkpoint_s = now_s
        self._backbone_ok = True
        """What the client was told."""

    @property
    def wallet(self) -> PublicKey:
        """The wallet of a session that is logged in."""
        if self.seat is not None:
            raise RequestError(ErrorCode.FORBIDDEN_SCOPE, "a service session has no wallet")
        if self.machine.wallet is None:
            raise RequestError(ErrorCode.NOT_AUTHENTICATED, "log in first")
        return self.machine.wallet

    @property
    def opened_ms(self) -> int:
        """When a session that can be resumed logged in, by its store's clock; 0 for others."""
        return 0 if self._place is None else self._place.family.opened_ms

    @property
    def queued_bytes(self) -> int:
        """What waits for this client, here and in the connection."""
        return self._delivery.queued_bytes

    # Coming in ------------------------------------------------------------------------------

    def start(self) -> None:
        """Send the first frame, the challenge."""
        context = self._context
        context.registry.connect(self)
        context.counters.connected()
        self._share(context.registry.addresses.shared_rate(self.address, now_s=self._opened_s))
        ttl_ms = context.limits.first_challenge_ttl_ms
        challenge = self.issue_challenge(ttl_ms)
        self._delivery.wire.send([self.machine.open(challenge, now_s=self._opened_s)])

    @property
    def frame_bytes_max(self) -> int:
        """The longest message that is read now."""
        return self._context.limits.frame_bytes_max if self.ended else self.machine.frame_bytes_max

    @property
    def fragments_max(self) -> int:
        """The most frames in which a message may come."""
        return self._context.limits.fragments_max

    def receive(self, messages: Sequence[bytes]) -> None:
        """Take the messages of one read; send what can be answered at once."""
        clock = self._context.clock
        now_s = clock.monotonic_s()
        replies = answer_together(self, self._context, messages, now_s)
        if replies is not None:
            if not self._delivery.reply(replies) or self._lost is not None:
                self.flush()
            return
        now_ms = clock.now_ms()
        machine, serve = self.machine, self._serve
        for message in messages:
            if self.ended:
                return
            event = machine.receive(message, now_s, now_ms)
            if isinstance(event, RequestSent):
                serve(self, event)
            elif isinstance(event, Refused):
                self._context.counters.refused(event.kind, event.code)
                self.send(event.frame)
            elif not isinstance(event, Closing):
                serve(self, event)
            if machine.closing is not None:
                self.follow_machine()
        self.flush()

    def receive_misframed(self) -> None:
        """Take a frame of the kind that the subprotocol doesn't have, which closes."""
        if not self.ended:
            self.machine.receive_misframed()
            self.follow_machine()

    def heard(self) -> None:
        """The client gave a sign of life beside its messages: a pong."""
        if self._place is not None:
            self._context.resumes.alive(self._place)

    def follow_machine(self) -> None:
        """Close when the machine says so; call it after each call of the machine."""
        closing = self.machine.closing
        if closing is not None:
            self.end(closing.code, closing.reason)

    def tick(self, now_s: float) -> None:
        """Look at every deadline of this session."""
        if self.ended:
            return
        self.machine.overdue(now_s=now_s)
        self.follow_machine()
        if not self.ended:
            self._watch_progress(now_s)
        if not self.ended:
            self._delivery.wire.tick(now_s)
        if self._owed is not None:
            self.settle_owed()
        if not self.ended and self.seat is not None and self.seat.is_late(now_s):
            self.fail(CloseCode.SLOW_CONSUMER)
        if not self.ended and self.machine.logged_in:
            self._send_checkpoint(now_s)

    # Going out ------------------------------------------------------------------------------

    def send(self, message: bytes, urgency: Urgency = Urgency.REPLY, key: Hashable = None) -> None:
        """Queue a message; it leaves with the next `flush`."""
        if not self.ended and not self._delivery.put(urgency, message, key):
            self._lose(urgency, key)

    def push(self, urgency: Urgency, message: bytes, key: Hashable) -> None:
        """Send a message that nobody asked for just now."""
        if self.ended:
            return
        pays = self._pays
        if pays is not None and urgency is _PAYMENT and pays.hold(key, message):
            if pays.is_full:
                self.fail(CloseCode.POSITION_LOST)
            return
        if not self._delivery.send_at_once(message):
            self.send(message, urgency, key)
            self.flush()

    def _lose(self, urgency: Urgency, key: Hashable) -> None:
        """A class is full. A stream of trust falls silent until there is room; others can't."""
        number = key[0] if isinstance(key, tuple) else 0
        subscription = self.subscriptions.get(number) if urgency is _REVOCATION else None
        if subscription is None or subscription.held is not None:
            self.fail(CloseCode.POSITION_LOST)
            return
        first = subscription.since
        for message in self._delivery.drop_stream(urgency, subscription.number):
            dropped = decode_answer(message)
            if isinstance(dropped, Push):
                first = min(first, dropped.offset)
        subscription.silence()
        self._lost = [*(self._lost or ()), (subscription, first)]

    def _find_places(self) -> None:
        """All has drained: let streams that fell silent go on, behind a gap and a snapshot."""
        lost, self._lost = self._lost, None
        for subscription, first in lost or ():
            if subscription.number in self.subscriptions:
                self._context.fanout.lose_place(subscription, first, GapCause.QUEUE)

    def drop(self, urgency: Urgency, key: Hashable) -> None:
        """Forget a message that waits under *key*."""
        self._delivery.drop(urgency, key)

    def flush(self) -> None:
        """Hand over what the connection takes, the most urgent first."""
        if self.ended:
            return
        self._delivery.flush()
        if self._lost is not None and not self._delivery.waiting_bytes:
            self._find_places()

    def begin_pay(self) -> int:
        """A payment is being taken: its states wait for the reply."""
        if self._pays is None:
            self._pays = ReplyFirst()
        return self._pays.begin()

    def end_pay(self, number: int) -> None:
        """The reply is queued."""
        if self._pays is None:
            return
        for key, message in self._pays.end(number):
            self.send(message, Urgency.PAYMENT, key)

    def spawn(
        self, work: Coroutine[Any, Any, None], *, awaits: Coroutine[Any, Any, Any] | None = None
    ) -> None:
        """Run *work*, which *awaits* another, until it is done or the session ends."""
        task = self._context.tasks.spawn(work, awaits=awaits)
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._tasks is not None:
            self._tasks.discard(task)
            if not self._tasks:
                self._tasks = None

    def heads(self) -> list[Head]:
        """Return up to where each subscription has been sent everything."""
        position_of = self._context.fanout.position_of
        heads = []
        for subscription in self.subscriptions.values():
            position = position_of(subscription.channel.kind)
            late = (
                not subscription.channel.kind.is_trust
                and self._pays is not None
                and self._pays.holding
            )
            if position is not None and subscription.held is None and not late:
                heads.append(Head(subscription.number, position.epoch, position.offset))
        return heads

    # Logging in -----------------------------------------------------------------------------

    def issue_challenge(self, ttl_ms: int) -> Challenge:
        """Return a fresh challenge as it stands on the wire."""
        context = self._context
        issued: LoginChallenge = context.auth.issue_challenge(
            domain=self.domain, uri=context.settings.uri, ttl_ms=ttl_ms
        )
        return Challenge(
            nonce=issued.nonce,
            issued_ms=issued.issued_ms,
            expires_ms=issued.expires_ms,
            domain=issued.domain,
            uri=issued.uri,
            chain=issued.chain,
            request_id=issued.request_id,
            server_ms=context.clock.now_ms(),
            limits=context.limits.as_detail(),
            hub_epoch=context.auth.position().epoch,
        )

    def require_patience(self, ttl_ms: int) -> None:
        """Take one of the address's places for long logins, or raise RequestError 106."""
        limits = self._context.limits
        now_s = self._context.clock.monotonic_s()
        first_end_s = self._opened_s + limits.first_challenge_ttl_ms / 1_000
        due_s = self.machine.deadline_after(ttl_ms, now_s=now_s)
        if self.machine.logged_in or self._long_login or due_s <= first_end_s:
            return
        if not self._context.registry.addresses.try_long_login(self.address):
            raise RequestError(
                ErrorCode.RATE_LIMITED,
                f"{limits.long_logins_per_ip_max} logins from this address may take so long",
                retry_after_ms=limits.first_challenge_ttl_ms,
            )
        self._long_login = True

    def enter(self, wallet: PublicKey, *, replaces: bool = False) -> None:
        """Be reached by changes of *wallet* from now on; RequestError 106 when it has too many."""
        if self._entered is None:
            self._context.registry.enter(wallet, self, replaces=replaces)
            self._entered = wallet
            self.barred = False
            now_s = self._context.clock.monotonic_s()
            self._share(self._context.registry.shared_rate(wallet, now_s=now_s))

    def _share(self, rate: SharedRate | None) -> None:
        if rate is not None:
            self.rates = (*self.rates, rate)

    def require_rate(self, kind: RequestType) -> None:
        """Use up the rates that this session shares with others; RequestError 106."""
        now_s = self._context.clock.monotonic_s()
        weight = self._context.limits.weight_of(kind)
        for rate in self.rates:
            rate.take(weight, now_s=now_s)

    def require_not_barred(self) -> None:
        """Raise RequestError 206 when the wallet was blocked since `enter`."""
        if self.barred:
            raise RequestError(ErrorCode.WALLET_BLOCKED, "the wallet was blocked just now")

    def require_app_welcome(self, wallet: PublicKey) -> None:
        """Raise RequestError 206 when the app blocks *wallet*, which must be registered by then."""
        if self.app is not None and wallet in self.app.blocked:
            raise RequestError(ErrorCode.WALLET_BLOCKED, f"app {self.app.name} blocks the wallet")

    def take_seat(self, key: ApiKey, app: App) -> None:
        """Be the session of a backend; RequestError 106 when its key has as many as it may."""
        self._context.apps.enter(key)
        self.seat, self.app = ServiceSeat(key), app
        self.rates = ()  # Its key's rate counts, whoever else comes from its address.

    def leave(self) -> None:
        """Be a stranger again: the login failed."""
        place, self._place = self._place, None
        if place is not None:
            self._context.resumes.leave(place, for_good=False)
        if self.grant is not None:
            self._context.delegates.leave(self, self.grant)
            self.grant, self.by_key = None, False
        if self._entered is not None:
            self._context.registry.leave(self._entered, self)
            self._entered = None

    def keep(self, place: Place | None) -> None:
        """Be resumable from *place*; the place before it, of an earlier login, is given up."""
        before, self._place = self._place, None if self.ended else place
        if self.ended and place is not None:
            self._context.resumes.leave(place, for_good=False)
        if before is not None:
            self._context.resumes.leave(before, for_good=True)

    def stand_on(self, grant: Grant | None, *, by_key: bool) -> None:
        """End when *grant* ends; RequestError 204 when it just did."""
        if self.ended or self._entered is None:
            return
        before, delegates = self.grant, self._context.delegates
        if grant is not None:
            delegates.hold(self, self._entered, grant)
        if before is not None and (grant is None or before.grant_id != grant.grant_id):
            delegates.leave(self, before)
        self.grant, self.by_key = grant, by_key

    @property
    def delegate(self) -> tuple[bytes, int] | None:
        """The Ed25519 key that stands for the wallet in this session, and until when, epoch ms."""
        if self._place is None:
            return None
        return self._place.family.session_key, self._place.family.session_exp_ms

    async def give_up_place(self) -> None:
        """Let nobody resume it, on any hub, from now on."""
        place, self._place = self._place, None
        if place is not None:
            await self._context.resumes.end(place)

    def logged_in(self, sid: str) -> None:
        """The first login, or a resume, was proven and admitted."""
        self.sid = sid
        self._end_long_login()
        self._checkpoint_s = self._context.clock.monotonic_s()
        self._context.counters.logged_in()

    # Subscriptions --------------------------------------------------------------------------

    def go_on_from(self, number: int) -> None:
        """Give no further subscription a number up to *number*: a resumed one has it."""
        self._subs_made = max(self._subs_made, number)

    def next_sub(self) -> int:
        """Return the number of a further subscription or quote stream."""
        self._subs_made += 1
        return self._subs_made

    def add_subscription(self, subscription: Subscription) -> None:
        """Let changes reach a subscription."""
        if self.seat is not None:
            subscription.receipts = self.seat.follow(subscription.number)
        self.subscriptions[subscription.number] = subscription
        self._context.registry.watch(subscription)

    def remove_subscription(self, number: int) -> bool:
        """End a subscription; False when there is none with that number."""
        subscription = self.subscriptions.pop(number, None)
        if subscription is None:
            return False
        self._context.registry.unwatch(subscription)
        if self.seat is not None:
            self.seat.forget(number)
        return True

    def drop_beyond_scopes(self) -> None:
        """End what a refresh did not grant again."""
        scopes = self.machine.scopes
        for number, subscription in list(self.subscriptions.items()):
            if subscription.channel.kind.scope not in scopes:
                self.remove_subscription(number)
        if "quote" not in scopes:
            for number in list(self.quotes):
                self.close_quotes(number)

    def close_quotes(self, number: int) -> bool:
        """End a quote stream; False when there is none with that number."""
        stream = self.quotes.pop(number, None)
        if stream is None:
            return False
        stream.close()
        self._delivery.drop(Urgency.QUOTE, number)
        return True

    # Coverage -------------------------------------------------------------------------------

    def owe(self, log_seq: int) -> None:
        """The session was just sent a revocation: note it until the client has it."""
        coverage = self._context.coverage
        coverage.owed(log_seq)
        if self._owed is None:
            if (
                self.seat is None
                and self._is_handed_over()
                and not self._delivery.wire.unsent_bytes
            ):
                coverage.seen(log_seq)  # The system took it at once, as it mostly does.
                return
            self._owed = Owed()
        self._owed.add(log_seq)
        self.settle_owed()

    def owes(self, log_seq: int) -> bool:
        """Whether the client may not have a revocation that it was sent."""
        return self._owed is not None and log_seq in self._owed

    def forget_owed(self) -> None:
        """The log began anew: its places mean something else."""
        self._owed = None

    def settle_owed(self) -> None:
        """Look which revocations the client has by now."""
        owed = self._owed
        if owed is None:
            return
        if self.seat is not None:
            seen = owed.take_acknowledged(self.seat.has_all)
        else:
            wire = self._delivery.wire
            handed_over = None
            if self._is_handed_over():
                handed_over = wire.drained_bytes + wire.unsent_bytes
            seen = owed.take_drained(wire.drained_bytes, handed_over)
        for log_seq in seen:
            self._context.coverage.seen(log_seq)
        if not owed:
            self._owed = None  # Most sessions owe nothing most of the time.

    def _is_handed_over(self) -> bool:
        """Whether no change of trust waits here: all were handed to the connection."""
        if self._lost or self._delivery.holds(Urgency.REVOCATION):
            return False
        for subscription in self.subscriptions.values():  # noqa: SIM110  (all() costs three times as much)
            if subscription.held is not None:
                return False
        return True

    # Ending ---------------------------------------------------------------------------------

    def end(
        self,
        code: int,
        reason: str,
        *,
        least_urgent: Urgency | None = Urgency.REPLY,
        within_s: float = CLOSE_WITHIN_S,
    ) -> None:
        """Send what is at least that urgent, close, and let go of everything."""
        if self.ended:
            return
        if least_urgent is not None:
            self._delivery.send_last(least_urgent)
        self.ended = True
        self._context.counters.closed(code)
        self._tell_revocation(code, reason)
        logger.info("closing %s", code, extra={"reason": reason, "sid": self.sid})
        self._release(for_good=_ends_for_good(code))
        self._delivery.wire.close(code, reason, within_s=within_s)

    def _tell_revocation(self, code: int, reason: str) -> None:
        wallet = self.machine.wallet
        if code in _REVOKED and wallet is not None:
            for listener in self._context.revocation_listeners:
                listener(self.sid, wallet, reason)

    def fail(self, code: CloseCode) -> None:
        """Close with one of the protocol's codes."""
        self.end(int(code), close_reason(code))

    def block(self) -> None:
        """The wallet was blocked: nothing more is served."""
        self.barred = True
        if self.machine.logged_in:
            code = CloseCode.WALLET_BLOCKED
            self.end(
                int(code),
                close_reason(code),
                least_urgent=Urgency.REVOCATION,
                within_s=BLOCKED_CLOSE_WITHIN_S,
            )

    def drain(self) -> None:
        """Ask the client to connect elsewhere, and close."""
        if self.ended:
            return
        settings = self._context.settings
        goaway = Goaway(
            settings.goaway_min_ms,
            settings.goaway_max_ms,
            GoawayCause.DRAINING,
            resume_ok=self._place is not None,
        )
        self.send(encode_push(PushType.GOAWAY, 0, 0, goaway))
        code = CloseCode.DRAINING
        self.end(
            int(code),
            close_reason(code, retry_ms=settings.goaway_max_ms),
            within_s=DRAIN_CLOSE_WITHIN_S,
        )

    def lost(self) -> None:
        """The connection is gone."""
        if not self.ended:
            self.ended = True
            self._release(for_good=False)
        self._context.registry.disconnect(self)
        self._context.counters.disconnected()

    def age_ms(self, now_s: float) -> int:
        """Return how long the connection has been open."""
        return round((now_s - self._opened_s) * 1_000)

    @property
    def waits(self) -> bool:
        """Whether something waits in this session's queue."""
        return self._delivery.waiting_bytes > 0

    def queued_by_class(self) -> dict[Urgency, int]:
        """Return what waits in this session's queue, in bytes."""
        return self._delivery.queued_by_class()

    def _release(self, *, for_good: bool) -> None:
        """Let go of everything but the connection itself; unless *for_good*, it may be resumed."""
        if self.machine.logged_in:
            self._context.counters.logged_out()
        place, self._place = self._place, None
        if place is not None:
            self._context.resumes.leave(place, for_good=for_good)
        self.machine.close()
        self._end_long_login()
        self.leave()
        owed, self._owed = self._owed, None
        if owed is not None:
            self._context.coverage.closed(owed)
        for number in list(self.subscriptions):
            self.remove_subscription(number)
        for number in list(self.quotes):
            self.close_quotes(number)
        seat, self.seat = self.seat, None
        if seat is not None:
            self._context.apps.leave(seat.key)
        self._delivery.clear()
        current = asyncio.current_task() if self._tasks else None
        for task in self._tasks or ():
            if task is not current:
                task.cancel()

    def _end_long_login(self) -> None:
        if self._long_login:
            self._long_login = False
            self._context.registry.addresses.end_long_login(self.address)

    def _watch_progress(self, now_s: float) -> None:
        """Close 4002 when something waits and nothing has drained for too long."""
        delivery = self._delivery
        stalled_ms = delivery.stalled_ms(now_s)
        if stalled_ms and stalled_ms >= self._context.limits.write_stall_ms_max:
            code, facts = CloseCode.SLOW_CONSUMER, delivery.stall_facts(stalled_ms)
            self.end(int(code), close_reason(code, facts=facts), least_urgent=None)

    def _send_checkpoint(self, now_s: float) -> None:
        """Send one when it is time, and at once when the hub can't vouch any more, or can again."""
        context = self._context
        limits, backbone_ok = context.limits, context.auth.backbone_ok
        serves = _SERVICE in self.machine.scopes
        every_ms = limits.service_checkpoint_every_ms if serves else limits.checkpoint_every_ms
        due = (now_s - self._checkpoint_s) * 1_000 >= every_ms
        if not due and backbone_ok == self._backbone_ok:
            return
        self._checkpoint_s, self._backbone_ok = now_s, backbone_ok
        checkpoint = Checkpoint(self.heads(), context.clock.now_ms(), backbone_ok)
        frame = encode_push(PushType.CHECKPOINT, 0, 0, checkpoint)
        context.counters.push(PushType.CHECKPOINT)
        self.push(Urgency.QUOTE, frame, _CHECKPOINT_KEY)


_ENDS_FOR_GOOD: Final = frozenset({NORMAL_CLOSURE, int(CloseCode.SESSION_EXPIRED)})


def _ends_for_good(code: int) -> bool:
    """Whether nobody shall resume a session that was closed with this code."""
    return code >= _NO_WAY_BACK or code in _ENDS_FOR_GOOD
