"""Families of resume tokens in Redis, so that any hub of the fleet can take a session up again.

One Lua call makes a move: it compares what is there with what was read, writes, and tells the hub
whose connection loses the session. All keys share one hash tag and carry the network's id. Values
and messages carry a MAC by the fleet's key, bound to the name they stand under: whoever writes to
Redis without it opens no session.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from redis.asyncio import Redis

from realtime_hub.adapters.redis_asking import asked
from realtime_hub.adapters.redis_news import follow_news
from realtime_hub.adapters.redis_servers import TAG
from realtime_hub.adapters.together import Together
from realtime_hub.clock import Entropy
from realtime_hub.session.resume import FAMILY_BYTES, Family, FamilyState
from realtime_hub.session.resume_store import HUB_ID_BYTES, Move, Standing, StoreUnavailable
from realtime_protocol.identity import PublicKey

logger = logging.getLogger(__name__)

TOGETHER_MAX: Final = 256
"""Families, or wallets, in one call."""
_MAC_BYTES: Final = 16
_MS_BYTES: Final = 8

# ARGV: time to live, then for each key: before, after, channel, its name in the message.
_SWAP: Final = """
local made = {}
for i = 1, #KEYS do
  local at = 4 * i - 2
  if (redis.call('GET', KEYS[i]) or '') == ARGV[at] then
    if ARGV[at + 1] == '' then
      redis.call('DEL', KEYS[i])
    else
      redis.call('SET', KEYS[i], ARGV[at + 1], 'PX', ARGV[1])
    end
    if ARGV[at + 2] ~= '' then
      redis.call('PUBLISH', ARGV[at + 2], ARGV[at + 3] .. ARGV[at + 1])
    end
    made[i] = 1
  else
    made[i] = 0
  end
