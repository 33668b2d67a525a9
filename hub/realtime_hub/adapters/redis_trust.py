"""The trust log in Redis, for a fleet of hubs: every hub that lives gets every entry, in order.

One script appends: stream entry, shared record and publication happen together or not at all. A
publication is only a hint: a follower checks place and hash, fills gaps from the stream beginning
with the last entry it knows, and looks at the head each second. The last look that went well began
less than the lease ago, or the hub doesn't vouch for its answers.

An entry names its place and the hash of the entry before it, so an append says where it expects to
land and tries again when another hub was faster. When the entry that a follower knows is gone or
has changed, the log has lost its past (an emptied server, a fail-over to one that was behind): the
epoch ends, and every hub begins anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.exceptions import RedisError

from realtime_hub.adapters import redis_trust_scripts as scripts
from realtime_hub.adapters.redis_asking import asked, stop_if_cancelled
from realtime_hub.adapters.redis_seal import Seal
from realtime_hub.adapters.redis_servers import TAG, open_connection, primary_of
from realtime_hub.auth.model import EntryKind, LogEntry
from realtime_hub.auth.ports import CachedRecord, LogBegin, LogUnavailable
from realtime_hub.auth.recent_entries import SaidOfOrders
from realtime_hub.clock import Clock, Entropy
from realtime_protocol.messages import Position

logger = logging.getLogger(__name__)

APPEND_TRIES_MAX: Final = 32
DELIVERIES_IN_ONE_GO: Final = 64
"""Then others have their turn on the loop."""
_NAME_BYTES: Final = 16
_EPOCH_BYTES: Final = 8
_NO_HASH: Final = bytes(32)
_LOOKING: Final = "trust log"
_LISTENING: Final = "trust publications"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustLogLimits:
    """Bounds and times of the log."""

    lease_s: float = 2.0
    """Without a good look at the log for longer, the hub doesn't vouch for its answers."""
    look_every_s: float = 1.0
    idle_s: float = 1.0
    """Publications silent for so long are asked for a sign of life, and given up after another."""
    reconnect_pause_s: float = 0.1
    entries_max: int = 100_000
    """About so many entries are kept at most; a position before them can't be recovered."""
    kept_ms: int = 86_400_000
    """Entries older than this are trimmed."""
    trim_every_ms: int = 60_000
    turn_ms: int = 3_000
    """A hub that hasn't asked for so long loses its turn to feed the log."""
    replay_entries_max: int = 4_096
    """So many of the newest entries are read when a hub begins: what is pending is among them."""
    fill_entries_max: int = 1_000
    """Entries in one answer of Redis."""


class TrustKeys:
    """The names in Redis, for one network: one hash tag, so one server."""

    def __init__(self, network_id: bytes) -> None:
        prefix = f"{TAG}:{network_id.hex()[:16]}:trust"
        self.epoch = f"{prefix}:epoch"
        self.log = f"{prefix}:log"
        self.notes = f"{prefix}:notes"
        self.records = f"{prefix}:records"
        self.logged = f"{prefix}:logged"
        self.chain = f"{prefix}:chain-sequence"
        self.channel = f"{prefix}:changes"
        self.turn = f"{prefix}:turn"


@dataclass(frozen=True, slots=True)
class _Look:
    """The log as one script saw it."""

    epoch: bytes
    born_ms: int
    head: int
    entries: list[tuple[int, bytes]]


