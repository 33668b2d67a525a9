"""A served session layer over services that a test steers, and a plain client for it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from app_fakes import FakeSignatures, fake_apps
from decision_fakes import fake_decisions
from delegation_fakes import FakeGrants
from fakes import FakeClock, SeededEntropy
from realtime_hub.adapters.memory_resumes import MemoryResumes
from realtime_hub.apps.model import ApiKey
from realtime_hub.auth.grant_store import GrantStore
from realtime_hub.auth.grants import Grant
from realtime_hub.auth.login import ProvenLogin
from realtime_hub.http.server import bind, build_server
from realtime_hub.metrics import Metrics
from realtime_hub.pay.model import PaymentChange, Spender, StreamRead
from realtime_hub.session.context import HubContext, SessionSettings, build_context
from realtime_hub.session.counters import SessionCounters
from realtime_hub.session.housekeeping import Housekeeping
from realtime_hub.session.resume_store import ResumeStore
from realtime_hub.surfaces.ws.engine import SessionEngine
from realtime_protocol.codec import (
    ErrorReply,
    Push,
    Reply,
    decode_answer,
    decode_reply_body,
    encode_request,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.json_codec import decode_json, encode_json
from realtime_protocol.limits import Limits
from realtime_protocol.login_resources import parse_resources
from realtime_protocol.login_text import LoginChallenge
from realtime_protocol.messages import (
    Challenge,
    Initiator,
    Intent,
    LoginReply,
    LoginRequest,
    PaymentLevel,
    PaymentState,
    PaymentStatus,
    PayReply,
    PayRequest,
    Position,
    PrepareReply,
    PrepareRequest,
    PushType,
    Quote,
    RequestType,
    Scheme,
    SpendGetReply,
    SubscribeReply,
    SubscribeRequest,
    Trust,
    TrustChanged,
    TrustChangeState,
    TrustSetReply,
    TrustStatus,
    TrustTier,
)
from realtime_protocol.versions import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from waiting import eventually

ALICE = PublicKey(b"\xa1" * 32)
BOB = PublicKey(b"\xb0" * 32)
EPOCH = b"\x0e" * 8
GOOD_SIGNATURE = b"\x01" * 64
BAD_SIGNATURE = b"\x02" * 64
ORIGIN = "https://app.example"
WITHIN_S = 5.0


@dataclass(frozen=True)
class FakeLogin:
    """What a good signature proves."""

    wallet: PublicKey
    scopes: tuple[str, ...]
    session_exp_ms: int
    session_key: bytes | None
    by_key: bool = False


@dataclass(frozen=True)
class FakeChange:
    """An entry of the trust log."""

    log_seq: int
    body: TrustChanged


@dataclass
class FakeAuth:
    """Takes GOOD_SIGNATURE as everybody's; *checking* holds proofs back until it is set."""

    clock: FakeClock
    session_ttl_ms: int = 3_600_000
    scopes: tuple[str, ...] = ("trust", "quote", "pay")
    blocked: set[PublicKey] = field(default_factory=set)
    changes: list[FakeChange] = field(default_factory=list)
    listeners: list[Callable[[FakeChange], None]] = field(default_factory=list)
    backbone_ok: bool = True
    fails: Exception | None = None
    numbers: Any = field(default_factory=count)
    grant_store: GrantStore | None = None

    def __post_init__(self) -> None:
        self._grants = FakeGrants(
            self.clock,
            GOOD_SIGNATURE,
            session_ttl_ms=self.session_ttl_ms,
            store=self.grant_store,
        )
        self.delegation = self._grants.delegation

    async def stand_on(self, proven: object, *, seen: Position) -> Grant | None:
        return await self._grants.stand_on(proven, seen=seen)

    def issue_challenge(self, *, domain: str, uri: str, ttl_ms: int) -> LoginChallenge:
        now_ms = self.clock.now_ms()
        return LoginChallenge(
            nonce=f"{next(self.numbers):022d}",
            issued_ms=now_ms,
            expires_ms=now_ms + ttl_ms,
            domain=domain,
            uri=uri,
            chain="devnet",
            request_id="request",
        )

    async def prove(
        self, challenge: LoginChallenge, request: LoginRequest
    ) -> FakeLogin | ProvenLogin:
        await asyncio.sleep(0)
        if self._grants.concerns(request):
            return await self._grants.prove(challenge, request)
        if request.signature != GOOD_SIGNATURE:
            raise RequestError(ErrorCode.BAD_SIGNATURE, "not this wallet's")
        expires_ms = self.clock.now_ms() + self.session_ttl_ms
        key = parse_resources(request.resources, now_ms=self.clock.now_ms()).key
        return FakeLogin(
            PublicKey(request.wallet),
            self.scopes,
            expires_ms,
            None if key is None else key.public_key,
        )

    async def admit(self, wallet: PublicKey) -> Trust:
        await asyncio.sleep(0)
        if wallet in self.blocked:
            raise RequestError(ErrorCode.WALLET_BLOCKED, "the wallet is blocked")
        return self.trust_of(wallet)

    async def readmit(self, wallet: PublicKey, *, seen: Position) -> Trust:
        return await self.admit(wallet)

    def peek_ready(self, wallets: Sequence[PublicKey]) -> list[Trust] | None:
        if self.fails is not None:
            raise self.fails
        return [self.trust_of(wallet) for wallet in wallets]

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        return [self.trust_of(wallet) for wallet in wallets]

    def position(self) -> Position:
        return Position(EPOCH, len(self.changes))

    async def changes_since(self, position: Position) -> Sequence[FakeChange] | None:
        return self.changes[position.offset :] if position.epoch == EPOCH else None

    async def set_trust(self, signed_tx: bytes, *, admin: PublicKey | None) -> TrustSetReply:
        return TrustSetReply(len(self.changes), TrustChangeState.PENDING)

    def trust_of(self, wallet: PublicKey) -> Trust:
        status = TrustStatus.BLOCKED if wallet in self.blocked else TrustStatus.ACTIVE
        return Trust(status, 80, len(self.changes), 0, TrustTier.L1, 0, 0)

    def change(self, wallet: PublicKey, status: TrustStatus) -> FakeChange:
        """Append a change to the log and tell the listeners."""
        if status is TrustStatus.BLOCKED:
            self.blocked.add(wallet)
        body = TrustChanged(
            wallet, status, 0, 7, Initiator.ADMIN, self.clock.now_ms(), 0, pending=False
        )
        change = FakeChange(len(self.changes) + 1, body)
        self.changes.append(change)
        if status is TrustStatus.BLOCKED:
            self.delegation.block(wallet, Position(EPOCH, change.log_seq))
        else:
            self.blocked.discard(wallet)
        for listener in self.listeners:
            listener(change)
        return change


