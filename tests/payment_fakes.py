"""A chain, trust, quotes and a journal that payment tests steer by hand."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fakes import FakeClock
from realtime_hub.chain.model import Entity, NodeUnavailable, ProcessedTick
from realtime_hub.pay.ports import JournalFull, JournalRecord
from realtime_hub.pay.service import PaymentService, PaymentSettings
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    DeadlineOf,
    Intent,
    PayRequest,
    PrepareKind,
    PrepareReply,
    PrepareRequest,
    Priority,
    Quote,
    Route,
    Trust,
    TrustReason,
    TrustStatus,
    TrustTier,
)
from realtime_protocol.schnorrq import KeyPair, keypair
from realtime_protocol.transaction import parse_transaction, sign_transaction, transaction_digest

NETWORK = bytes(range(32))
PAYER_KEYS: KeyPair = keypair("payer" * 11)
PAYER = PublicKey(PAYER_KEYS.public_key)
OTHER_KEYS: KeyPair = keypair("other" * 11)
OTHER = PublicKey(OTHER_KEYS.public_key)
PAYEE = PublicKey(keypair("payee" * 11).public_key)
BEGIN_TICK = 1_000_000
BALANCE_QU = 1_000_000


def trust_of(
    status: TrustStatus = TrustStatus.ACTIVE,
    *,
    score: int = 80,
    reason: int = TrustReason.NONE,
) -> Trust:
    """Return a wallet's trust."""
    return Trust(status, score, 1, reason, TrustTier.L2, 0, 0)


def intent_of(
    amount_qu: int = 1_000,
    *,
    source: PublicKey = PAYER,
    destination: PublicKey = PAYEE,
    timeout_ms: int = 30_000,
    deadline_of: DeadlineOf = DeadlineOf.ACCEPTED,
) -> Intent:
    """Return an intent to pay."""
    return Intent(source, destination, amount_qu, Priority.SPEED, 0, timeout_ms, deadline_of)


class FakeChain:
    """A chain that moves when told to. It serves as QubicPaymentPort and as TicksPort."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[ProcessedTick], None]] = []
        self.current_tick = BEGIN_TICK
        self.tick_ms = 1_000
        self.trouble: str | None = None
        self.frozen: str | None = None
        self.network_id = NETWORK
        self.reachable = True
        self.broadcasts: list[bytes] = []
        self.executed: list[bytes] = []
        self.balances: dict[PublicKey, int] = {PAYER: BALANCE_QU, OTHER: BALANCE_QU}
        self.latest_outgoing: dict[PublicKey, int] = {}
        self.unproven: set[int] = set()
        self.shows_transactions = True
        """Whether nodes answer for a processed transaction by its digest."""
        self.lost: set[bytes] = set()
        """Digests that never reach a tick's list, though nodes took them."""
        self._ticks: dict[int, tuple[bytes, ...] | None] = {}
        self._transactions: dict[bytes, bytes] = {}
        self.on_broadcast: Callable[[bytes], None] = lambda _: None

    async def wait_ready(self) -> None:
        """The network is known from the beginning."""

    async def processed_tick(self, tick: int) -> ProcessedTick | None:
        """Return what a tick held, unless it is past proving."""
        if tick in self.unproven or tick not in self._ticks:
            return None
        return ProcessedTick(tick, 1, self._ticks[tick])

    async def entity(self, key: PublicKey) -> Entity | None:
        """Return the balance at the current tick's start."""
        self._require_reachable()
        if key not in self.balances:
            return None
        latest = self.latest_outgoing.get(key, 0)
        return Entity(key, self.balances[key], 1, 1, 0, latest, self.current_tick)

    async def broadcast(self, signed_tx: bytes, *, again: bool = False) -> None:
        """Take a transaction."""
        self._require_reachable()
        self.on_broadcast(signed_tx)
        self.broadcasts.append(signed_tx)

    async def transaction(self, digest: bytes) -> bytes | None:
        """Return a processed transaction."""
        self._require_reachable()
        return self._transactions.get(digest) if self.shows_transactions else None

    async def tick_transactions(self, tick: int) -> list[bytes]:
        """Return a processed tick's transactions."""
        self._require_reachable()
        return [self._transactions[digest] for digest in self._ticks[tick] or ()]

    def step(self, ticks: int = 1) -> None:
        """Process ticks: what was broadcast for one is in it, once."""
        for _ in range(ticks):
            self._process()

    def _process(self) -> None:
        tick = self.current_tick
        there = {
            transaction_digest(one): one
            for one in self.broadcasts
            if parse_transaction(one).tick == tick and transaction_digest(one) not in self.lost
        }
        for digest, signed_tx in there.items():
            self._execute(signed_tx)
            self._transactions[digest] = signed_tx
        self._ticks[tick] = tuple(there) or None
        self.current_tick += 1
        for listener in self.listeners:
            listener(ProcessedTick(tick, 1, self._ticks[tick]))

    def _execute(self, signed_tx: bytes) -> None:
        transaction = parse_transaction(signed_tx)
        if self.balances.get(transaction.source, 0) >= transaction.amount_qu:
            self.balances[transaction.source] -= transaction.amount_qu
            held = self.balances.get(transaction.destination, 0)
            self.balances[transaction.destination] = held + transaction.amount_qu
            self.latest_outgoing[transaction.source] = transaction.tick
            self.executed.append(signed_tx)

    def _require_reachable(self) -> None:
        if not self.reachable:
            raise NodeUnavailable("no node in this test")


