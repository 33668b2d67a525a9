"""The trust of every wallet as server-sent events, for backends that speak only HTTP.

An event's id is a place in the trust log, ``epoch:offset``; a reader that comes back sends it as
``Last-Event-ID`` and is told what it missed. It has nothing to acknowledge, so that its stream
isn't counted in the coverage of revocations: a service session is.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from realtime_hub.apps.model import ApiKey, App, KeyScope
from realtime_hub.apps.service import Apps
from realtime_hub.clock import Clock
from realtime_hub.surfaces.callers import bearer_of, require_key
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, encode_identity, parse_identity
from realtime_protocol.messages import Position, Trust, TrustChanged
from realtime_protocol.versions import REST_PREFIX

PATH: Final = f"{REST_PREFIX}/trust/stream"
EVENTS_QUEUED_MAX: Final = 4_096
"""Changes that wait for one reader; beyond, its stream ends and it comes back with its id."""
REPLAY_MAX: Final = 4_096
"""Changes that are sent again; whoever missed more begins anew."""
REPLAY_WITHIN_S: Final = 1.0
WALLETS_MAX: Final = 256
CHECKPOINT_S: Final = 1.0
EVENTS_A_WRITE: Final = 64
_WALLETS_A_READ: Final = 64
_EPOCH_LETTERS: Final = 16


class LogChange(Protocol):
    """An entry of the trust log."""

    @property
    def log_seq(self) -> int:
        """Its place."""
        ...

    @property
    def body(self) -> TrustChanged:
        """What watchers are told."""
        ...


class StreamAuth(Protocol):
    """What streams need of TurboAuth."""

    @property
    def backbone_ok(self) -> bool:
        """Whether the hub can vouch for what it says."""
        ...

    def position(self) -> Position:
        """Return where the trust log is."""
        ...

    async def changes_since(self, position: Position) -> Sequence[LogChange] | None:
        """Return what came after *position*; None when that can't be had."""
        ...

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        """Return what is known."""
        ...


class TrustStreams:
    """The open streams of this process."""

    def __init__(self, auth: StreamAuth, apps: Apps, clock: Clock) -> None:
        self._auth = auth
        self._clock = clock
        self._open: dict[TrustStream, None] = {}
        apps.block_listeners.append(self._on_app_block)
        apps.key_listeners.append(self._on_key_end)

    def __len__(self) -> int:
        return len(self._open)

    def open(
        self, key: ApiKey, app: App, wallets: frozenset[PublicKey], since: Position | None
    ) -> "TrustStream":
        """Return a further stream, which is told of everything from now on; `close` it."""
        stream = TrustStream(self._auth, self._clock, key, app, wallets, since)
        self._open[stream] = None
        return stream

    def close(self, stream: "TrustStream") -> None:
        """Forget a stream."""
        self._open.pop(stream, None)

    def stop(self) -> None:
        """End every stream: the hub goes away."""
        for stream in self._open:
            stream.end()

    def on_trust_change(self, change: LogChange) -> None:
        """Take a change, in log order."""
        for stream in self._open:
            stream.put(change)

    def begin_anew(self) -> None:
        """Changes may have been missed: each reader must forget what it knows."""
        for stream in self._open:
            stream.begin_anew()

    def _on_app_block(self, app: App, wallet: PublicKey, _blocked: bool) -> None:
        for stream in self._open:
            if stream.app is app:
                stream.put(wallet)

    def _on_key_end(self, key_id: str) -> None:
        for stream in self._open:
            if stream.key.key_id == key_id:
                stream.end()