class FakeStream:
    """A stream of quotes that a test feeds."""

    def __init__(self, deliver: Callable[[Quote], None]) -> None:
        self.first = quote_of(1)
        self.deliver = deliver
        self.closed = False

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeQuotes:
    """Opens whatever is asked for."""

    streams: list[FakeStream] = field(default_factory=list)

    def open(self, intent: Intent, deliver: Callable[[Quote], None]) -> FakeStream:
        stream = FakeStream(deliver)
        self.streams.append(stream)
        return stream


@dataclass
class FakePayments:
    """Takes every payment; its state is told before `pay` returns, as the real one may."""

    listeners: list[Callable[[PaymentChange], None]] = field(default_factory=list)
    offset: int = 0
    statuses: dict[bytes, PaymentStatus] = field(default_factory=dict)

    spenders: list[Spender | None] = field(default_factory=list)

    async def spent(self, payer: PublicKey, spender: Spender) -> SpendGetReply:
        return SpendGetReply(spender.max_qu, spender.until_ms, 0, 0, 0, 0)

    async def prepare(
        self, payer: PublicKey, request: PrepareRequest, *, spends_from: Sequence[PublicKey] = ()
    ) -> PrepareReply:
        return PrepareReply(b"\x00" * 80, 1_000_010, b"\x11" * 16, 1)

    async def pay(
        self, payer: PublicKey, request: PayRequest, *, spender: Spender | None = None
    ) -> PayReply:
        self.spenders.append(spender)
        self.tell(payer, status_of(request.idem, PaymentState.ACCEPTED))
        await asyncio.sleep(0)
        return PayReply(request.idem, PaymentState.ACCEPTED, request.attempt)

    async def get(self, wallet: PublicKey, payment_id: bytes) -> PaymentStatus:
        status = self.statuses.get(payment_id)
        if status is None:
            raise RequestError(ErrorCode.BAD_MESSAGE, "unknown payment")
        return status

    def position(self) -> Position:
        return Position(EPOCH, self.offset)

    async def read_stream(
        self, wallet: PublicKey, *, as_payer: bool, since: Position | None
    ) -> StreamRead:
        return StreamRead(self.position(), None, tuple(self.statuses.values()) if as_payer else ())

    def tell(self, payer: PublicKey, status: PaymentStatus) -> None:
        """Tell the listeners of a change."""
        self.offset += 1
        self.statuses[status.payment_id] = status
        for listener in self.listeners:
            listener(PaymentChange(self.offset, payer, BOB, status))