@dataclass
class FakeTrust:
    """Trust that a test sets. *gate* holds the answer back."""

    trust: Trust = field(default_factory=trust_of)
    error: RequestError | None = None
    gate: asyncio.Event | None = None
    asked: int = 0
    memory: Trust | None = None
    of: dict[PublicKey, Trust] = field(default_factory=dict)
    """Of wallets that are trusted otherwise than the rest."""

    def remembered(self, wallet: PublicKey) -> Trust | None:
        """Return what a test put there."""
        return self.memory

    async def fresh(self, wallet: PublicKey) -> Trust:
        """Return the trust as it is when asked."""
        self.asked += 1
        trust = self.of.get(wallet, self.trust)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return trust


@dataclass(frozen=True)
class FakeQuoted:
    """A remembered quote."""

    intent: Intent
    quote: Quote
    valid_until_tick: int


class FakeQuotes:
    """Quotes the direct route for everything."""

    def __init__(self, chain: FakeChain) -> None:
        self.executable = True
        self._chain = chain
        self._quoted: dict[bytes, FakeQuoted] = {}

    def find(self, quote_id: bytes) -> FakeQuoted | None:
        """Return a remembered quote."""
        return self._quoted.get(quote_id)

    def quote(self, intent: Intent) -> Quote:
        """Quote and remember."""
        quote_id = len(self._quoted).to_bytes(16, "big")
        route = Route("direct", "direct", [intent.source, intent.destination])
        until = self._chain.current_tick + 30
        quote = Quote(quote_id, 1, route, [], 0, 6_000, until, self.executable, False, None)
        self._quoted[quote_id] = FakeQuoted(intent, quote, until)
        return quote