class TrustStream:
    """One reader's stream. Iterate over :meth:`chunks`."""

    def __init__(
        self,
        auth: StreamAuth,
        clock: Clock,
        key: ApiKey,
        app: App,
        wallets: frozenset[PublicKey],
        since: Position | None,
    ) -> None:
        self.key = key
        self.app = app
        self._auth = auth
        self._clock = clock
        self._wallets = wallets
        self._since = since
        self._queue: list[LogChange | PublicKey] = []
        self._wake = asyncio.Event()
        self._ended = False
        self._anew = False
        self._position = auth.position()
        """Everything up to here has been sent, or is nothing to this reader."""

    def put(self, item: LogChange | PublicKey) -> None:
        """Queue a change, or a wallet for which the app's own list changed."""
        if len(self._queue) >= EVENTS_QUEUED_MAX:
            self.end()
        if not self._ended:
            self._queue.append(item)
            self._wake.set()

    def begin_anew(self) -> None:
        """Tell the reader to forget everything."""
        self._queue.clear()
        self._anew = True
        self._wake.set()

    def end(self) -> None:
        """End with what was sent so far."""
        self._ended = True
        self._wake.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Return the stream, until its reader or the hub ends it."""
        yield await self._first()
        yield await self._app_list()
        due_s = 0.0
        while not self._ended:
            if self._anew or self._position.epoch != self._auth.position().epoch:
                self._anew = False
                self._position = self._auth.position()
                yield _event("gap", self._position, {"cause": "epoch"})
            elif self._queue:
                yield await self._take()
            elif self._clock.monotonic_s() >= due_s:
                due_s = self._clock.monotonic_s() + CHECKPOINT_S
                self._position = self._auth.position()
                yield self._checkpoint()
            else:
                await self._wait(due_s - self._clock.monotonic_s())

    async def _first(self) -> bytes:
        """Say where the stream begins, and send what was missed where that can be had."""
        since = self._since
        if since is None:
            return _event("begin", self._position, {"recovered": False})
        missed = await self._missed(since)
        if missed is None:
            return _event("gap", self._position, {"cause": "trimmed"})
        head = _event("begin", since, {"recovered": True})
        return head + b"".join(self._change(change) for change in missed)

    async def _missed(self, since: Position) -> Sequence[LogChange] | None:
        if self._position.offset - since.offset > REPLAY_MAX:
            return None
        try:
            async with asyncio.timeout(REPLAY_WITHIN_S):
                changes = await self._auth.changes_since(since)
        except TimeoutError:
            return None
        if changes is None or since.epoch != self._position.epoch:
            return None
        return [change for change in changes if change.log_seq <= self._position.offset]

    async def _app_list(self) -> bytes:
        """Send what the app's own list makes of wallets: the log has no place for that."""
        told = {*self.app.blocked, *self.app.ended}
        wallets = sorted(told if not self._wallets else told & self._wallets)
        return await self._stand(wallets)

    async def _take(self) -> bytes:
        """Return the next changes as one chunk."""
        taken, self._queue = self._queue[:EVENTS_A_WRITE], self._queue[EVENTS_A_WRITE:]
        sent = []
        for item in taken:
            if isinstance(item, bytes):
                sent.append(await self._stand([PublicKey(item)] if self._covers(item) else []))
            else:
                sent.append(self._change(item))
                self._position = Position(self._position.epoch, item.log_seq)
        return b"".join(sent)

    async def _stand(self, wallets: Sequence[PublicKey]) -> bytes:
        """Return what counts for wallets, without a place in the log."""
        events = []
        for begin in range(0, len(wallets), _WALLETS_A_READ):
            some = wallets[begin : begin + _WALLETS_A_READ]
            for wallet, trust in zip(some, await self._auth.get(some), strict=True):
                seen = self.app.see(wallet, trust)
                events.append(
                    _event("trust", None, _describe(wallet, seen.status.name, seen.score, seen))
                )
        return b"".join(events)

    def _change(self, change: LogChange) -> bytes:
        if not self._covers(change.body.wallet):
            return b""
        body = self.app.see_change(change.body)
        data = _describe(body.wallet, body.status.name, body.score, body)
        position = Position(self._position.epoch, change.log_seq)
        return _event("trust", position, {**data, "event_ms": body.event_ms})

    def _covers(self, wallet: bytes) -> bool:
        return not self._wallets or wallet in self._wallets

    def _checkpoint(self) -> bytes:
        data = {"server_ms": self._clock.now_ms(), "backbone_ok": self._auth.backbone_ok}
        return _event("checkpoint", self._position, data)

    async def _wait(self, seconds: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            pass


def stream_routes(streams: TrustStreams, apps: Apps) -> list[Route]:
    """Return the route; where there are no apps nobody has a key for it."""

    async def stream(request: Request) -> Response:
        token = bearer_of(request)
        if token is None:
            raise RequestError(
                ErrorCode.NOT_AUTHENTICATED, "send an API key: Authorization: Bearer rtk_..."
            )
        origin = request.headers.get("origin")
        key, app = require_key(apps, token, KeyScope.SERVICE, origin)
        wallets = _parse_wallets(request.query_params.getlist("wallet"))
        since = _parse_position(request.headers.get("last-event-id"))
        apps.enter(key)
        opened = streams.open(key, app, wallets, since)

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in opened.chunks():
                if chunk:
                    yield chunk

        return _Stream(chunks(), streams, opened, apps)

    return [Route(PATH, stream, methods=["GET"])] if apps.any else []


class _Stream(StreamingResponse):
    """Gives the key's place back however the stream ends."""

    def __init__(
        self, chunks: AsyncIterator[bytes], streams: TrustStreams, opened: TrustStream, apps: Apps
    ) -> None:
        super().__init__(
            chunks, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )
        self._streams = streams
        self._opened = opened
        self._apps = apps

    async def __call__(self, scope: object, receive: object, send: object) -> None:
        try:
            await super().__call__(scope, receive, send)  # type: ignore[arg-type]  # as Starlette's
        finally:
            self._streams.close(self._opened)
            self._apps.leave(self._opened.key)


def _describe(
    wallet: bytes, status: str, score: int, trust: Trust | TrustChanged
) -> dict[str, object]:
    return {
        "wallet": encode_identity(wallet),
        "status": status,
        "trust_score": score,
        "reason": trust.reason,
        "use_until_ms": trust.use_until_ms,
    }


def _event(name: str, position: Position | None, data: object) -> bytes:
    place = b"" if position is None else f"id: {_encode_position(position)}\n".encode()
    return b"event: %b\n%bdata: %b\n\n" % (name.encode(), place, msgspec.json.encode(data))


def _encode_position(position: Position) -> str:
    return f"{position.epoch.hex()}:{position.offset}"


def _parse_position(text: str | None) -> Position | None:
    if not text:
        return None
    epoch, _, offset = text.partition(":")
    if len(epoch) == _EPOCH_LETTERS and offset.isascii() and offset.isdigit() and len(offset) < 17:
        try:
            return Position(bytes.fromhex(epoch), int(offset))
        except ValueError:
            pass
    raise RequestError(ErrorCode.BAD_MESSAGE, "Last-Event-ID is no id of an event of this stream")


def _parse_wallets(texts: Sequence[str]) -> frozenset[PublicKey]:
    if len(texts) > WALLETS_MAX:
        raise RequestError(
            ErrorCode.TOO_LARGE, f"at most {WALLETS_MAX} wallets; leave them out for every one"
        )
    try:
        return frozenset(parse_identity(text) for text in texts)
    except ValueError as error:
        raise RequestError(ErrorCode.BAD_MESSAGE, f"wallet: {error}") from error
