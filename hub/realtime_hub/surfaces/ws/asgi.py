"""Sessions as a plain ASGI WebSocket endpoint, for people who bring their own server.

The session machine is the same; only the bytes go another way. What a server keeps to itself stays
with it: frames, pings, the bound on a message that is still coming, the buffer of its socket.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

from realtime_hub.session.addresses import count_as
from realtime_hub.session.context import HubContext
from realtime_hub.session.session import LiveSession, Serve
from realtime_hub.surfaces.ws.forms import FORMS
from realtime_hub.surfaces.ws.handshake import (
    Refusal,
    admit,
    refuse_address,
    refuse_for_subprotocols,
)

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

QUEUE_HIGH_BYTES: Final = 16_384
"""Handed over and not taken by the server yet; what waits behind can still be overtaken."""
QUEUE_LOW_BYTES: Final = 4_096
INTERNAL_ERROR: Final = 1011
_HTTP_RESPONSE: Final = "websocket.http.response"
_SEND: Final = "websocket.send"
_ORIGIN: Final = b"origin"  # ASGI has names in lower case.


class AsgiEndpoint:
    """An ASGI application for WebSockets, whatever their path. Run the engine beside it."""

    def __init__(self, context: HubContext, serve: Serve) -> None:
        self._context = context
        self._serve = serve

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection from its handshake to its end."""
        if scope["type"] != "websocket":
            raise ValueError(f"only WebSockets are served here, not {scope['type']!r}")
        await receive()  # websocket.connect
        client = scope.get("client")
        address = count_as(client[0]) if client else "local"
        admitted = self._admit(scope, address)
        if isinstance(admitted, Refusal):
            await _refuse(admitted, scope, send)
            return
        domain, subprotocol = admitted
        form = FORMS[subprotocol]
        try:
            await send({"type": "websocket.accept", "subprotocol": subprotocol})
            connection = AsgiConnection(self._context, send, reads_text=form.is_text)
            session = LiveSession(
                self._context,
                form.wire(connection),
                self._serve,
                address=address,
                domain=domain,
                from_page=any(name == _ORIGIN for name, _ in scope["headers"]),
                reader=form.reader,
            )
            await connection.run(receive, session)
        finally:
            self._context.registry.addresses.disconnect(address)

    def _admit(self, scope: Message, address: str) -> tuple[str, str] | Refusal:
        """Return domain and subprotocol."""
        context = self._context
        now_s = context.clock.monotonic_s()
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == _ORIGIN]
        domain = admit(context, address=address, origins=origins, now_s=now_s)
        if isinstance(domain, Refusal):
            return domain
        served, offered = context.settings.subprotocols, scope.get("subprotocols", ())
        subprotocol = next((name for name in served if name in offered), None)
        if subprotocol is None:
            return refuse_for_subprotocols(served)
        if not context.registry.addresses.try_connect(address, now_s=now_s):
            return refuse_address()
        return domain, subprotocol


async def _refuse(refusal: Refusal, scope: Message, send: Send) -> None:
    if _HTTP_RESPONSE not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})  # The server answers 403.
        return
    told = {"Content-Type": "text/plain; charset=utf-8", **refusal.headers}
    headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]
    start = {"type": f"{_HTTP_RESPONSE}.start", "status": int(refusal.status), "headers": headers}
    await send(start)
    await send({"type": f"{_HTTP_RESPONSE}.body", "body": refusal.text.encode()})


class AsgiConnection:
    """One connection; the :class:`~realtime_hub.session.ports.Wire` of its session."""

    def __init__(self, context: HubContext, send: Send, *, reads_text: bool) -> None:
        self.writable = True
        self.unsent_bytes = 0
        """What the server has not taken yet."""
        self.drained_bytes = 0
        self._context = context
        self._send = send
        self._reads_text = reads_text
        self._queue: deque[tuple[int, Message]] = deque()
        """Each with its size."""
        self._something = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._goodbye: Message | None = None
        self._limit = asyncio.timeout(None)

    async def run(self, receive: Receive, session: LiveSession) -> None:
        """Serve the session until its connection is gone."""
        try:
            async with self._limit, asyncio.TaskGroup() as group:
                session.start()
                writing = group.create_task(self._write(session))
                await self._read(receive, session)
                writing.cancel()
        except TimeoutError:
            pass  # It didn't answer our goodbye.
        finally:
            session.lost()

    # What the session calls -------------------------------------------------------------------

    def tick(self, now_s: float) -> None:
        """Do nothing: the server looks after the connection."""

    def send(self, messages: Sequence[bytes]) -> None:
        """Queue whole messages for the server."""
        self._put([(len(each), {"type": _SEND, "bytes": each}) for each in messages])

    def send_texts(self, texts: Sequence[bytes]) -> None:
        """Queue whole messages that leave as text."""
        self._put([(len(each), {"type": _SEND, "text": each.decode()}) for each in texts])

    def _put(self, sized: Sequence[tuple[int, Message]]) -> None:
        if self._goodbye is None:
            self._queue.extend(sized)
            self.unsent_bytes += sum(size for size, _ in sized)
            self.writable = self.unsent_bytes < QUEUE_HIGH_BYTES
            self._something.set()

    def pause_reading(self) -> None:
        """Take no further message until `resume_reading`."""
        self._may_read.clear()

    def resume_reading(self) -> None:
        """Take messages again."""
        self._may_read.set()

    def close(self, code: int, reason: str, *, within_s: float) -> None:
        """Say goodbye; whoever doesn't answer within *within_s* is cut off."""
        if self._goodbye is None:
            self._goodbye = {"type": "websocket.close", "code": code, "reason": reason}
            self._limit.reschedule(asyncio.get_running_loop().time() + within_s)
            self._may_read.set()
            self._something.set()

    # Both ways --------------------------------------------------------------------------------

    async def _read(self, receive: Receive, session: LiveSession) -> None:
        while True:
            await self._may_read.wait()
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            try:
                message = event.get("text" if self._reads_text else "bytes")
                if message is None:
                    session.receive_misframed()
                else:
                    session.receive([message.encode() if self._reads_text else message])
            except Exception:
                logger.exception("a connection failed")
                session.end(INTERNAL_ERROR, "internal_error", least_urgent=None)

    async def _write(self, session: LiveSession) -> None:
        try:
            while self._goodbye is None or self._queue:
                await self._something.wait()
                self._something.clear()
                while self._queue:
                    size, message = self._queue.popleft()
                    await self._send(message)
                    self.unsent_bytes -= size
                    self.drained_bytes += size
                    if not self.writable and self.unsent_bytes <= QUEUE_LOW_BYTES:
                        self.writable = True
                        session.flush()
            await self._send(self._goodbye)
        except OSError:
            pass  # The client is gone; reading ends too.
