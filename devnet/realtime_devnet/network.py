"""The devnet's chain, without I/O, clock or randomness of its own.

One tick is *current*. :meth:`Network.step` processes it and moves on; the list of transactions of
the tick two ahead is fixed then, as mainnet's leaders do (TICK_TRANSACTIONS_PUBLICATION_OFFSET = 2,
qubic/core src/public_settings.h). So a transaction needs at least current + 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from realtime_devnet.genesis import EPOCH, Genesis
from realtime_devnet.ledger import Entity, Ledger
from realtime_devnet.pool import TICKS_AHEAD_MAX, Pending, Pool, priority_of
from realtime_devnet.settings import CONTRACT_INDEX
from realtime_protocol.identity import contract_public_key, is_contract_key
from realtime_protocol.qubic.contract_abi import ChainStatus, ChangeRecord, StatusSetting
from realtime_protocol.qubic.node_wire import COMPUTORS, TickData, TickTime
from realtime_protocol.qubic.turboauth import Roles, TurboAuth
from realtime_protocol.schnorrq import k12, sign
from realtime_protocol.transaction import (
    Transaction,
    parse_transaction,
    transaction_digest,
    verify_transaction,
)

LIST_FIXED_AHEAD: Final = 2
DEMO_SCORE: Final = 80
CONTRACT_KEY: Final = contract_public_key(CONTRACT_INDEX)


class Refusal(StrEnum):
    """Why a transaction doesn't wait for its tick. A node tells nobody."""

    MALFORMED = "malformed"
    TICK_PAST = "tick past"
    LIST_FIXED = "list of its tick fixed already"
    TICK_TOO_FAR = "tick too far"
    CONTRACT_SOURCE = "contract as source"
    NO_BALANCE = "source without balance"
    DUPLICATE = "known already"
    BAD_SIGNATURE = "bad signature"
    POOL_FULL = "pool full"


@dataclass(frozen=True, slots=True)
class FixedTick:
    """A tick whose list is fixed and not empty (or the network's first)."""

    data: TickData
    transactions: tuple[Pending, ...]


@dataclass(frozen=True, slots=True)
class Processed:
    """A transaction that was in a processed tick; included doesn't mean that money moved."""

    digest: bytes
    signed: bytes
    tick: int
    position: int
    time_ms: int
    money_flew: bool


@dataclass(frozen=True, slots=True)
class TickOutcome:
    """All that one step changed; whoever keeps the state writes this and nothing else."""

    processed_tick: int
    transactions: tuple[Processed, ...]
    fixed: FixedTick | None
    arrived: tuple[Pending, ...]
    displaced: tuple[bytes, ...]
    entities: tuple[Entity, ...]
    trust_changes: tuple[ChangeRecord, ...]
    roles: Roles
    tick: int
    clock_ms: int


