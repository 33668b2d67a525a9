"""What a backend knows of wallets, kept up to date by the hub's pushes.

    async with TrustFeed("wss://hub.example.org/v1", api_key) as feed:
        trust = await feed.get(wallet)

A wallet is asked for once; from then on the hub tells of each change. Every second it says that
nothing is missing: a feed that doesn't hear that is stale, and whoever relies on it must refuse.
"""

import asyncio
import random
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from realtime_client.errors import ConnectionClosedError, HubError, RealtimeError
from realtime_client.link import Link, LinkOptions
from realtime_protocol.codec import Push
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Checkpoint,
    Gap,
    Goaway,
    Position,
    RequestType,
    SignedText,
    SubscribeReply,
    SubscribeRequest,
    Trust,
    TrustChanged,
    TrustReason,
    TrustStatus,
    Verdict,
)

WALLETS_MAX: Final = 100_000
STALE_AFTER_S: Final = 5.0
"""The hub says each second that nothing is missing."""
ACK_EVERY: Final = 64
PAUSE_S_MIN: Final = 0.2
PAUSE_S_MAX: Final = 5.0
_RANDOM: Final = random.Random(secrets.randbits(64))  # noqa: S311  (it spreads reconnects)


class FeedStaleError(RealtimeError):
    """The feed can't vouch for what it knows now."""


@dataclass(frozen=True, slots=True)
class WalletState:
    """What counts for a wallet now."""

    status: TrustStatus
    score: int
    reason: int
    seq: int
    """The place in the trust log that said so; 0 for what an app's own list says."""


