"""Trust log and shared records in Redis, for a fleet of hubs.

One Lua call appends: sequence, stream entry, shared record and publication happen together or not
at all. Publication is only a hint: a follower checks sequences, fills gaps from the stream, and
looks at the head each second. All keys share one hash tag and carry the network's id.

An entry names its place and the hash of the entry before it, so an append says where it expects to
land and tries again when another hub was faster. Entries and records carry a MAC by the fleet's
key: whoever writes to Redis without it changes nobody's mind.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from realtime_hub.auth.model import EntryKind, LogEntry
from realtime_hub.auth.ports import CachedRecord, LogUnavailable
from realtime_hub.clock import Clock, Entropy
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position

logger = logging.getLogger(__name__)

COMMAND_TIMEOUT_S: Final = 0.5
HEAD_POLL_S: Final = 1.0
LEASE_S: Final = 2.0
"""Without a word from Redis for longer, the hub doesn't vouch for its answers."""
RECONNECT_PAUSE_S: Final = 0.1
ENTRIES_MAX: Final = 100_000
"""About so many entries are kept; a position before them can't be recovered."""
REPLAY_ENTRIES_MAX: Final = 4_096
"""So many of the newest entries are read when a hub begins."""
FILL_ENTRIES_MAX: Final = 1_000
APPEND_TRIES_MAX: Final = 32

_EPOCH_BYTES: Final = 8
_MAC_BYTES: Final = 16
_SEQUENCE_BYTES: Final = 8
_NO_HASH: Final = bytes(32)

# The shared record starts with its sequence, so that Lua can compare without reading the rest.
_APPEND: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -3 end
if ARGV[3] ~= '' then
  local kept = redis.call('HGET', KEYS[4], ARGV[3])
  if kept and struct.unpack('>I8', kept) >= struct.unpack('>I8', ARGV[4]) then return -1 end
end
local head = tonumber(redis.call('GET', KEYS[2]) or '0')
if head ~= tonumber(ARGV[2]) then return -2 end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
  local last = redis.call('GET', KEYS[5])
  local new = string.sub(ARGV[4], 1, 8)
  if not last or struct.unpack('>I8', last) < struct.unpack('>I8', new) then
    redis.call('SET', KEYS[5], new)
  end