class GateJournal:
    """A journal whose disk a test holds back: records wait until :meth:`commit`."""

    def __init__(self, records: Sequence[JournalRecord] = (), *, queue_max: int = 1_000) -> None:
        self.journal_id = b"journal1"
        self.failing: str | None = None
        self.records = list(records)
        self.queue_max = queue_max
        self.automatic = True
        self._queue: deque[tuple[JournalRecord, Callable[[int], None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return len(self._queue)

    def append(
        self,
        network_id: bytes,
        payment_id: bytes,
        body: bytes,
        durable: Callable[[int], None],
        *,
        must: bool = False,
    ) -> None:
        """Queue a record."""
        if not must and len(self._queue) >= self.queue_max:
            raise JournalFull(f"{self.queue_max} records wait")
        offset = len(self.records) + len(self._queue) + 1
        self._queue.append((JournalRecord(offset, network_id, payment_id, body), durable))
        if self.automatic:
            asyncio.get_running_loop().call_soon(self.commit)

    def commit(self) -> None:
        """Make all that waits durable."""
        while self._queue:
            record, durable = self._queue.popleft()
            self.records.append(record)
            durable(record.offset)

    async def find(self, network_id: bytes, payment_id: bytes) -> Sequence[JournalRecord]:
        """Return one payment's records."""
        return [one for one in self.records if one.payment_id == payment_id]

    async def replay(self, network_id: bytes) -> Sequence[JournalRecord]:
        """Return the network's records."""
        return [one for one in self.records if one.network_id == network_id]


@dataclass
class PaymentBench:
    """A payment service with everything around it in the test's hand."""

    chain: FakeChain = field(default_factory=FakeChain)
    journal: GateJournal = field(default_factory=GateJournal)
    trust: FakeTrust = field(default_factory=FakeTrust)
    clock: FakeClock = field(default_factory=FakeClock)
    settings: PaymentSettings = field(default_factory=lambda: PaymentSettings(tick_offset=5))
    genuine: bool = True
    """What the signature check says."""

    def __post_init__(self) -> None:
        self.quotes = FakeQuotes(self.chain)
        self.service = PaymentService(
            chain=self.chain,
            ticks=self.chain,
            journal=self.journal,
            trust=self.trust,
            quotes=self.quotes,
            signatures=self,
            clock=self.clock,
            settings=self.settings,
        )

    async def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Serve as SignaturePort."""
        await asyncio.sleep(0)
        return self.genuine

    async def start(self) -> "PaymentBench":
        """Recover from the journal; the loops are driven by :meth:`work`."""
        await self.service.recover()
        return self

    async def work(self) -> None:
        """Let everything that is due happen once."""
        for _ in range(3):
            await asyncio.sleep(0)
        await self.service.executor.send_round()
        await self.service.executor.resolve_round()
        for _ in range(3):
            await asyncio.sleep(0)

    async def step(self, ticks: int = 1) -> None:
        """Process ticks one by one, with the work that each brings."""
        for _ in range(ticks):
            await self.work()
            self.chain.step()
            self.clock.advance_ms(self.chain.tick_ms)
        await self.work()

    async def prepare(
        self, intent: Intent | None = None, *, payer: PublicKey = PAYER, sign_within_ms: int = 0
    ) -> PrepareReply:
        """Prepare a payment of an intent."""
        request = PrepareRequest(PrepareKind.INTENT, None, intent or intent_of(), sign_within_ms)
        return await self.service.prepare(payer, request)

    async def prepare_again(self, payment_id: bytes, *, payer: PublicKey = PAYER) -> PrepareReply:
        """Prepare a further attempt."""
        return await self.service.prepare(
            payer, PrepareRequest(PrepareKind.AGAIN, None, payment_id, 0)
        )

    async def request(
        self, intent: Intent | None = None, *, idem: bytes = b"i" * 16, keys: KeyPair = PAYER_KEYS
    ) -> PayRequest:
        """Prepare and sign."""
        prepared = await self.prepare(intent, payer=PublicKey(keys.public_key))
        return signed(prepared, idem=idem, keys=keys)


def signed(
    prepared: PrepareReply, *, idem: bytes = b"i" * 16, keys: KeyPair = PAYER_KEYS
) -> PayRequest:
    """Sign what was prepared."""
    signed_tx = sign_transaction(prepared.unsigned_tx, keys.subseed, keys.public_key)
    return PayRequest(idem, prepared.quote_id, signed_tx, prepared.attempt)


def unavailable() -> RequestError:
    """Return what a trust port says when the shared record can't be read."""
    return RequestError(ErrorCode.BACKBONE_UNAVAILABLE, "no Redis", retry_after_ms=1_000)


async def until(true: Callable[[], bool]) -> None:
    """Let others run until *true*; a test that waits in vain fails soon."""
    for _ in range(1_000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")
