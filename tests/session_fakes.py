"""Services, a connection and a whole hub context for tests of sessions, without I/O."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app_fakes import TOKEN, FakeSignatures, fake_apps
from decision_fakes import fake_decisions
from delegation_fakes import FakeGrants
from fakes import FakeClock, SeededEntropy
from realtime_hub.adapters.memory_resumes import MemoryResumes
from realtime_hub.auth.grants import Grant
from realtime_hub.auth.login import ProvenLogin
from realtime_hub.metrics import Metrics
from realtime_hub.pay.model import PaymentChange, Spender, StreamRead
from realtime_hub.session.context import HubContext, SessionSettings, build_context
from realtime_hub.session.counters import SessionCounters
from realtime_hub.session.session import LiveSession
from realtime_hub.surfaces.dispatch import Dispatcher
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
from realtime_protocol.limits import Limits
from realtime_protocol.login_resources import encode_key, parse_resources
from realtime_protocol.login_text import LoginChallenge
from realtime_protocol.messages import (
    Challenge,
    ErrorBody,
    Initiator,
    Intent,
    LoginReply,
    LoginRequest,
    PaymentLevel,
    PaymentState,
    PaymentStatus,
    PayReply,
    PayRequest,
    PayResign,
    Position,
    PrepareReply,
    PrepareRequest,
    Priority,
    PushType,
    Quote,
    RequestType,
    ResignReason,
    ResumeReply,
    ResumeRequest,
    ResumeSub,
    Scheme,
    ServiceRequest,
    SpendGetReply,
    Trust,
    TrustChanged,
    TrustChangeState,
    TrustReason,
    TrustSetReply,
    TrustStatus,
    TrustTier,
)
from realtime_protocol.session_key import (
    Kind,
    resume_body,
    session_public_key,
    sign_with_session_key,
)

ALICE = PublicKey(b"\x0a" * 32)
BOB = PublicKey(b"\x0b" * 32)
CAROL = PublicKey(b"\x0c" * 32)
EPOCH = b"epoch--1"
GOOD_SIGNATURE = b"\x01" * 64
BAD_SIGNATURE = b"\x02" * 64
KEEP_MS = 135_000
KEY_SEED = b"\x5e" * 32
URI = "ws://127.0.0.1:8080/v1"
DOMAIN = "127.0.0.1:8080"


@dataclass(frozen=True)
class Proven:
    """A fake login that proved itself."""

    wallet: PublicKey
    scopes: tuple[str, ...]
    session_exp_ms: int
    session_key: bytes | None
    by_key: bool = False


@dataclass(frozen=True)
class Change:
    """A fake entry of the trust log."""

    log_seq: int
    body: TrustChanged


@dataclass
class FakeAuth:
    """TurboAuth with a log in a list; a login is good when its signature says so."""

    clock: FakeClock
    epoch: bytes = EPOCH
    backbone_ok: bool = True
    scopes: tuple[str, ...] = ("trust", "quote", "pay")
    trusts: dict[PublicKey, Trust] = field(default_factory=dict)
    log: list[Change] = field(default_factory=list)
    listeners: list[Callable[[Change], None]] = field(default_factory=list)
    in_memory: bool = True
    cold: frozenset[PublicKey] = frozenset()
    """Wallets that aren't in memory."""
    gate: asyncio.Event | None = None
    """While it is not set, proofs and reads wait."""
    prove_error: RequestError | None = None
    session_ttl_ms: int = 3_600_000
    nonces: int = 0

    def __post_init__(self) -> None:
        self._grants = FakeGrants(self.clock, GOOD_SIGNATURE, session_ttl_ms=self.session_ttl_ms)
        self.delegation = self._grants.delegation

    async def stand_on(self, proven: object, *, seen: Position) -> Grant | None:
        return await self._grants.stand_on(proven, seen=seen)

    def issue_challenge(self, *, domain: str, uri: str, ttl_ms: int) -> LoginChallenge:
        self.nonces += 1
        issued_ms = self.clock.now_ms() // 1_000 * 1_000
        expires_ms = issued_ms + -(-ttl_ms // 1_000) * 1_000
        return LoginChallenge(
            f"{self.nonces:022d}", issued_ms, expires_ms, domain, uri, "devnet", f"r{self.nonces}"
        )

    async def prove(self, challenge: LoginChallenge, request: LoginRequest) -> Proven | ProvenLogin:
        await self._wait()
        if self.prove_error is not None:
            raise self.prove_error
        if self._grants.concerns(request):
            return await self._grants.prove(challenge, request)
        if request.signature != GOOD_SIGNATURE:
            raise RequestError(ErrorCode.BAD_SIGNATURE, "bad signature")
        expires_ms = self.clock.now_ms() + self.session_ttl_ms
        key = parse_resources(request.resources, now_ms=self.clock.now_ms()).key
        return Proven(
            PublicKey(request.wallet),
            self.scopes,
            expires_ms,
            None if key is None else key.public_key,
        )

    async def admit(self, wallet: PublicKey) -> Trust:
        await self._wait()
        trust = self._trust(wallet)
        if trust.status is TrustStatus.BLOCKED:
            raise RequestError(ErrorCode.WALLET_BLOCKED, "blocked")
        return trust

    async def readmit(self, wallet: PublicKey, *, seen: Position) -> Trust:
        return await self.admit(wallet)

    def peek_ready(self, wallets: Sequence[PublicKey]) -> list[Trust] | None:
        if not self.in_memory or not self.cold.isdisjoint(wallets):
            return None
        return [self._trust(wallet) for wallet in wallets]

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        await self._wait()
        return [self._trust(wallet) for wallet in wallets]

    def position(self) -> Position:
        return Position(self.epoch, self.log[-1].log_seq if self.log else 0)

    async def changes_since(self, position: Position) -> list[Change] | None:
        await self._wait()
        if position.epoch != self.epoch:
            return None
        return [change for change in self.log if change.log_seq > position.offset]

    async def set_trust(self, signed_tx: bytes, *, admin: PublicKey | None) -> TrustSetReply:
        return TrustSetReply(9, TrustChangeState.PENDING)

    def change(self, wallet: PublicKey, status: TrustStatus = TrustStatus.ACTIVE) -> Change:
        """Append a change and tell the listeners."""
        seq = self.position().offset + 1
        body = TrustChanged(
            wallet,
            status,
            50,
            0,
            Initiator.CHAIN,
            self.clock.now_ms(),
            self.clock.now_ms() + 1,
            False,
        )
        change = Change(seq, body)
        self.log.append(change)
        self.trusts[wallet] = Trust(status, 50, seq, 0, TrustTier.L1, 0, 0)
        for listener in self.listeners:
            listener(change)
        return change

    def begin_anew(self, epoch: bytes) -> None:
        """Lose the log."""
        self.epoch = epoch
        self.log.clear()

    def _trust(self, wallet: PublicKey) -> Trust:
        unknown = Trust(TrustStatus.UNKNOWN, 0, 0, int(TrustReason.NOT_LISTED), TrustTier.L3, 0, 0)
        return self.trusts.get(wallet, unknown)

    async def _wait(self) -> None:
        if self.gate is not None:
            await self.gate.wait()


class FakeQuoteStream:
    """One open stream."""

    def __init__(self, first: Quote, deliver: Callable[[Quote], None]) -> None:
        self.first = first
        self.deliver = deliver
        self.closed = False

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeQuotes:
    """TurboRoute that answers every intent alike."""

    streams: list[FakeQuoteStream] = field(default_factory=list)
    error: RequestError | None = None

    def open(self, intent: Intent, deliver: Callable[[Quote], None]) -> FakeQuoteStream:
        if self.error is not None:
            raise self.error
        stream = FakeQuoteStream(quote(0), deliver)
        self.streams.append(stream)
        return stream


@dataclass
class FakePayments:
    """Payments whose states a test sets."""

    statuses: dict[bytes, PaymentChange] = field(default_factory=dict)
    changes: list[PaymentChange] = field(default_factory=list)
    listeners: list[Callable[[PaymentChange], None]] = field(default_factory=list)
    ready: bool = True
    gate: asyncio.Event | None = None
    epoch: bytes = b"journal1"
    failure: Exception | None = None

    spenders: list[Spender | None] = field(default_factory=list)

    async def spent(self, payer: PublicKey, spender: Spender) -> SpendGetReply:
        return SpendGetReply(spender.max_qu, spender.until_ms, 0, 0, 0, 0)

    async def prepare(
        self, payer: PublicKey, request: PrepareRequest, *, spends_from: Sequence[PublicKey] = ()
    ) -> PrepareReply:
        return PrepareReply(bytes(80), 7, request.quote_id or bytes(16), 1)

    async def pay(
        self, payer: PublicKey, request: PayRequest, *, spender: Spender | None = None
    ) -> PayReply:
        self.spenders.append(spender)
        if self.failure is not None:
            raise self.failure
        # As the real one: the state is published before the answer returns.
        self.change(payer, BOB, request.idem)
        if self.gate is not None:
            await self.gate.wait()
        return PayReply(request.idem, PaymentState.ACCEPTED, request.attempt)

    async def get(self, wallet: PublicKey, payment_id: bytes) -> PaymentStatus:
        known = self.statuses.get(payment_id)
        if known is None or wallet not in (known.payer, known.payee):
            raise RequestError(ErrorCode.BAD_MESSAGE, "no such payment")
        return known.status

    def position(self) -> Position:
        if not self.ready:
            raise RequestError(ErrorCode.BACKBONE_UNAVAILABLE, "recovering", retry_after_ms=100)
        return Position(self.epoch, self.changes[-1].offset if self.changes else 0)

    async def read_stream(
        self, wallet: PublicKey, *, as_payer: bool, since: Position | None
    ) -> StreamRead:
        def is_own(change: PaymentChange) -> bool:
            return wallet == (change.payer if as_payer else change.payee)

        head = self.position()
        if since is None or since.epoch != self.epoch:
            standing = [each.status for each in self.statuses.values() if is_own(each)]
            return StreamRead(head, None, tuple(standing))
        later = [each for each in self.changes if each.offset > since.offset and is_own(each)]
        return StreamRead(head, tuple(later))

    def change(
        self,
        payer: PublicKey,
        payee: PublicKey,
        payment_id: bytes,
        state: PaymentState = PaymentState.ACCEPTED,
        *,
        resign: bool = False,
    ) -> PaymentChange:
        """Publish the next state of a payment."""
        before = self.statuses.get(payment_id)
        state_seq = 0 if before is None else before.status.state_seq + 1
        status = PaymentStatus(payment_id, state_seq, state, 9, bytes(32), PaymentLevel.NONE)
        duty = PayResign(payment_id, ResignReason.TICK_EMPTY, 1) if resign else None
        offset = len(self.changes) + 1
        change = PaymentChange(offset, payer, payee, status, duty)
        self.statuses[payment_id] = change
        self.changes.append(change)
        for listener in self.listeners:
            listener(change)
        return change


class FakeWire:
    """A connection that keeps what is sent; a test can make it slow."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed: tuple[int, str, float] | None = None
        self.reading = True
        self.writable = True
        self.unsent_bytes = 0
        self.drained_bytes = 0
        self.ticks = 0

    def tick(self, now_s: float) -> None:
        self.ticks += 1

    def send(self, messages: Sequence[bytes]) -> None:
        assert self.closed is None
        self.sent.extend(messages)
        size = sum(len(message) for message in messages)
        if self.writable:
            self.drained_bytes += size
        else:
            self.unsent_bytes += size

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self, code: int, reason: str, *, within_s: float) -> None:
        self.closed = (code, reason, within_s)

    def take(self) -> list[Push | Reply | ErrorReply]:
        """Return what was sent since the last time."""
        answers = [decode_answer(message) for message in self.sent]
        self.sent.clear()
        return [answer for answer in answers if answer is not None]

    @property
    def close_code(self) -> int | None:
        return None if self.closed is None else self.closed[0]


class Client:
    """A client's end of a session in memory."""

    def __init__(
        self,
        hub: "FakeHub",
        *,
        address: str = "192.0.2.1",
        domain: str = DOMAIN,
        from_page: bool = False,
    ) -> None:
        self.hub = hub
        self.wire = FakeWire()
        assert hub.context.registry.addresses.try_connect(address, now_s=0)
        self.live = LiveSession(
            hub.context,
            self.wire,
            hub.dispatcher.serve,
            address=address,
            domain=domain,
            from_page=from_page,
        )
        self.live.start()
        first = decode_answer(self.wire.sent[0])
        assert isinstance(first, Push)
        assert isinstance(first.body, Challenge)
        self.challenge = first.body
        self._id = 0

    def send(self, kind: RequestType, body: object, *, request_id: int | None = None) -> int:
        """Send a request and return its id."""
        self._id += 1
        used = request_id or self._id
        self.feed(encode_request(kind, used, body))
        return used

    def feed(self, message: bytes) -> None:
        """Send any message."""
        self.live.receive([message])

    async def ask(self, kind: RequestType, body: object) -> Any:
        """Send a request; return its reply's body or the error, and drop what came before it."""
        sent = self.send(kind, body)
        await settle()
        for answer in self.wire.take():
            if isinstance(answer, Reply) and answer.id == sent:
                return decode_reply_body(answer)
            if isinstance(answer, ErrorReply) and answer.id == sent:
                return answer.error
        raise AssertionError("no answer")

    async def login(self, wallet: PublicKey = ALICE) -> "Client":
        """Log in and drop what was sent."""
        self.send(RequestType.LOGIN, proof(wallet))
        await settle()
        assert self.live.machine.logged_in, self.wire.take()
        self.wire.take()
        return self

    async def serve(self, token: str = TOKEN) -> "Client":
        """Log in as a backend and drop what was sent."""
        self.send(RequestType.SERVICE, ServiceRequest(token))
        assert self.live.machine.logged_in, self.wire.take()
        self.wire.take()
        return self

    async def login_to_resume(self, wallet: PublicKey = ALICE) -> LoginReply:
        """Log in with a session key, drop what was sent, and return the reply."""
        reply = await self.ask(RequestType.LOGIN, proof(wallet, key_seed=KEY_SEED))
        assert isinstance(reply, LoginReply)
        return reply

    def resume_request(
        self, token: bytes, sid: str, subs: Sequence[ResumeSub] = (), *, key_seed: bytes = KEY_SEED
    ) -> ResumeRequest:
        """Return what resumes a session on this connection."""
        challenge = self.challenge
        body = resume_body(
            domain=challenge.domain, uri=challenge.uri, sid=sid, nonce=challenge.nonce
        )
        signature = sign_with_session_key(key_seed, Kind.RESUME, body)
        return ResumeRequest(token, signature, list(subs))

    async def resume(
        self, token: bytes, sid: str, subs: Sequence[ResumeSub] = (), *, key_seed: bytes = KEY_SEED
    ) -> ResumeReply | ErrorBody:
        """Resume a session; what comes with the reply is still to be taken."""
        request = self.resume_request(token, sid, subs, key_seed=key_seed)
        sent = self.send(RequestType.RESUME, request)
        await settle()
        for at, message in enumerate(self.wire.sent):
            answer = decode_answer(message)
            if isinstance(answer, Reply | ErrorReply) and answer.id == sent:
                del self.wire.sent[: at + 1]
                body = decode_reply_body(answer) if isinstance(answer, Reply) else answer.error
                assert isinstance(body, ResumeReply | ErrorBody)
                return body
        raise AssertionError("no answer")

    def pushes(self, kind: PushType | None = None) -> list[Push]:
        """Return the pushes since the last time."""
        return [
            answer
            for answer in self.wire.take()
            if isinstance(answer, Push) and kind in (None, answer.type)
        ]


class FakeHub:
    """A context over fakes, with the dispatcher over it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.clock = FakeClock()
        self.auth = FakeAuth(self.clock)
        self.quotes = FakeQuotes()
        self.payments = FakePayments()
        self.metrics = Metrics()
        self.apps, self.app_store = fake_apps(self.clock)
        self.context: HubContext = build_context(
            auth=self.auth,
            decisions=fake_decisions(self.auth, self.clock),
            quotes=self.quotes,
            payments=self.payments,
            signatures=FakeSignatures(),
            apps=self.apps,
            resume_store=MemoryResumes(self.clock, keep_ms=KEEP_MS),
            clock=self.clock,
            entropy=SeededEntropy(),
            settings=SessionSettings(
                uri=URI,
                origins={"https://app.example": "app.example"},
                domain_without_origin=DOMAIN,
            ),
            counters=SessionCounters(self.metrics),
            limits=limits or Limits(requests_per_s=1_000, requests_burst=10_000),
        )
        self.dispatcher = Dispatcher(self.context)
        self.auth.listeners.append(self.context.fanout.on_trust_change)
        self.payments.listeners.append(self.context.fanout.on_payment_change)

    def client(self, **options: Any) -> Client:
        """Connect."""
        return Client(self, **options)

    async def session(self, wallet: PublicKey = ALICE, *, address: str = "192.0.2.1") -> Client:
        """Connect and log in."""
        return await self.client(address=address).login(wallet)

    def metric(self, name: str, /, **labels: str) -> float:
        """Return a counter's value."""
        text = self.metrics.exposition()[0].decode()
        wanted = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        for line in text.splitlines():
            if line.startswith(f"{name}{{{wanted}}}" if wanted else f"{name} "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeHub"]:
        """Run what sessions need in the background."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.context.tasks.run()),
                group.create_task(self.context.fanout.run()),
                group.create_task(self.context.resumes.run()),
            ]
            await settle()
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()


async def settle() -> None:
    """Let everything run that needs no time."""
    for _ in range(20):
        await asyncio.sleep(0)


def proof(
    wallet: bytes = ALICE, signature: bytes = GOOD_SIGNATURE, *, key_seed: bytes | None = None
) -> LoginRequest:
    """A login that the fake auth takes; with *key_seed* its session can be resumed."""
    resources = [] if key_seed is None else [encode_key(session_public_key(key_seed))]
    return LoginRequest(Scheme.K12, wallet, signature, resources)


def quote(number: int) -> Quote:
    """A quote that can be told from others."""
    return Quote(bytes([number]) * 16, number, None, [], 0, 0, 100, False, False, None)


def intent(amount_qu: int = 5) -> Intent:
    """An intent of Alice's to pay Bob."""
    return Intent(ALICE, BOB, amount_qu, Priority.SPEED, 0, 1_000)
