"""A session: logged in once, and taken up again after the connection was lost."""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from realtime_client.delegate import Delegate
from realtime_client.errors import (
    ConnectionClosedError,
    ConnectionLostError,
    ConnectionRefusedByHubError,
    HubError,
    RealtimeError,
)
from realtime_client.intent import Intent
from realtime_client.keys import KeysApi
from realtime_client.link import Link, LinkOptions, LoginTiming, OnReply
from realtime_client.payments import IDEM_BYTES, Payment, PaymentBook, PaymentRun
from realtime_client.quotes import QuoteStream
from realtime_client.reconnecting import Reconnect
from realtime_client.resuming import (
    LoggedInAgain,
    Lost,
    Reconnecting,
    SessionEvent,
    Ticket,
    describe,
)
from realtime_client.spending import SpendingWallet
from realtime_client.streams import Opened, Stream
from realtime_client.trust import TrustApi
from realtime_client.wallet import ToSign, Wallet
from realtime_protocol import messages
from realtime_protocol.codec import Push
from realtime_protocol.login_resources import encode_key, encode_scope
from realtime_protocol.messages import (
    Checkpoint,
    DecisionReply,
    DecisionRequest,
    Gap,
    Goaway,
    Head,
    LoginReply,
    LogoutRequest,
    PaymentStatus,
    PingReply,
    PingRequest,
    Quote,
    QuoteCloseRequest,
    RequestType,
    ResumeReply,
    ResumeSub,
    SpendGetReply,
    SpendGetRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)

STEADY_S: Final = 5.0
"""A connection that lived so long doesn't count as one more failure in a row."""
EVENTS_QUEUED_MAX: Final = 64
_HTTP_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_SECURE_RANDOM: Final = random.SystemRandom()