end
return made
"""


class RedisResumes:
    """The families of a fleet, each kept for *keep_ms* after it was written or renewed.

    A logout everywhere is remembered for *session_ms_max*, the longest that a session may live.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        network_id: Callable[[], bytes],
        fleet_key: bytes,
        entropy: Entropy,
        wait_ready: Callable[[], Awaitable[None]],
        keep_ms: int,
        session_ms_max: int,
    ) -> None:
        self._redis = redis
        self._network_id = network_id
        self._fleet_key = fleet_key
        self._wait_ready = wait_ready
        self._keep_ms = keep_ms
        self._session_ms_max = session_ms_max
        self._hub_id = entropy.token(HUB_ID_BYTES)
        self._decode = msgspec.msgpack.Decoder(Family).decode
        self._script_swap = redis.register_script(_SWAP)
        self._loads = Together(self._load_all, most=TOGETHER_MAX)
        self._swaps = Together(self._swap_all, most=TOGETHER_MAX)
        self._ends = Together(self._ended_all, most=TOGETHER_MAX)
        self._times = Together(self._time_for_all, most=TOGETHER_MAX)

    @property
    def hub_id(self) -> bytes:
        """Names this hub."""
        return self._hub_id

    async def load(self, key: bytes) -> Family | None:
        """Return a family."""
        return await self._loads.ask(key)

    async def _load_all(self, keys: Sequence[bytes]) -> list[Family | None]:
        found = await asked(self._redis.mget([self._family(key) for key in keys]), StoreUnavailable)
        return [self._read(key, value) for key, value in zip(keys, found, strict=True)]

    async def swap(self, moves: Sequence[Move]) -> list[bool]:
        """Make each move whose family is still what was read, all in one call."""
        if len(moves) == 1:
            return [await self._swaps.ask(moves[0])]
        return await self._swap_all(moves)

    async def _swap_all(self, moves: Sequence[Move]) -> list[bool]:
        if not moves:
            return []
        args: list[bytes | int] = [self._keep_ms]
        for move in moves:
            channel = self._told_of(move)
            args += [self._write(move.key, move.before), self._write(move.key, move.after)]
            args += [b"" if channel is None else channel.encode(), move.key]
        keys = [self._family(move.key) for move in moves]
        made = await asked(self._script_swap(keys=keys, args=args), StoreUnavailable)
        return [one == 1 for one in made]

    async def renew(self, held: Sequence[tuple[bytes, PublicKey]]) -> list[Standing]:
        """Keep these families for as long again; return what stands."""
        if not held:
            return []
        questions = self._redis.pipeline(transaction=False)
        for key, _ in held:
            questions.getex(self._family(key), px=self._keep_ms)
        questions.mget([self._ended(wallet) for _, wallet in held])
        *families, ended = await asked(questions.execute(), StoreUnavailable)
        return [
            Standing(self._read(key, family), _stamp(stamp))
            for (key, _), family, stamp in zip(held, families, ended, strict=True)
        ]

    async def now_ms(self) -> int:
        """Return Redis' own time."""
        return await self._times.ask(None)

    async def _time_for_all(self, asking: Sequence[None]) -> list[int]:
        return [await self._time()] * len(asking)

    async def _time(self) -> int:
        seconds, microseconds = await asked(self._redis.time(), StoreUnavailable)
        return int(seconds) * 1_000 + int(microseconds) // 1_000

    async def ended_ms(self, wallet: PublicKey) -> int:
        """Return up to when this wallet's sessions are over."""
        return await self._ends.ask(wallet)

    async def _ended_all(self, wallets: Sequence[PublicKey]) -> list[int]:
        found = await asked(
            self._redis.mget([self._ended(wallet) for wallet in wallets]), StoreUnavailable
        )
        return [_stamp(value) for value in found]

    async def end_all(self, wallet: PublicKey) -> int:
        """Let all of a wallet's sessions be over, and tell every hub."""
        ended_ms = await self._time()
        message = wallet + ended_ms.to_bytes(_MS_BYTES)
        questions = self._redis.pipeline(transaction=True)
        questions.set(self._ended(wallet), ended_ms, px=self._session_ms_max)
        questions.publish(self._everybody(), message + self._mac(b"", message))
        await asked(questions.execute(), StoreUnavailable)
        return ended_ms

    async def follow(
        self,
        on_family: Callable[[bytes, Family | None], None],
        on_wallet: Callable[[PublicKey, int], None],
    ) -> None:
        """Tell for ever, through any loss of connection, what other hubs did."""
        await self._wait_ready()
        everybody = self._everybody()

        def take(channel: bytes, data: bytes) -> None:
            if channel != everybody.encode():
                key, value = data[:FAMILY_BYTES], data[FAMILY_BYTES:]
                on_family(key, self._read(key, value))
                return
            body, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
            if hmac.compare_digest(self._mac(b"", body), mac):
                on_wallet(PublicKey(body[:-_MS_BYTES]), int.from_bytes(body[-_MS_BYTES:]))

        await follow_news(
            self._redis, self._hub(self._hub_id), everybody, about="sessions", take=take
        )

    def _told_of(self, move: Move) -> str | None:
        """Return the channel of another hub, one of whose connections loses the session."""
        before, after = move.before, move.after
        if before is None or after is None or before.state is not FamilyState.HELD:
            return None
        loses = after.holder != before.holder or after.state is FamilyState.REVOKED
        hub_id = before.holder[:HUB_ID_BYTES]
        return self._hub(hub_id) if loses and hub_id != self._hub_id else None

    # What stands in Redis -----------------------------------------------------------------------

    def _tag(self) -> str:
        return f"{TAG}:{self._network_id().hex()[:16]}:resume"

    def _family(self, key: bytes) -> str:
        return f"{self._tag()}:family:{key.hex()}"

    def _ended(self, wallet: bytes) -> str:
        return f"{self._tag()}:ended:{wallet.hex()}"

    def _hub(self, hub_id: bytes) -> str:
        return f"{self._tag()}:hub:{hub_id.hex()}"

    def _everybody(self) -> str:
        return f"{self._tag()}:ended"

    def _write(self, key: bytes, family: Family | None) -> bytes:
        if family is None:
            return b""
        data = msgspec.msgpack.encode(family)
        return data + self._mac(key, data)

    def _read(self, key: bytes, value: bytes | None) -> Family | None:
        """Return the family, or None for what the fleet didn't write there."""
        if not value:
            return None
        data, mac = value[:-_MAC_BYTES], value[-_MAC_BYTES:]
        if not hmac.compare_digest(self._mac(key, data), mac):
            logger.error("a session in Redis isn't the fleet's; left out")
            return None
        try:
            return self._decode(data)
        except (msgspec.MsgspecError, ValueError):
            return None  # Another version's.

    def _mac(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(self._fleet_key, b"resume" + key + data, "sha256")[:_MAC_BYTES]


def _stamp(stamp: bytes | None) -> int:
    return 0 if stamp is None else int(stamp)