def status_of(payment_id: bytes, state: PaymentState, state_seq: int = 0) -> PaymentStatus:
    """Return a payment's state."""
    return PaymentStatus(payment_id, state_seq, state, 1_000_010, bytes(32), PaymentLevel.NONE)


def quote_of(number: int) -> Quote:
    """Return a quote."""
    return Quote(
        quote_id=number.to_bytes(16),
        graph_version=number,
        route=None,
        alternatives=[],
        fee_qu=0,
        est_ms=5_000,
        valid_until_tick=1_000_060,
        executable=False,
        partial=False,
        hub_signature=None,
    )


@dataclass
class ServedHub:
    """A hub's session layer behind a real port."""

    url: str
    context: HubContext
    clock: FakeClock
    auth: FakeAuth
    quotes: FakeQuotes
    payments: FakePayments
    metrics: Metrics
    stop: Callable[[], None]

    async def pass_time(self, milliseconds: int) -> None:
        """Move the clock and look at every deadline."""
        self.clock.advance_ms(milliseconds)
        await Housekeeping(self.context.registry, self.context.fanout, self.clock).round()

    def client(self, **options: Any) -> "contextlib.AbstractAsyncContextManager[Client]":
        """Connect."""
        return open_client(self.url, **options)


by_asgi = False
"""What `served_hub` does when it isn't told; a fixture may change it."""
subprotocol = SUBPROTOCOL_MSGPACK
"""What a client offers when it isn't told; a fixture may change it."""