class Network:
    """A chain in one object. What it does follows from genesis and the order of arrivals."""

    def __init__(
        self,
        genesis: Genesis,
        *,
        tick_ms: int,
        tick: int,
        clock_ms: int,
        ledger: Ledger,
        pool: Pool,
        contract: TurboAuth,
        fixed: Mapping[int, FixedTick],
    ) -> None:
        self.genesis = genesis
        self.computor = genesis.computor()
        self.tick_ms = tick_ms
        self.tick = tick
        self.clock_ms = clock_ms
        """The network's own time: it moves by tick_ms each tick, whatever the real clock says."""
        self.ledger = ledger
        self.pool = pool
        self.contract = contract
        self._fixed = dict(fixed)

    @classmethod
    def begin(cls, genesis: Genesis, *, tick_ms: int) -> "Network":
        """Return a new network at its first tick, with funded and trusted demo wallets."""
        admin = genesis.admin()
        network = cls(
            genesis,
            tick_ms=tick_ms,
            tick=genesis.start_tick,
            clock_ms=genesis.clock_ms,
            ledger=Ledger(),
            pool=Pool(),
            contract=TurboAuth(Roles(admin.public_key)),
            fixed={},
        )
        for wallet in (*genesis.wallets(), admin):
            network.ledger.credit(wallet.public_key, wallet.balance_qu, genesis.start_tick)
        for wallet in genesis.wallets():
            setting = StatusSetting(wallet.public_key, ChainStatus.ACTIVE, DEMO_SCORE)
            network.contract.list_wallet(setting, genesis.start_tick)
        # The first tick has TickData although it is empty: it names the network.
        network._fixed[genesis.start_tick] = network._fixed_tick(genesis.start_tick, ())
        return network

    @property
    def epoch(self) -> int:
        """The one epoch of a devnet."""
        return EPOCH

    def fixed(self, tick: int) -> FixedTick | None:
        """Return the list of the current tick or of one ahead, if it is fixed and not empty."""
        return self._fixed.get(tick)

    def call_function(self, contract_index: int, input_type: int, payload: bytes) -> bytes:
        """Answer a read-only contract call; b"" stands for any failure, as on nodes."""
        if contract_index != CONTRACT_INDEX:
            return b""
        return self.contract.call(input_type, payload)

    def submit(self, signed: bytes) -> Refusal | None:
        """Take a transaction into the pool, or say why not."""
        try:
            transaction = parse_transaction(signed)
        except ValueError:
            return Refusal.MALFORMED
        if transaction.tick <= self.tick:
            return Refusal.TICK_PAST
        if transaction.tick <= self.tick + LIST_FIXED_AHEAD:
            return Refusal.LIST_FIXED
        if transaction.tick >= self.tick + TICKS_AHEAD_MAX:
            return Refusal.TICK_TOO_FAR
        if is_contract_key(transaction.source):
            return Refusal.CONTRACT_SOURCE
        source = self.ledger.entity(transaction.source)
        priority = 0 if source is None else priority_of(source, transaction.tick)
        if priority <= 0:
            return Refusal.NO_BALANCE
        digest = transaction_digest(signed)
        if self.pool.holds(transaction.tick, digest):
            return Refusal.DUPLICATE
        if not verify_transaction(signed):
            return Refusal.BAD_SIGNATURE
        taken = self.pool.add(digest, signed, transaction, priority)
        return None if taken else Refusal.POOL_FULL

    def step(self) -> TickOutcome:
        """Process the current tick, move to the next, and fix the list two ahead of that."""
        processed_tick = self.tick
        arrived = self.pool.take_arrived()
        processed = self._process(self._fixed.pop(processed_tick, None))
        self.pool.drop(processed_tick)
        self.tick += 1
        self.clock_ms += self.tick_ms
        fixed = self._fix(self.tick + LIST_FIXED_AHEAD)
        return TickOutcome(
            processed_tick=processed_tick,
            transactions=processed,
            fixed=fixed,
            arrived=arrived,
            displaced=self.pool.take_displaced(),
            entities=self.ledger.take_changed(),
            trust_changes=self.contract.take_fresh(),
            roles=self.contract.roles,
            tick=self.tick,
            clock_ms=self.clock_ms,
        )

    def _fix(self, tick: int) -> FixedTick | None:
        waiting = self.pool.at(tick)
        if not waiting:
            return None
        fixed = self._fixed_tick(tick, waiting)
        self._fixed[tick] = fixed
        return fixed

    def _fixed_tick(self, tick: int, transactions: tuple[Pending, ...]) -> FixedTick:
        data = TickData.build(
            computor_index=tick % COMPUTORS,
            epoch=self.epoch,
            tick=tick,
            time=TickTime.of_epoch_ms(self.clock_ms),
            timelock=self.genesis.randomness,
            digests=[pending.digest for pending in transactions],
        )
        key = self.computor
        signature = sign(key.subseed, key.public_key, k12(data.signing_message()))
        return FixedTick(data.signed(signature), transactions)

    def _process(self, fixed: FixedTick | None) -> tuple[Processed, ...]:
        if fixed is None:
            return ()
        time_ms = fixed.data.time.epoch_ms()
        return tuple(
            Processed(
                digest=pending.digest,
                signed=pending.signed,
                tick=fixed.data.tick,
                position=position,
                time_ms=time_ms,
                money_flew=self._execute(pending.transaction),
            )
            for position, pending in enumerate(fixed.transactions)
        )

    def _execute(self, transaction: Transaction) -> bool:
        """Move the money and run the contract; tell whether money flew, as nodes define it."""
        source, destination = transaction.source, transaction.destination
        amount_qu, tick = transaction.amount_qu, transaction.tick
        if not self.ledger.has_room_for(destination):
            return False
        if not self.ledger.debit(source, amount_qu, tick):
            return False
        self.ledger.credit(destination, amount_qu, tick)
        if self._kept_by(transaction):
            return amount_qu > 0
        if amount_qu > 0:
            self.ledger.debit(destination, amount_qu, tick)
            self.ledger.credit(source, amount_qu, tick)
        return False

    def _kept_by(self, transaction: Transaction) -> bool:
        """Run the destination if it is a contract; False when it gives the amount back."""
        if not is_contract_key(transaction.destination):
            return True
        if transaction.destination != CONTRACT_KEY:
            # No other contract is built here: as on mainnet without an execution-fee reserve.
            return False
        if not self.contract.has_procedure(transaction.input_type):
            # Core keeps what is sent with an unregistered type.
            return True
        return self.contract.invoke(
            transaction.source, transaction.input_type, transaction.payload, transaction.tick
        )