class Session:
    """What ``async with connect(...)`` gives. Use it from the event loop that made it."""

    def __init__(self, wallet: Wallet, options: LinkOptions, reconnect: Reconnect) -> None:
        self.wallet = wallet
        self.trust = TrustApi(self)
        self.keys = KeysApi(self)
        self.reconnects = 0
        """How often the session came back."""
        self.events: Stream[SessionEvent] = Stream(EVENTS_QUEUED_MAX)
        """What happens to the connection, for one reader; unread, the oldest events give way."""
        self._options = options
        self._reconnect = reconnect
        self._link: Link | None = None
        self._ticket: Ticket | None = None
        self._login: LoginReply
        self._timing: LoginTiming
        self._leave_at_s: float | None = None
        """When the hub wants this client to come back."""
        self._up = asyncio.Event()
        self._over: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._streams: list[Opened] = []
        self._by_sub: dict[int, Opened] = {}
        self._book = PaymentBook()
        self._group: asyncio.TaskGroup

    @property
    def login(self) -> LoginReply:
        """What the hub said at the newest login: sid, scopes, expiry.

        The wallet's trust in it is as of then, or of the last resume.
        """
        return self._login

    @property
    def login_timing(self) -> LoginTiming:
        """When the steps of the newest login happened."""
        return self._timing

    @property
    def connected(self) -> bool:
        """Whether there is a logged-in connection now."""
        return self._up.is_set()

    def quotes(self, intent: Intent) -> QuoteStream:
        """Return a stream of quotes for *intent*: ``async with`` it, then ``async for``."""
        return self.wire_quotes(intent.wire(self.wallet.public_key))

    def pay(
        self,
        intent: Intent,
        *,
        quote: Quote | None = None,
        attempts_max: int = 3,
        sign_within_ms: int | None = None,
        idem: bytes | None = None,
        source: SpendingWallet | None = None,
    ) -> Payment:
        """Begin to pay and return the payment; await it for the end.

        *quote* is one of `quotes`; without it the newest is asked for. A further attempt rests on
        the hub's word that the one before is dead; *attempts_max* 1 forbids it. *idem* (16 bytes)
        names a payment that may have been begun before: then that one is followed, and what is
        signed here is never broadcast. *source* pays instead of the wallet, without a prompt: the
        spending wallet of this session's delegate. SpendLimitError when it may not pay that.
        """
        if idem is not None and len(idem) != IDEM_BYTES:
            raise ValueError(f"an idempotency key has {IDEM_BYTES} bytes, not {len(idem)}")
        if attempts_max < 1:
            raise ValueError("a payment needs at least one attempt")
        payer = self.wallet if source is None else source.wallet
        wire = intent.wire(payer.public_key)
        payment = Payment(wire, idem or secrets.token_bytes(IDEM_BYTES))
        within_ms = payer.sign_within_ms if sign_within_ms is None else sign_within_ms
        run = PaymentRun(
            self,
            self._book,
            payment,
            quote=quote,
            attempts_max=attempts_max,
            sign_within_ms=within_ms,
            begun_before=idem is not None,
            sign=self.wallet.sign if source is None else self._spend_from(source, wire),
        )
        self.spawn(run.run())
        return payment

    async def spend_left(self, source: SpendingWallet) -> SpendGetReply:
        """Ask the hub what *source* has spent of its most, and what it holds."""
        reply: SpendGetReply = await self.request(
            RequestType.SPEND_GET, SpendGetRequest(source.public_key)
        )
        return reply

    async def sweep(self, source: SpendingWallet) -> PaymentStatus | None:
        """Send all that *source* holds and that isn't under way home to the session's wallet.

        No prompt, and it counts against no most. Returns how it settled; None when there is
        nothing to send. PaymentFailedError and the like as for any payment.
        """
        left = await self.spend_left(source)
        free_qu = left.balance_qu - left.held_qu
        if free_qu <= 0:
            return None
        return await self.pay(Intent(self.wallet.public_key, free_qu), source=source)

    def _spend_from(
        self, source: SpendingWallet, intent: messages.Intent
    ) -> Callable[[ToSign], Awaitable[bytes]]:
        """Return what signs a payment from *source*: it counts once, however often it signs."""
        home = intent.destination == self.wallet.public_key
        counted = home

        async def sign(to_sign: ToSign) -> bytes:
            nonlocal counted
            if not home:
                source.require_in_time(self.wallet.public_key, self._options.now_ms())
            if not counted:
                source.spend(intent.amount_qu)
                counted = True
            return await source.wallet.sign(to_sign)

        return sign

    async def decision(self, audience: str, *, nonce: str | None = None) -> bytes:
        """Have the hub sign what it knows of this wallet, for *audience*; see `decision`.

        The decision names the session's key, which then proves by `presence_body` that it is there.
        """
        request = DecisionRequest(audience, nonce)
        reply: DecisionReply = await self.request(RequestType.DECISION_GET, request)
        return reply.decision

    async def ping(self) -> PingReply:
        """Ask the hub for a sign of life, its clock and its health."""
        reply: PingReply = await self.request(RequestType.PING, PingRequest(self._options.now_ms()))
        self._reach(reply.heads)
        return reply

    async def refresh(self) -> LoginReply:
        """Prolong the session by another signature, while it goes on.

        The delegate signs where its grant reaches further than the session, else the wallet.
        """
        link = await self._living_link()
        await link.refresh(self.wallet)
        self._note_login(link)
        return self._login

    async def logout(self, *, everywhere: bool = False) -> None:
        """End this session, or all of this wallet's, at the hub."""
        await self.request(RequestType.LOGOUT, LogoutRequest(everywhere))

    async def wait_closed(self) -> Exception:
        """Wait until the session has ended for good, and return why."""
        return await asyncio.shield(self._over)

    async def wait_ready(self) -> None:
        """Wait until there is a logged-in connection; raise why there will be none."""
        await self._living_link()

    # For the parts of this package ----------------------------------------------------------

    def monotonic_s(self) -> float:
        """Return the session's clock for durations."""
        return self._options.monotonic_s()

    def wire_quotes(self, intent: messages.Intent) -> QuoteStream:
        """Return a stream of quotes for an intent that names its source."""
        return QuoteStream(self, intent)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run *work* until the session's end at most."""
        if self._over.done():
            work.close()
            raise self._over.result()
        return self._group.create_task(work)

    async def request(
        self, kind: RequestType, body: object, *, on_reply: OnReply | None = None
    ) -> Any:
        """Send a request over the living connection, or over the next one if it comes soon."""
        link = await self._living_link()
        return await link.request(kind, body, on_reply=on_reply)

    async def add(self, stream: Opened) -> None:
        """Open *stream* and keep it open."""
        link = await self._living_link()
        await self._open_on(link, stream)

    async def drop(self, stream: Opened) -> None:
        """Close *stream*; the hub is told if it can be."""
        if stream in self._streams:
            self._streams.remove(stream)
        sub, stream.sub = stream.sub, None
        link = self._link
        if sub is None or link is None or self._by_sub.pop(sub, None) is not stream:
            return
        try:
            if isinstance(stream, QuoteStream):
                await link.request(RequestType.QUOTE_CLOSE, QuoteCloseRequest(sub))
            else:
                await link.request(RequestType.UNSUBSCRIBE, UnsubscribeRequest(sub))
        except RealtimeError:
            return  # It ends with the connection at the latest.

    async def run(self, link: Link) -> None:
        """Serve this session until its end; `connect` runs it."""
        ended: Exception = ConnectionClosedError(1000, cause="the session was closed here")
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._use(link)
                ended = await self._supervise(link)
                self._end(ended)
        finally:
            self._end(ended)
            if self._link is not None:
                await self._link.close()

    def _use(self, link: Link) -> None:
        self._link = link
        self._note_login(link)
        if link.resumed is not None:
            self._go_on(link, link.resumed)
        self._up.set()

    def _note_login(self, link: Link) -> None:
        self._ticket = link.ticket
        if link.login is not None:
            self._login = link.login
        elif link.resumed is not None:
            self._login = replace(self._login, trust=link.resumed.trust)
        if link.timing is not None:
            self._timing = link.timing

    def _go_on(self, link: Link, resumed: ResumeReply) -> None:
        """Let the resumed streams go on under their numbers."""
        streams = {stream.sub: stream for stream in self._streams}
        for row in resumed.subs:
            stream = streams.get(row.sub)
            if stream is None:  # It was closed meanwhile.
                self._group.create_task(_unsubscribe(link, row.sub))
            else:
                self._by_sub[row.sub] = stream
                stream.on_resumed(row)

    def _rows(self) -> list[ResumeSub]:
        """Return where each stream stands that can be resumed there."""
        rows = []
        for stream in self._streams:
            _, body = stream.open_request()
            if stream.sub is None or not isinstance(body, SubscribeRequest):
                continue
            if body.position is not None:
                epoch, offset = body.position.epoch, body.position.offset
                rows.append(ResumeSub(stream.sub, body.channel, epoch, offset, body.wallets))
        return rows

    async def _supervise(self, link: Link) -> Exception:
        failures = 0
        while True:
            since_s = self.monotonic_s()
            self._group.create_task(self._reopen(link))
            closed = await link.read(self._on_push)
            self._up.clear()
            self._link = None
            self._by_sub.clear()
            if not closed.comes_back or self._reconnect.tries_max == 0:
                return closed
            failures = 0 if self.monotonic_s() - since_s >= STEADY_S else failures + 1
            following = await self._come_back(closed, failures)
            if isinstance(following, Exception):
                return following
            link = following
            self.reconnects += 1
            self._use(link)
            event = LoggedInAgain() if link.resumed is None else describe(link.resumed.subs)
            self._tell(event)

    async def _come_back(self, closed: ConnectionClosedError, failures: int) -> Link | Exception:
        """Return another connection, or why there is none."""
        error: Exception = closed
        for turn in range(self._reconnect.tries_max):
            pause_s = self._pause_s(error, failures + turn)
            self._tell(Reconnecting(error, failures + turn, pause_s))
            await asyncio.sleep(pause_s)
            try:
                return await Link.open(
                    self.wallet, self._options, ticket=self._ticket, rows=self._rows()
                )
            except Exception as failure:
                error = failure
                if not _may_pass(failure):
                    break
        return error

    def _pause_s(self, why: Exception, failures: int) -> float:
        leave_at_s, self._leave_at_s = self._leave_at_s, None
        if leave_at_s is not None:
            return max(0.0, leave_at_s - self.monotonic_s())
        return _asked_pause_s(why) + self._reconnect.pause_s(failures, _SECURE_RANDOM.uniform)

    async def _reopen(self, link: Link) -> None:
        """Open again what was open on the connection before and wasn't resumed."""
        resumed = set(self._by_sub.values())
        for stream in list(self._streams):
            if stream in resumed:
                continue
            try:
                await self._open_on(link, stream)
            except ConnectionLostError:
                return  # The next connection's turn.
            except RealtimeError as error:
                if stream in self._streams:
                    self._streams.remove(stream)
                stream.on_end(error)

    async def _open_on(self, link: Link, stream: Opened) -> None:
        def on_reply(reply: Any) -> None:
            if link is not self._link:
                return
            if stream not in self._streams:
                self._streams.append(stream)
            self._by_sub[reply.sub] = stream
            stream.on_opened(reply, self._options.now_ms())

        kind, body = stream.open_request()
        await link.request(kind, body, on_reply=on_reply)

    async def _living_link(self) -> Link:
        if self._over.done():
            raise self._over.result()
        if self._link is not None:
            return self._link
        up = asyncio.ensure_future(self._up.wait())
        waits: set[asyncio.Future[Any]] = {up, self._over}
        try:
            await asyncio.wait(
                waits,
                timeout=self._options.request_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            up.cancel()
        return self._link_or_raise()

    def _link_or_raise(self) -> Link:
        if self._over.done():
            raise self._over.result()
        if self._link is None:
            raise ConnectionLostError("there is no connection to the hub now")
        return self._link

    def _on_push(self, push: Push) -> None:
        match push.body:
            case Goaway() as goaway:
                self._leave(goaway)
                return
            case Checkpoint(heads):
                self._reach(heads)
                return
            case Gap() as gap:
                self._tell(Lost(gap))
        stream = self._by_sub.get(push.sub)
        if stream is not None:
            stream.on_push(push, self._options.now_ms())

    def _reach(self, heads: Sequence[Head]) -> None:
        for head in heads:
            stream = self._by_sub.get(head.sub)
            if stream is not None:
                stream.on_head(head)

    def _leave(self, goaway: Goaway) -> None:
        """Come back at a moment of the range that the hub asked for."""
        if self._link is None or self._leave_at_s is not None:
            return
        longest_ms = max(goaway.min_ms, goaway.max_ms)
        pause_s = _SECURE_RANDOM.uniform(goaway.min_ms, longest_ms) / 1_000
        self._leave_at_s = self.monotonic_s() + pause_s
        if not goaway.resume_ok:
            self._ticket = None
        self._group.create_task(_close_after(self._link, pause_s))

    def _tell(self, event: SessionEvent) -> None:
        self.events._put(event)

    def _end(self, error: Exception) -> None:
        if self._over.done():
            return
        self._over.set_result(error)
        self._ticket = None
        self.events._end()
        for stream in [*self._streams, self._book]:
            stream.on_end(error)
        self._streams.clear()


async def _close_after(link: Link, pause_s: float) -> None:
    await asyncio.sleep(pause_s)
    await link.close()


async def _unsubscribe(link: Link, sub: int) -> None:
    try:
        await link.request(RequestType.UNSUBSCRIBE, UnsubscribeRequest(sub))
    except RealtimeError:
        return  # It ends with the connection at the latest.


def _asked_pause_s(error: Exception) -> float:
    """Return the pause that the hub asked for."""
    if isinstance(error, ConnectionClosedError):
        return error.retry_ms / 1000
    if isinstance(error, HubError):
        return (error.retry_after_ms or 0) / 1000
    return 0.0


def _may_pass(error: Exception) -> bool:
    """Whether a failed try to come back may succeed later, unchanged."""
    match error:
        case ConnectionLostError():
            return True
        case ConnectionRefusedByHubError(status=status):
            return status in _HTTP_AGAIN
        case ConnectionClosedError(comes_back=comes_back):
            return comes_back
        case HubError(retryable=retryable):
            return retryable
    return False


def _resources(scopes: Sequence[str], session_key: bytes | None) -> tuple[str, ...]:
    lines = [encode_scope(scope) for scope in scopes]
    if session_key is not None:
        lines.append(encode_key(session_key))
    return tuple(lines)


class connect:  # noqa: N801  (used like a function, as `open` is)
    """Connect to the hub at *url* and log *wallet* in: ``async with connect(...) as session``.

    *domain* is what the login text must name: your own program's, as the hub has it configured;
    by default the hub's host and port. *scopes* narrow the session (trust, quote, pay).
    *session_key* is the public half of an Ed25519 key that stands for the session; by default it
    gets one of its own, by which it is resumed after a loss without asking the wallet. *delegate*
    is a key that the wallet lets log in: it is asked once, and again when that grant has ended.
    Leaving the block closes the connection; payments go on at the hub.

    Raises ConnectionLostError, ConnectionRefusedByHubError, LoginError, ConnectionClosedError,
    HubMistrustedError (the hub's challenge was for another domain or URL).
    """

    def __init__(
        self,
        url: str,
        wallet: Wallet,
        *,
        domain: str | None = None,
        chain: str | None = None,
        scopes: Sequence[str] = (),
        session_key: bytes | None = None,
        delegate: Delegate | None = None,
        origin: str | None = None,
        reconnect: Reconnect | None = None,
        open_timeout_s: float = 10.0,
        request_timeout_s: float = 10.0,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        if session_key is not None and delegate is not None:
            raise ValueError("a login names one key: give session_key or delegate, not both")
        self._wallet = wallet
        self._reconnect = Reconnect() if reconnect is None else reconnect
        self._options = LinkOptions(
            url=url,
            domain=urlsplit(url).netloc if domain is None else domain,
            chain=chain,
            resources=_resources(scopes, session_key),
            # A login names one key; of another's we have no seed to prove it with.
            resumable=session_key is None,
            delegate=delegate,
            origin=origin,
            open_timeout_s=open_timeout_s,
            request_timeout_s=request_timeout_s,
            now_ms=now_ms,
            monotonic_s=monotonic_s,
        )
        self._running: asyncio.Task[None]

    async def __aenter__(self) -> Session:
        link = await Link.open(self._wallet, self._options)
        session = Session(self._wallet, self._options, self._reconnect)
        self._running = asyncio.create_task(session.run(link))
        await session.wait_ready()
        return session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})
        if not self._running.cancelled() and (failure := self._running.exception()) is not None:
            raise failure
