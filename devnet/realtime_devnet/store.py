"""The network's state and history on disk: SQLite, one transaction a tick.

Write-ahead logging without a sync per commit: a killed process loses nothing that it committed; a
machine that loses power may go back some ticks, never to half a tick.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from realtime_devnet.genesis import EPOCH, Genesis
from realtime_devnet.ledger import Entity, Ledger
from realtime_devnet.network import FixedTick, Network, Processed, TickOutcome
from realtime_devnet.pool import Pending, Pool
from realtime_devnet.settings import DevnetError
from realtime_protocol.qubic.contract_abi import ChainStatus, ChangeRecord, StatusRecord
from realtime_protocol.qubic.node_wire import COMPUTORS, TickData, TickTime
from realtime_protocol.qubic.turboauth import CHANGES_KEPT_MAX, Roles, TurboAuth
from realtime_protocol.transaction import parse_transaction

FORMAT: Final = 1
MEMORY: Final = Path(":memory:")
_DIGEST_BYTES: Final = 32

_SCHEMA: Final = """
CREATE TABLE network (only INTEGER PRIMARY KEY CHECK (only = 1), genesis BLOB NOT NULL);
CREATE TABLE position (
    only INTEGER PRIMARY KEY CHECK (only = 1), tick INTEGER NOT NULL, clock_ms INTEGER NOT NULL,
    admin BLOB NOT NULL, pending_admin BLOB NOT NULL, next_contract_index TEXT NOT NULL,
    last_sequence INTEGER NOT NULL
);
CREATE TABLE entities (
    public_key BLOB PRIMARY KEY, place INTEGER NOT NULL, incoming_qu INTEGER NOT NULL,
    outgoing_qu INTEGER NOT NULL, incoming_count INTEGER NOT NULL, outgoing_count INTEGER NOT NULL,
    latest_incoming_tick INTEGER NOT NULL, latest_outgoing_tick INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE pool (
    digest BLOB PRIMARY KEY, tick INTEGER NOT NULL, priority INTEGER NOT NULL,
    arrival INTEGER NOT NULL, signed BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX pool_tick ON pool (tick);
CREATE TABLE ticks (
    tick INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, timelock BLOB NOT NULL,
    signature BLOB NOT NULL, digests BLOB NOT NULL
);
CREATE TABLE transactions (
    digest BLOB PRIMARY KEY, tick INTEGER NOT NULL, position INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, money_flew INTEGER NOT NULL, signed BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX transactions_tick ON transactions (tick, position);
CREATE TABLE trust_records (
    wallet BLOB PRIMARY KEY, sequence INTEGER NOT NULL, tick INTEGER NOT NULL,
    status INTEGER NOT NULL, score INTEGER NOT NULL, reason INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE trust_changes (
    wallet BLOB NOT NULL, sequence INTEGER PRIMARY KEY, tick INTEGER NOT NULL,
    status INTEGER NOT NULL, score INTEGER NOT NULL, reason INTEGER NOT NULL
)
"""
_PROCESSED: Final = "SELECT digest, signed, tick, position, time_ms, money_flew FROM transactions"
_TICKS: Final = "SELECT tick, time_ms, timelock, signature, digests FROM ticks"


class Store:
    """One network's file. Use it from one thread; :meth:`close` it."""

    def __init__(self, path: Path) -> None:
        """Open *path*, or a database in memory that ends with this object."""
        self._path = path
        try:
            self._database = _open(path)
        except sqlite3.Error as error:
            raise DevnetError(f"{path} can't be opened ({error}); --reset begins anew") from error

    def close(self) -> None:
        """Release the file."""
        self._database.close()

    def create(self, network: Network) -> None:
        """Write a new network."""
        packed = msgspec.msgpack.encode(network.genesis)
        first = network.fixed(network.tick)
        with self._transaction():
            for statement in _SCHEMA.split(";"):
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version = {FORMAT}")
            self._database.execute("INSERT INTO network VALUES (1, ?)", (packed,))
            self._write_entities(network.ledger.take_changed())
            self._write_trust(network.contract.take_fresh())
            self._write_position(network.tick, network.clock_ms, network.contract.roles)
            if first is not None:
                self._write_fixed(first)

    def record(self, outcome: TickOutcome) -> None:
        """Write what one step changed, all or nothing."""
        with self._transaction():
            self._write_pool(outcome)
            self._write_processed(outcome.transactions)
            self._write_entities(outcome.entities)
            self._write_trust(outcome.trust_changes)
            if outcome.fixed is not None:
                self._write_fixed(outcome.fixed)
            self._write_position(outcome.tick, outcome.clock_ms, outcome.roles)

    def load(self, *, tick_ms: int) -> Network:
        """Return the network as it was after the last recorded step."""
        try:
            return self._load(tick_ms)
        except (sqlite3.Error, msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            raise DevnetError(
                f"{self._path} holds no network that can go on ({error}); --reset begins anew"
            ) from error

    def tick_data(self, tick: int) -> TickData | None:
        """Return a tick's list; None when it is empty or not fixed yet."""
        row = self._database.execute(f"{_TICKS} WHERE tick = ?", (tick,)).fetchone()
        return None if row is None else _tick_data(*row)

    def transaction(self, digest: bytes) -> Processed | None:
        """Return a processed transaction."""
        row = self._database.execute(f"{_PROCESSED} WHERE digest = ?", (digest,)).fetchone()
        return None if row is None else _processed(*row)

    def transactions(self, tick: int) -> list[Processed]:
        """Return the transactions of a processed tick in order."""
        rows = self._database.execute(f"{_PROCESSED} WHERE tick = ? ORDER BY position", (tick,))
        return [_processed(*row) for row in rows]

    def transactions_count(self) -> int:
        """Return how many transactions were processed since the network began."""
        count: int = self._database.execute("SELECT count(*) FROM transactions").fetchone()[0]
        return count

    def empty_ticks_count(self, first_tick: int, end_tick: int) -> int:
        """Return how many ticks from *first_tick* up to *end_tick* held no transaction."""
        query = "SELECT count(*) FROM ticks WHERE tick >= ? AND tick < ? AND digests <> x''"
        used: int = self._database.execute(query, (first_tick, end_tick)).fetchone()[0]
        return end_tick - first_tick - used

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _load(self, tick_ms: int) -> Network:
        version = self._one("PRAGMA user_version")[0]
        if version != FORMAT:
            raise ValueError(f"its format is {version}, this devnet's is {FORMAT}")
        genesis = msgspec.msgpack.decode(self._one("SELECT genesis FROM network")[0], type=Genesis)
        tick, clock_ms, admin, pending_admin, next_contract_index, last_sequence = self._one(
            "SELECT tick, clock_ms, admin, pending_admin, next_contract_index, last_sequence "
            "FROM position"
        )
        pending = {found.digest: found for found in self._pending()}
        return Network(
            genesis,
            tick_ms=tick_ms,
            tick=tick,
            clock_ms=clock_ms,
            ledger=Ledger(Entity(*row) for row in self._database.execute("SELECT * FROM entities")),
            pool=Pool(pending.values()),
            contract=TurboAuth(
                Roles(admin, pending_admin, int(next_contract_index), last_sequence),
                self._trust("SELECT * FROM trust_records"),
                self._trust("SELECT * FROM trust_changes ORDER BY sequence"),
            ),
            fixed=self._fixed_ticks(tick, pending),
        )

    def _one(self, query: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._database.execute(query).fetchone()
        if row is None:
            raise LookupError("it was never finished")
        return row

    def _pending(self) -> Iterator[Pending]:
        rows = self._database.execute("SELECT digest, signed, priority, arrival FROM pool")
        for digest, signed, priority, arrival in rows:
            yield Pending(digest, signed, parse_transaction(signed), priority, arrival)

    def _fixed_ticks(self, tick: int, pending: dict[bytes, Pending]) -> dict[int, FixedTick]:
        rows = self._database.execute(f"{_TICKS} WHERE tick >= ?", (tick,))
        lists = [_tick_data(*row) for row in rows]
        return {
            data.tick: FixedTick(data, tuple(pending[digest] for digest in data.digests))
            for data in lists
        }

    def _trust(self, query: str) -> Iterator[ChangeRecord]:
        for wallet, sequence, tick, status, score, reason in self._database.execute(query):
            record = StatusRecord(sequence, tick, ChainStatus(status), score, reason)
            yield ChangeRecord(wallet, record)

    def _write_pool(self, outcome: TickOutcome) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO pool VALUES (?, ?, ?, ?, ?)",
            (
                (found.digest, found.transaction.tick, found.priority, found.arrival, found.signed)
                for found in outcome.arrived
            ),
        )
        displaced = ((digest,) for digest in outcome.displaced)
        self._database.executemany("DELETE FROM pool WHERE digest = ?", displaced)
        self._database.execute("DELETE FROM pool WHERE tick <= ?", (outcome.processed_tick,))

    def _write_processed(self, transactions: Iterable[Processed]) -> None:
        self._database.executemany(
            "INSERT INTO transactions (digest, tick, position, time_ms, money_flew, signed) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                (done.digest, done.tick, done.position, done.time_ms, done.money_flew, done.signed)
                for done in transactions
            ),
        )

    def _write_entities(self, entities: Iterable[Entity]) -> None:
        self._database.executemany(
            "INSERT OR REPLACE INTO entities VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    entity.public_key,
                    entity.index,
                    entity.incoming_qu,
                    entity.outgoing_qu,
                    entity.incoming_count,
                    entity.outgoing_count,
                    entity.latest_incoming_tick,
                    entity.latest_outgoing_tick,
                )
                for entity in entities
            ),
        )

    def _write_trust(self, changes: Iterable[ChangeRecord]) -> None:
        rows = [
            (
                change.wallet,
                change.record.sequence,
                change.record.updated_tick,
                change.record.status,
                change.record.trust_score,
                change.record.reason,
            )
            for change in changes
        ]
        if not rows:
            return
        for table in ("trust_records", "trust_changes"):
            self._database.executemany(
                f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608  (ours)
                rows,
            )
        oldest = rows[-1][1] - CHANGES_KEPT_MAX
        self._database.execute("DELETE FROM trust_changes WHERE sequence <= ?", (oldest,))

    def _write_fixed(self, fixed: FixedTick) -> None:
        data = fixed.data
        self._database.execute(
            "INSERT INTO ticks (tick, time_ms, timelock, signature, digests) "
            "VALUES (?, ?, ?, ?, ?)",
            (
                data.tick,
                data.time.epoch_ms(),
                data.timelock,
                data.signature,
                b"".join(data.digests),
            ),
        )

    def _write_position(self, tick: int, clock_ms: int, roles: Roles) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO position VALUES (1, ?, ?, ?, ?, ?, ?)",
            (
                tick,
                clock_ms,
                roles.admin,
                roles.pending_admin,
                # A u64, which SQLite's integers don't hold.
                str(roles.next_contract_index),
                roles.last_sequence,
            ),
        )


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        database.close()
        raise
    return database


def _processed(
    digest: bytes, signed: bytes, tick: int, position: int, time_ms: int, money_flew: int
) -> Processed:
    return Processed(digest, signed, tick, position, time_ms, bool(money_flew))


def _tick_data(
    tick: int, time_ms: int, timelock: bytes, signature: bytes, digests: bytes
) -> TickData:
    cut = range(0, len(digests), _DIGEST_BYTES)
    return TickData.build(
        computor_index=tick % COMPUTORS,
        epoch=EPOCH,
        tick=tick,
        time=TickTime.of_epoch_ms(time_ms),
        timelock=timelock,
        digests=[digests[at : at + _DIGEST_BYTES] for at in cut],
    ).signed(signature)