end
local seq = redis.call('INCR', KEYS[2])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], seq .. '-0', 'e', ARGV[5])
redis.call('PUBLISH', KEYS[6], ARGV[5])
return seq
"""
_NOT_NEWER: Final = -1
_MOVED_ON: Final = -2
_NEW_EPOCH: Final = -3

_PUT: Final = """
for i = 1, #ARGV, 2 do
  local kept = redis.call('HGET', KEYS[1], ARGV[i])
  if not kept or struct.unpack('>I8', kept) <= struct.unpack('>I8', ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
return 0
"""


def connect(url: str) -> Redis:
    """Return a client without retries of its own: each failure is an event that we must see."""
    return Redis.from_url(
        url,
        socket_timeout=COMMAND_TIMEOUT_S,
        socket_connect_timeout=COMMAND_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


async def trouble_at(url: str) -> str | None:
    """Say why no hub can use the Redis at *url* now; None when it answers."""
    try:
        client = connect(url)
    except ValueError as error:
        return str(error)
    try:
        await client.ping()
    except (RedisError, OSError) as error:
        return str(error) or type(error).__name__
    finally:
        await client.aclose()
    return None


class _Keys:
    """The names in Redis, for one network."""

    def __init__(self, network_id: bytes) -> None:
        tag = f"{{realtime:{network_id.hex()[:16]}}}"
        self.epoch = f"{tag}:trust:epoch"
        self.head = f"{tag}:trust:head"
        self.log = f"{tag}:trust:log"
        self.records = f"{tag}:trust:records"
        self.chain = f"{tag}:trust:chain-sequence"
        self.channel = f"{tag}:trust:changes"


class _Seal:
    """Encodes values with a MAC by the fleet's key, and refuses those without."""

    def __init__(self, fleet_key: bytes) -> None:
        self._key = fleet_key
        self._entry = msgspec.msgpack.Decoder(LogEntry).decode
        self._record = msgspec.msgpack.Decoder(CachedRecord).decode

    def entry(self, entry: LogEntry) -> bytes:
        """Return an entry's bytes in the log."""
        return self._sealed(msgspec.msgpack.encode(replace(entry, mac=b"")))

    def read_entry(self, data: bytes) -> LogEntry | None:
        """Return the entry, or None when the fleet didn't write it."""
        try:
            return replace(self._entry(self._opened(data)), mac=data[-_MAC_BYTES:])
        except (msgspec.MsgspecError, ValueError):
            return None

    def record(self, cached: CachedRecord) -> bytes:
        """Return a record's bytes; the sequence comes first, for Lua."""
        sequence = cached.record.chain_sequence.to_bytes(_SEQUENCE_BYTES, "big")
        return self._sealed(sequence + msgspec.msgpack.encode(cached))

    def read_record(self, wallet: bytes, data: bytes | None) -> CachedRecord | None:
        """Return the record of *wallet*, or None when that isn't what the fleet wrote there."""
        if data is None:
            return None
        try:
            cached = self._record(self._opened(data)[_SEQUENCE_BYTES:])
        except (msgspec.MsgspecError, ValueError):
            return None
        return cached if cached.record.wallet == wallet else None

    def _sealed(self, data: bytes) -> bytes:
        return data + hmac.digest(self._key, data, "sha256")[:_MAC_BYTES]

    def _opened(self, data: bytes) -> bytes:
        body, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if not hmac.compare_digest(hmac.digest(self._key, body, "sha256")[:_MAC_BYTES], mac):
            raise ValueError("not sealed by this fleet")
        return body


class RedisTrustCache:
    """L2: one hash of sealed records."""

    def __init__(self, redis: Redis, network_id: Callable[[], bytes], fleet_key: bytes) -> None:
        self._redis = redis
        self._network_id = network_id
        self._seal = _Seal(fleet_key)
        self._put = redis.register_script(_PUT)

    async def get(self, wallets: Sequence[PublicKey]) -> list[CachedRecord | None]:
        """Return what is kept of each wallet, in one command."""
        keys = _Keys(self._network_id())
        found = await _asked(
            cast(Awaitable[list[bytes | None]], self._redis.hmget(keys.records, list(wallets)))
        )
        return [self._seal.read_record(w, data) for w, data in zip(wallets, found, strict=True)]

    async def put(self, records: Sequence[CachedRecord]) -> None:
        """Keep each unless a newer one is kept already."""
        if not records:
            return
        keys = _Keys(self._network_id())
        args: list[bytes] = []
        for cached in records:
            args += [cached.record.wallet, self._seal.record(cached)]
        await _asked(self._put(keys=[keys.records], args=args))


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
    ) -> None:
        self._redis = redis
        self._network_id = network_id
        self._seal = _Seal(fleet_key)
        self._clock = clock
        self._entropy = entropy
        self._wait_ready = wait_ready
        self._append = redis.register_script(_APPEND)
        self._epoch = bytes(_EPOCH_BYTES)
        self._head = 0
        self._head_hash = _NO_HASH
        self._heard_s: float | None = None
        self._deliver: Callable[[LogEntry], None] = lambda _entry: None
        self._reset: Callable[[], None] = lambda: None
        self._filling = asyncio.Lock()

    @property
    def trouble(self) -> str | None:
        """Whether Redis was silent for longer than the lease."""
        if self._heard_s is None:
            return "Redis hasn't answered yet"
        silent_s = self._clock.monotonic_s() - self._heard_s
        if silent_s > LEASE_S:
            return f"Redis hasn't answered for {silent_s:.1f} s"
        return None

    def position(self) -> Position:
        """What this hub has delivered."""
        return Position(self._epoch, self._head)

    async def catch_up(self) -> None:
        """Deliver whatever the log holds now."""
        if self._heard_s is None:
            raise LogUnavailable("the log hasn't been read yet")
        await self._fill()

    async def append(self, draft: LogEntry) -> int | None:
        """Append behind the newest entry; try again when another hub was faster."""
        keys = _Keys(self._network_id())
        shared = b""
        if draft.kind is EntryKind.CHAIN:
            shared = self._seal.record(CachedRecord(draft.record, draft.event_ms))
        for _ in range(APPEND_TRIES_MAX):
            entry = replace(draft, log_seq=self._head + 1, previous_hash=self._head_hash)
            landed = await _asked(
                self._append(
                    keys=[keys.epoch, keys.head, keys.log, keys.records, keys.chain, keys.channel],
                    args=[
                        self._epoch,
                        self._head,
                        draft.wallet if shared else b"",
                        shared,
                        self._seal.entry(entry),
                        ENTRIES_MAX,
                    ],
                )
            )
            if landed == _NOT_NEWER:
                return None
            await self._fill()
            if landed not in (_MOVED_ON, _NEW_EPOCH):
                return int(landed)
        raise LogUnavailable(f"the log moved on {APPEND_TRIES_MAX} times")

    async def read_since(self, offset: int) -> list[LogEntry] | None:
        """Return what came after *offset*; None when the stream no longer has all of it."""
        keys = _Keys(self._network_id())
        if offset >= self._head:
            return []
        found = await self._range(keys, offset + 1, self._head - offset)
        if not found or found[0][0] != offset + 1:
            return None
        entries = [self._seal.read_entry(data) for _, data in found]
        return [entry for entry in entries if entry is not None]

    async def chain_sequence(self) -> int | None:
        """Return the newest chain sequence that any hub appended."""
        keys = _Keys(self._network_id())
        found = await _asked(cast(Awaitable[bytes | None], self._redis.get(keys.chain)))
        return None if found is None else int.from_bytes(found, "big")

    async def follow(self, deliver: Callable[[LogEntry], None], reset: Callable[[], None]) -> None:
        """Deliver entries for ever, through any loss of connection."""
        await self._wait_ready()
        self._deliver, self._reset = deliver, reset
        while True:
            try:
                await self._begin()
                break
            except LogUnavailable as error:
                logger.warning("trust log: %s", error)
                await asyncio.sleep(RECONNECT_PAUSE_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="trust publications")
            group.create_task(self._poll_head(), name="trust log head")

    async def _begin(self) -> None:
        """Begin a few thousand entries back, so that what is pending is known."""
        keys = _Keys(self._network_id())
        self._epoch = await self._current_epoch(keys)
        found = await _asked(
            cast(
                Awaitable[list[tuple[bytes, dict[bytes, bytes]]]],
                self._redis.xrevrange(keys.log, count=REPLAY_ENTRIES_MAX),
            )
        )
        for data in reversed([fields[b"e"] for _, fields in found]):
            entry = self._seal.read_entry(data)
            self._move_to(entry.log_seq if entry else self._head + 1, data)
            if entry is not None:
                self._deliver(entry)
        self._heard()

    async def _current_epoch(self, keys: _Keys) -> bytes:
        fresh = self._entropy.token(_EPOCH_BYTES)
        await _asked(cast(Awaitable[Any], self._redis.set(keys.epoch, fresh, nx=True)))
        found = await _asked(cast(Awaitable[bytes | None], self._redis.get(keys.epoch)))
        if found is None or len(found) != _EPOCH_BYTES:
            raise LogUnavailable("the log's epoch can't be read")
        return bytes(found)

    async def _listen(self) -> None:
        """Take publications as they come; whatever breaks, the head poll fills in."""
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(_Keys(self._network_id()).channel)
                    await self._fill()
                    await self._take_publications(pubsub)
            except (RedisError, OSError, TimeoutError, LogUnavailable) as error:
                stop_if_cancelled()
                logger.warning("trust publications: %s", error)
                await asyncio.sleep(RECONNECT_PAUSE_S)

    async def _take_publications(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=HEAD_POLL_S)
            stop_if_cancelled()
            if message is None:
                continue
            data: bytes = message["data"]
            entry = self._seal.read_entry(data)
            if entry is None or entry.log_seq <= self._head:
                continue
            follows = entry.log_seq == self._head + 1 and entry.previous_hash == self._head_hash
            if follows and not self._filling.locked():
                self._heard()
                self._move_to(entry.log_seq, data)
                self._deliver(entry)
            else:
                await self._fill()

    async def _poll_head(self) -> None:
        while True:
            try:
                await self._fill()
            except LogUnavailable as error:
                logger.warning("trust log: %s", error)
            await asyncio.sleep(HEAD_POLL_S)

    async def _fill(self) -> None:
        """Read from the last known entry, inclusive, and deliver what follows it."""
        keys = _Keys(self._network_id())
        async with self._filling:
            epoch = await self._current_epoch(keys)
            if epoch != self._epoch:
                self._start_over(epoch)
            while True:
                found = await self._range(keys, max(self._head, 1), FILL_ENTRIES_MAX)
                if self._head and (not found or _hash(found[0][1]) != self._head_hash):
                    # The log went back or lost our place: a new epoch in all but name.
                    self._start_over(epoch)
                    continue
                fresh = [item for item in found if item[0] > self._head]
                for seq, data in fresh:
                    entry = self._seal.read_entry(data)
                    self._move_to(seq, data)
                    if entry is None:
                        logger.error("trust log entry %d isn't the fleet's; left out", seq)
                    else:
                        self._deliver(entry)
                if len(found) < FILL_ENTRIES_MAX:
                    break
            self._heard()

    def _start_over(self, epoch: bytes) -> None:
        self._epoch, self._head, self._head_hash = epoch, 0, _NO_HASH
        self._reset()

    async def _range(self, keys: _Keys, first: int, count: int) -> list[tuple[int, bytes]]:
        found = await _asked(
            cast(
                Awaitable[list[tuple[bytes, dict[bytes, bytes]]]],
                self._redis.xrange(keys.log, min=f"{first}-0", count=count),
            )
        )
        return [(int(name.split(b"-")[0]), fields[b"e"]) for name, fields in found]

    def _move_to(self, seq: int, data: bytes) -> None:
        self._head, self._head_hash = seq, _hash(data)

    def _heard(self) -> None:
        self._heard_s = self._clock.monotonic_s()


def _hash(data: bytes) -> bytes:
    return sha256(data).digest()


async def _asked(answer: Awaitable[Any]) -> Any:
    """Return Redis' answer; LogUnavailable for any failure, whose outcome is then unknown."""
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            found = await answer
    except (RedisError, OSError, TimeoutError, ResponseError) as error:
        stop_if_cancelled()
        raise LogUnavailable(f"Redis: {error or type(error).__name__}") from error
    stop_if_cancelled()
    return found


def stop_if_cancelled() -> None:
    """Raise the CancelledError that redis-py kept to itself.

    It takes a cancellation that falls on one of its time-outs for the time-out, or for the end of
    a connection; a task that goes on would never end.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