class TrustFeed:
    """A service session that follows every wallet. Use it with ``async with``.

    It reconnects by itself, and goes on where it was; after changes that can't be had any more it
    forgets what it knew and asks anew. At *wallets_max* it forgets the wallet that was asked for
    longest ago. *on_change* is called with each change, at once; it must return at once.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        stale_after_s: float = STALE_AFTER_S,
        wallets_max: int = WALLETS_MAX,
        on_change: Callable[[PublicKey, WalletState], None] | None = None,
        request_timeout_s: float = 5.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api_key = api_key
        self._stale_after_s = stale_after_s
        self._wallets_max = wallets_max
        self._on_change = on_change
        self._monotonic_s = monotonic_s
        self._options = LinkOptions(
            url=url,
            domain=None,
            chain=None,
            resources=(),
            resumable=False,
            delegate=None,
            origin=None,
            open_timeout_s=request_timeout_s,
            request_timeout_s=request_timeout_s,
            now_ms=lambda: time.time_ns() // 1_000_000,
            monotonic_s=monotonic_s,
        )
        self._known: OrderedDict[PublicKey, WalletState | None] = OrderedDict()
        """None: it was asked for, and nothing is known yet."""
        self._link: Link | None = None
        self._sub: int | None = None
        self._position: Position | None = None
        self._unacknowledged = 0
        self._vouched_s: float | None = None
        self._vouched = asyncio.Event()
        self._over = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self.ended: Exception | None = None
        """Why the feed gave up: the key isn't taken any more. It is stale from then on."""

    async def __aenter__(self) -> "TrustFeed":
        link = await self._open()
        self._running = asyncio.create_task(self._run(link))
        try:
            async with asyncio.timeout(self._options.open_timeout_s):
                await self._vouched.wait()
        except TimeoutError as error:
            await self.__aexit__(None, None, None)
            raise FeedStaleError("the hub is there, but vouches for nothing now") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    # Asking ---------------------------------------------------------------------------------

    @property
    def is_fresh(self) -> bool:
        """Whether the hub said not long ago that it vouches, and that nothing is missing."""
        vouched_s = self._vouched_s
        return vouched_s is not None and self._monotonic_s() - vouched_s < self._stale_after_s

    async def get(self, wallet: PublicKey) -> WalletState:
        """Return what counts for *wallet* now; FeedStaleError when nobody can tell."""
        self._require_fresh()
        known = self._known.get(wallet)
        if known is not None:
            self._known.move_to_end(wallet)
            return known
        state = await self._ask(wallet)
        self._require_fresh()
        return state

    async def verify(self, texts: Sequence[SignedText]) -> list[Verdict]:
        """Have the hub check up to 64 signatures of wallets; HubError, ConnectionLostError."""
        link = self._require_link()
        verdicts: list[Verdict] = await link.request(RequestType.VERIFY, list(texts))
        return verdicts

    async def wait_ended(self) -> Exception:
        """Wait until the feed gives up for good, and return why."""
        await self._over.wait()
        return self.ended or FeedStaleError("the feed was closed")

    def _require_fresh(self) -> None:
        if not self.is_fresh:
            why = "" if self.ended is None else f": {self.ended}"
            raise FeedStaleError(f"the hub hasn't vouched for {self._stale_after_s} s{why}")

    def _require_link(self) -> Link:
        if self._link is None:
            raise FeedStaleError("there is no connection to the hub now")
        return self._link

    async def _ask(self, wallet: PublicKey) -> WalletState:
        link = self._require_link()
        # What changes while the answer is on its way is kept beside it; the newer one counts.
        self._keep(wallet, self._known.get(wallet))
        try:
            [trust] = await link.request(RequestType.TRUST_GET, [wallet])
        except RealtimeError as error:
            self._forget_unknown(wallet)
            raise FeedStaleError(f"the hub didn't tell: {error}") from error
        if link is not self._link:
            self._forget_unknown(wallet)
            raise FeedStaleError("the connection to the hub was lost")
        answer = _state_of(trust)
        if trust.reason == TrustReason.UNAVAILABLE:
            self._forget_unknown(wallet)
            raise FeedStaleError("the hub can't tell what counts for this wallet now")
        held = self._known.get(wallet)
        if held is None or 0 < held.seq < answer.seq:
            held = answer
            self._keep(wallet, held)
        return held

    def _keep(self, wallet: PublicKey, state: WalletState | None) -> None:
        self._known[wallet] = state
        self._known.move_to_end(wallet)
        if len(self._known) > self._wallets_max:
            self._known.popitem(last=False)

    def _forget_unknown(self, wallet: PublicKey) -> None:
        if self._known.get(wallet, self) is None:
            del self._known[wallet]

    # Following ------------------------------------------------------------------------------

    async def _open(self) -> Link:
        link = await Link.open_service(self._api_key, self._options)
        self._link = link
        return link

    async def _run(self, link: Link) -> None:
        failures = 0
        try:
            while True:
                following = asyncio.create_task(self._follow(link))
                closed = await link.read(self._on_push)
                following.cancel()
                self._link = self._sub = None
                if not closed.comes_back:
                    self.ended = closed
                    return
                reopened = await self._reopen(closed, failures)
                if reopened is None:
                    return
                link, failures = reopened, failures + 1
                if self.is_fresh:
                    failures = 0
        finally:
            if self._link is not None:
                await self._link.close()
            self._vouched_s = None
            self._over.set()

    async def _reopen(self, closed: Exception, failures: int) -> Link | None:
        while True:
            longest_s = min(PAUSE_S_MAX, PAUSE_S_MIN * 2 ** min(failures, 10))
            await asyncio.sleep(_RANDOM.uniform(PAUSE_S_MIN / 2, longest_s))
            failures += 1
            try:
                return await self._open()
            except (HubError, ConnectionClosedError) as error:
                comes_back = error.retryable if isinstance(error, HubError) else error.comes_back
                if not comes_back:
                    self.ended = error
                    return None
            except RealtimeError:
                continue

    async def _follow(self, link: Link) -> None:
        request = SubscribeRequest("trust:*", self._position)
        try:
            await link.request(RequestType.SUBSCRIBE, request, on_reply=self._on_subscribed)
        except RealtimeError:
            await link.close()

    def _on_subscribed(self, reply: SubscribeReply) -> None:
        self._sub = reply.sub
        if not reply.recovered:
            self._forget_all()
            self._position = Position(reply.epoch, reply.head)
        self._unacknowledged = 0

    def _on_push(self, push: Push) -> None:
        match push.body:
            case TrustChanged() as body if push.sub == self._sub:
                self._take(body, push.offset)
            case Gap() if push.sub == self._sub:
                self._forget_all()
                self._vouched_s = None
            case Checkpoint() as checkpoint:
                self._check(checkpoint)
            case Goaway():
                self._leave()

    def _take(self, body: TrustChanged, offset: int) -> None:
        wallet = PublicKey(body.wallet)
        state = WalletState(body.status, body.score, body.reason, offset)
        if wallet in self._known:
            self._known[wallet] = state
        if self._on_change is not None:
            self._on_change(wallet, state)
        if offset and self._position is not None:
            self._position = Position(self._position.epoch, offset)
            self._unacknowledged += 1
            if self._unacknowledged >= ACK_EVERY:
                self._acknowledge(offset)

    def _check(self, checkpoint: Checkpoint) -> None:
        for head in checkpoint.heads:
            if head.sub == self._sub:
                self._position = Position(head.epoch, head.head)
                self._vouched_s = self._monotonic_s() if checkpoint.backbone_ok else None
                if checkpoint.backbone_ok:
                    self._vouched.set()
                if self._unacknowledged:
                    self._acknowledge(head.head)

    def _acknowledge(self, offset: int) -> None:
        self._unacknowledged = 0
        if self._link is not None and self._sub is not None:
            self._spawn(self._link.acknowledge(self._sub, offset))

    def _leave(self) -> None:
        """The hub asks its clients to connect elsewhere."""
        if self._link is not None:
            self._spawn(self._link.close())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _forget_all(self) -> None:
        # Who is being asked for stays: its answer is still to come.
        for wallet in [wallet for wallet, state in self._known.items() if state is not None]:
            del self._known[wallet]


def _state_of(trust: Trust) -> WalletState:
    return WalletState(trust.status, trust.score, trust.reason, trust.seq)