@contextlib.asynccontextmanager
async def served_hub(
    limits: Limits | None = None,
    *,
    asgi: bool | None = None,
    grant_store: GrantStore | None = None,
    resume_store: ResumeStore | None = None,
    auth: FakeAuth | None = None,
    seed: int = 1,
    keys: Sequence[ApiKey] = (),
    **settings: Any,
) -> AsyncIterator[ServedHub]:
    """Serve sessions on a free port until the block ends; *asgi*: by uvicorn's own WebSockets.

    Hubs of one fleet share *resume_store* and *auth*; each has a *seed* of its own.
    """
    listener = bind("127.0.0.1", 0, "a port of its own")
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/v1"
    clock, metrics = FakeClock() if auth is None else auth.clock, Metrics()
    auth = auth or FakeAuth(clock, grant_store=grant_store)
    quotes, payments = FakeQuotes(), FakePayments()
    given: dict[str, Any] = {
        "uri": url,
        "origins": {ORIGIN: "app.example"},
        "domain_without_origin": "native.example",
        **settings,
    }
    context = build_context(
        auth=auth,
        decisions=fake_decisions(auth, clock),
        quotes=quotes,
        payments=payments,
        resume_store=(
            MemoryResumes(clock, keep_ms=135_000) if resume_store is None else resume_store
        ),
        signatures=FakeSignatures(),
        apps=fake_apps(clock, *keys)[0] if keys else None,
        clock=clock,
        entropy=SeededEntropy(seed),
        settings=SessionSettings(**given),
        counters=SessionCounters(metrics),
        limits=limits,
    )
    auth.listeners.append(context.fanout.on_trust_change)
    payments.listeners.append(context.fanout.on_payment_change)
    engine = SessionEngine(context)
    server: uvicorn.Server
    if by_asgi if asgi is None else asgi:
        server = uvicorn.Server(
            uvicorn.Config(
                engine.asgi_endpoint,
                ws="websockets-sansio",
                ws_max_size=context.limits.frame_before_login_bytes_max,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
            )
        )
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    else:
        server = build_server(_no_pages, ws=engine.ws_protocol)

    def stop() -> None:
        server.should_exit = True

    running = [
        asyncio.create_task(engine.run()),
        asyncio.create_task(auth.delegation.run()),
    ]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await eventually(lambda: server.started)
        yield ServedHub(url, context, clock, auth, quotes, payments, metrics, stop)
    finally:
        stop()
        await serving
        for task in running:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _no_pages(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Client:
    """Sends requests and keeps what comes: replies by id, pushes in order."""

    def __init__(self, websocket: ClientConnection, challenge: Push) -> None:
        assert isinstance(challenge.body, Challenge)
        self.websocket = websocket
        self.challenge = challenge.body
        self.pushes: deque[Push] = deque()
        self._ids = count(1)
        self._answers: dict[int, Reply | ErrorReply] = {}

    async def send(self, kind: RequestType, body: object) -> int:
        """Send a request and return its id."""
        request_id = next(self._ids)
        frame = encode_request(kind, request_id, body)
        if self.websocket.subprotocol == SUBPROTOCOL_JSON:
            await self.websocket.send(encode_json(frame).decode())
        else:
            await self.websocket.send(frame)
        return request_id

    async def answer(self, request_id: int) -> Any:
        """Return the reply's body; RequestError when the request was refused."""
        while request_id not in self._answers:
            await self._receive()
        answer = self._answers.pop(request_id)
        if isinstance(answer, ErrorReply):
            error = answer.error
            raise RequestError(
                ErrorCode(error.code),  # type: ignore[call-arg]  # looks up by value
                str((error.detail or {}).get("message", "")),
                retry_after_ms=error.retry_after_ms,
            )
        return decode_reply_body(answer)

    async def ask(self, kind: RequestType, body: object) -> Any:
        """Send a request and return its reply's body."""
        return await self.answer(await self.send(kind, body))

    async def log_in(
        self,
        wallet: PublicKey = ALICE,
        *,
        signature: bytes = GOOD_SIGNATURE,
        kind: RequestType = RequestType.LOGIN,
        resources: Sequence[str] = (),
    ) -> LoginReply:
        """Log in under the newest challenge."""
        reply = await self.ask(kind, LoginRequest(Scheme.WC, wallet, signature, list(resources)))
        assert isinstance(reply, LoginReply)
        return reply

    async def subscribe(self, channel: str, **options: Any) -> SubscribeReply:
        """Subscribe to a channel."""
        reply = await self.ask(RequestType.SUBSCRIBE, SubscribeRequest(channel, **options))
        assert isinstance(reply, SubscribeReply)
        return reply

    async def push(self, kind: PushType) -> Push:
        """Return the next push, which must be of this type."""
        while not self.pushes:
            await self._receive()
        push = self.pushes.popleft()
        assert push.type is kind, push
        return push

    async def closed(self) -> tuple[int, str]:
        """Read to the end and return the hub's close code and reason."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._receive()
        received = self.websocket.protocol.close_rcvd
        assert received is not None, "no close frame came"
        return received.code, received.reason

    async def _receive(self) -> None:
        answer = decode_answer(await _receive(self.websocket))
        if isinstance(answer, Push):
            self.pushes.append(answer)
        elif answer is not None:
            self._answers[answer.id] = answer


async def _receive(websocket: ClientConnection) -> bytes:
    """Return the next frame as msgpack, whatever the subprotocol has."""
    async with asyncio.timeout(WITHIN_S):
        message = await websocket.recv()
    if websocket.subprotocol == SUBPROTOCOL_JSON:
        assert isinstance(message, str)
        return decode_json(message.encode())
    assert isinstance(message, bytes)
    return message


@contextlib.asynccontextmanager
async def open_client(
    url: str,
    *,
    origin: str | None = None,
    subprotocols: Sequence[str] | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    """Connect to a hub and take the challenge, which must come first."""
    offered = (subprotocol,) if subprotocols is None else subprotocols
    async with connect(
        url,
        origin=None if origin is None else Origin(origin),
        subprotocols=[Subprotocol(name) for name in offered] or None,
        proxy=None,
        ping_interval=None,
        close_timeout=1,
        **options,
    ) as websocket:
        challenge = decode_answer(await _receive(websocket))
        assert isinstance(challenge, Push)
        assert challenge.type is PushType.CHALLENGE
        yield Client(websocket, challenge)