class RedisTrustLog:
    """The log of a fleet. One owner runs :meth:`follow`."""

    def __init__(
        self,
        redis: Redis,
        *,
        network_id: Callable[[], bytes],
        fleet_key: bytes,
        clock: Clock,
        entropy: Entropy,
        wait_ready: Callable[[], Awaitable[None]],
        limits: TrustLogLimits | None = None,
    ) -> None:
        self.gaps = 0
        """How often a publication was missed and read back."""
        self._redis = redis
        self._primary = primary_of(redis)
        self._publish, self._subscribe = (
            ("SPUBLISH", "SSUBSCRIBE") if self._primary.sharded else ("PUBLISH", "SUBSCRIBE")
        )
        self._network_id = network_id
        self._seal = Seal(fleet_key)
        self._clock = clock
        self._entropy = entropy
        self._wait_ready = wait_ready
        self._limits = limits or TrustLogLimits()
        self._script_append = redis.register_script(scripts.APPEND)
        self._script_read = redis.register_script(scripts.READ)
        self._script_rotate = redis.register_script(scripts.ROTATE)
        self._script_trim = redis.register_script(scripts.TRIM)
        self._script_turn = redis.register_script(scripts.TURN)
        self._name = entropy.token(_NAME_BYTES)
        """Of this hub among those that take turns."""
        self._epoch = bytes(_EPOCH_BYTES)
        self._born_ms = 0
        self._head = 0
        self._head_hash = _NO_HASH
        self._vouched_s: float | None = None
        self._deliver: Callable[[LogEntry], None] = lambda _entry: None
        self._begin: LogBegin = lambda _entries: None
        self._said: dict[str, str | None] = {}
        self._said_of_orders = SaidOfOrders()
        self._filling = asyncio.Lock()
        self._appending = asyncio.Lock()

    @property
    def trouble(self) -> str | None:
        """Why the log can't be vouched for now; None while the lease holds."""
        if self._vouched_s is None:
            return "Redis hasn't answered yet"
        silent_s = self._clock.monotonic_s() - self._vouched_s
        if silent_s <= self._limits.lease_s:
            return None
        why = self._said.get(_LOOKING)
        return f"Redis hasn't answered for {silent_s:.1f} s" + (f" ({why})" if why else "")

    @property
    def answers(self) -> bool:
        """See TrustLog: a lost connection, a late answer and an error all tell at once."""
        return self._vouched_s is not None and not any(self._said.values())

    @property
    def born_ms(self) -> int:
        """When the epoch began, epoch ms."""
        return self._born_ms

    def position(self) -> Position:
        """What this hub has delivered."""
        return Position(self._epoch, self._head)

    async def catch_up(self) -> None:
        """Deliver whatever the log holds now."""
        if self._vouched_s is None:
            raise LogUnavailable("the log hasn't been read yet")
        await self._fill()

    # Appending ----------------------------------------------------------------------------------

    async def append(self, draft: LogEntry) -> int | None:
        """Append behind the newest entry; try again when another hub was faster.

        What an order says stands there once, however often it is tried: two writes that expect the
        same place never both land, and whoever lost looks at what did.
        """
        shared = b""
        if draft.kind is EntryKind.CHAIN:
            shared = self._seal.record(CachedRecord(draft.record, draft.event_ms))
        async with self._appending:
            for _ in range(APPEND_TRIES_MAX):
                said_at = self._said_of_orders.place_of(draft)
                if said_at is not None:
                    return said_at
                landed = await self._try_append(draft, shared)
                if landed == scripts.NOT_NEWER:
                    if await self._is_logged(draft):
                        return None
                elif landed not in (scripts.MOVED_ON, scripts.NEW_EPOCH):
                    return landed
        raise LogUnavailable(f"the log moved on {APPEND_TRIES_MAX} times")

    async def _try_append(self, draft: LogEntry, shared: bytes) -> int:
        keys = self._keys()
        epoch, head = self._epoch, self._head
        entry = replace(draft, log_seq=head + 1, previous_hash=self._head_hash)
        data = self._seal.entry(entry)
        landed = int(
            await asked(
                self._script_append(
                    keys=[
                        keys.epoch,
                        keys.log,
                        keys.records,
                        keys.chain,
                        keys.channel,
                        keys.logged,
                    ],
                    args=[
                        epoch,
                        head,
                        draft.wallet if shared else b"",
                        shared,
                        data,
                        self._limits.entries_max,
                        self._publish,
                    ],
                )
            )
        )
        if landed == head + 1 and self._follows(landed, head, epoch):
            self._take(landed, data)
        elif landed != scripts.NOT_NEWER:
            await self._fill()
        return landed

    def _follows(self, seq: int, head: int, epoch: bytes) -> bool:
        """Whether an entry may be delivered now: nobody else delivers, nothing is between."""
        return (
            not self._filling.locked()
            and self._vouched_s is not None
            and (self._epoch, self._head) == (epoch, head)
            and seq == head + 1
        )

    async def _is_logged(self, draft: LogEntry) -> bool:
        """Whether what counts as logged is the fleet's own; what is forged is removed."""
        keys = self._keys()
        data = await asked(self._redis.hget(keys.logged, draft.wallet))
        if data is None:
            return False
        if self._seal.read_record(draft.wallet, data) is not None:
            return True
        logger.error("a record of the log isn't the fleet's; removed")
        await asked(self._redis.hdel(keys.logged, draft.wallet))
        return False

    # Reading ------------------------------------------------------------------------------------

    async def read_since(self, offset: int) -> list[LogEntry] | None:
        """Return what came after *offset*; None when the stream no longer has all of it."""
        count = self._head - offset
        if count <= 0:
            return []
        look = await self._look(offset + 1, count)
        if look.epoch != self._epoch or not look.entries or look.entries[0][0] != offset + 1:
            return None
        entries = [self._seal.read_entry(data) for _, data in look.entries]
        return [entry for entry in entries if entry is not None]

    async def chain_sequence(self) -> int | None:
        """Return the newest chain sequence that any hub appended."""
        found = await asked(self._redis.get(self._keys().chain))
        return None if found is None else int.from_bytes(found, "big")

    async def skip_to(self, chain_sequence: int) -> None:
        """Let the epoch end, and go on behind that sequence."""
        await self._end_epoch(chain_sequence.to_bytes(8, "big"))
        await self._fill()

    async def take_turn(self) -> bool:
        """See TrustLog: a name with a time to live, which only its owner prolongs."""
        asking = self._script_turn(
            keys=[self._keys().turn], args=[self._name, self._limits.turn_ms]
        )
        return bool(await asked(asking))

    async def _look(self, first: int, count: int) -> _Look:
        keys = self._keys()
        answer = await asked(
            self._script_read(
                keys=[keys.epoch, keys.log],
                args=[self._entropy.token(_EPOCH_BYTES), first, count],
            )
        )
        try:
            return _read_look(answer)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise LogUnavailable(f"Redis' answer can't be read: {error}") from error

    # Following ----------------------------------------------------------------------------------

    async def follow(self, deliver: Callable[[LogEntry], None], begin: LogBegin) -> None:
        """Deliver entries for ever, through any loss of connection."""
        await self._wait_ready()
        self._deliver, self._begin = deliver, begin
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_looking(), name="trust log head")
            group.create_task(self._keep_listening(), name="trust publications")

    async def _keep_looking(self) -> None:
        """Look at the head each second: this alone would deliver everything, a second late."""
        trim_s = self._clock.monotonic_s()
        while True:
            pause_s = self._limits.look_every_s
            try:
                if not await self._primary.confirm():
                    logger.warning("another Redis server is the primary now")
                await self._fill()
                if self._clock.monotonic_s() >= trim_s:
                    trim_s = self._clock.monotonic_s() + self._limits.trim_every_ms / 1_000
                    await self._trim()
                self._say(_LOOKING, None)
            except (LogUnavailable, RedisError, OSError) as error:
                stop_if_cancelled()
                self._say(_LOOKING, str(error))
                pause_s = self._limits.reconnect_pause_s
            await asyncio.sleep(pause_s)

    async def _keep_listening(self) -> None:
        """Take publications as they come; whatever breaks, looking fills in."""
        while True:
            connection = open_connection(self._redis)
            try:
                await self._listen(connection)
            except (LogUnavailable, RedisError, OSError, TimeoutError) as error:
                stop_if_cancelled()
                self._say(_LISTENING, str(error))
                await asyncio.sleep(self._limits.reconnect_pause_s)
            finally:
                await connection.disconnect(nowait=True)

    async def _listen(self, connection: Connection) -> None:
        await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
        await connection.send_command(self._subscribe, self._keys().channel)
        waits_for_pong = False
        while True:
            message = await connection.read_response(
                timeout=self._limits.idle_s, disconnect_on_error=False
            )
            stop_if_cancelled()
            if message is None:
                if waits_for_pong:
                    raise LogUnavailable(f"silent for {2 * self._limits.idle_s:.1f} s; given up")
                await connection.send_command("PING")
                waits_for_pong = True
                continue
            waits_for_pong = False
            if not isinstance(message, list) or not message:
                raise LogUnavailable("a publication can't be read")
            if message[0] in (b"subscribe", b"ssubscribe"):
                self._say(_LISTENING, None)
                await self._fill()
            elif message[0] in (b"message", b"smessage"):
                await self._hear(message[2])

    async def _hear(self, data: bytes) -> None:
        entry = self._seal.read_entry(data)
        if entry is None or entry.log_seq <= self._head:
            return
        if entry.previous_hash == self._head_hash and self._follows(
            entry.log_seq, self._head, self._epoch
        ):
            self._take(entry.log_seq, data)
            return
        if not self._filling.locked():
            self.gaps += 1
        await self._fill()

    async def _fill(self) -> None:
        """Read from the last known entry, inclusive, and deliver what follows it."""
        async with self._filling:
            while True:
                began_s = self._clock.monotonic_s()
                look = await self._look(max(self._head, 1), self._limits.fill_entries_max)
                if self._vouched_s is None or look.epoch != self._epoch:
                    await self._begin_anew(began_s)
                elif not self._knows_place(look):
                    await self._lost_place(look)
                elif not await self._deliver_all(look.entries):
                    await self._end_epoch()
                elif len(look.entries) < self._limits.fill_entries_max:
                    self._vouched_s = began_s
                    return

    def _knows_place(self, look: _Look) -> bool:
        """Whether the last entry that was delivered is still where it was."""
        if self._head == 0:  # It began with an empty log: the first entry comes next.
            return not look.entries or look.entries[0][0] == 1
        return bool(look.entries) and (
            look.entries[0][0] == self._head and _hash(look.entries[0][1]) == self._head_hash
        )

    async def _deliver_all(self, entries: list[tuple[int, bytes]]) -> bool:
        """Deliver what is new; False at an entry that doesn't follow the one before."""
        for number, (seq, data) in enumerate(entries, 1):
            if seq > self._head:
                entry = self._seal.read_entry(data)
                chained = entry is None or entry.previous_hash == self._head_hash
                if seq != self._head + 1 or not chained:
                    return False
                self._take(seq, data)
            if number % DELIVERIES_IN_ONE_GO == 0:
                await asyncio.sleep(0)
        return True

    async def _lost_place(self, look: _Look) -> None:
        if look.entries and look.entries[0][0] > self._head:
            logger.warning("away for so long that the log was trimmed; beginning anew")
            await self._begin_anew(self._clock.monotonic_s())
        else:
            await self._end_epoch()

    async def _end_epoch(self, chain_sequence: bytes = b"") -> None:
        """Tell every hub that places in the log have lost their meaning."""
        logger.error("the trust log lacks what followed entry %d; its epoch ends", self._head)
        keys = self._keys()
        await asked(
            self._script_rotate(
                keys=[keys.epoch, keys.log, keys.chain],
                args=[self._epoch, chain_sequence, self._limits.replay_entries_max],
            )
        )

    async def _begin_anew(self, began_s: float) -> None:
        """Take the newest entries for a beginning: told together, for they are no news."""
        count = self._limits.replay_entries_max
        head = (await self._look(1, 1)).head
        newest = await self._look(max(1, head - count + 1), count)
        self._epoch, self._born_ms = newest.epoch, newest.born_ms
        self._head, self._head_hash = 0, _NO_HASH
        found = [self._read(seq, data) for seq, data in newest.entries]
        self._vouched_s = began_s
        self._said_of_orders.begin()
        self._begin([entry for entry in found if entry is not None])

    def _say(self, part: str, trouble: str | None) -> None:
        """Log a trouble once, not ten times a second."""
        before = self._said.get(part)
        self._said[part] = trouble
        if trouble is not None and trouble != before:
            logger.warning("%s: %s", part, trouble)
        elif trouble is None and before is not None:
            logger.info("%s: followed again", part)

    def _take(self, seq: int, data: bytes) -> None:
        entry = self._read(seq, data)
        if entry is not None:
            self._said_of_orders.add(entry)
            self._deliver(entry)

    def _read(self, seq: int, data: bytes) -> LogEntry | None:
        """Move on to an entry; None for one that the fleet didn't write."""
        self._head, self._head_hash = seq, _hash(data)
        entry = self._seal.read_entry(data)
        if entry is None or entry.log_seq != seq:
            logger.error("trust log entry %d isn't the fleet's; left out", seq)
            return None
        return entry

    async def _trim(self) -> None:
        keys, limits = self._keys(), self._limits
        await asked(
            self._script_trim(
                keys=[keys.log, keys.notes], args=[limits.trim_every_ms, limits.kept_ms]
            )
        )

    def _keys(self) -> TrustKeys:
        return TrustKeys(self._network_id())


def _read_look(answer: Any) -> _Look:
    epoch, head, entries = answer
    return _Look(
        epoch[:_EPOCH_BYTES],
        int.from_bytes(epoch[_EPOCH_BYTES:], "big"),
        int(head),
        [(int(name.split(b"-")[0]), fields[1]) for name, fields in entries],
    )


def _hash(data: bytes) -> bytes:
    return sha256(data).digest()
