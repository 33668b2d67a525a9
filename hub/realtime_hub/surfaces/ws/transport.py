"""A session's connection: WebSocket frames over a TCP transport that uvicorn accepted.

uvicorn makes one object for each connection that upgrades, hands it the transport and the request
as it was, and asks it to `shutdown` when the server ends (`uvicorn.protocols.websockets`). The
rules of RFC 6455 are kept by websockets' `ServerProtocol`, which does no I/O.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import CONNECTING, OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from realtime_hub.session.addresses import count_as
from realtime_hub.session.context import HubContext
from realtime_hub.session.session import CLOSE_WITHIN_S, LiveSession, Serve
from realtime_hub.surfaces.dispatch import Dispatcher
from realtime_hub.surfaces.ws.handshake import (
    Refusal,
    domain_of,
    refuse_address,
    refuse_for_path,
    refuse_for_room,
)
from realtime_protocol.codes import CloseCode
from realtime_protocol.limits import TokenBucket
from realtime_protocol.versions import SUBPROTOCOL_MSGPACK

logger = logging.getLogger(__name__)
_frame_logger = logging.getLogger(f"{__name__}.frames")
_frame_logger.setLevel(logging.WARNING)

SEND_BUFFER_BYTES: Final = 65_536
"""In the kernel. Without a bound a slow client is noticed only after megabytes."""
WRITE_HIGH_BYTES: Final = 16_384
WRITE_LOW_BYTES: Final = 4_096
READ_AT_ONCE_BYTES: Final = 4_096
"""Read from one client before others get their turn: some 700 of the smallest frames."""
INTERNAL_ERROR: Final = 1011
_SUBPROTOCOLS: Final = [Subprotocol(SUBPROTOCOL_MSGPACK)]


class ServerState(Protocol):
    """What uvicorn shares between its connections."""

    connections: set[Any]


def make_ws_protocol(context: HubContext) -> type[asyncio.Protocol]:
    """Return the class to give uvicorn as ``ws=``; its connections work with *context*."""
    serve = Dispatcher(context).serve

    class BoundTransport(WebSocketTransport):
        """A connection of this hub."""

        def __init__(
            self,
            config: object,
            server_state: ServerState,
            app_state: object,
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(context, serve, server_state.connections)

    return BoundTransport


class WebSocketTransport(asyncio.Protocol):
    """One connection; the :class:`~realtime_hub.session.ports.Wire` of its session."""

    def __init__(self, context: HubContext, serve: Serve, connections: set[Any]) -> None:
        self._context = context
        self._serve = serve
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._session: LiveSession | None = None
        self._address = ""
        self._counted = False
        """Whether the address book counts this connection."""
        self._frames = ServerProtocol(
            subprotocols=_SUBPROTOCOLS,
            # Before login the session takes less and closes with the same code; the parser takes
            # its bound before a frame comes, so it can't be changed between two frames.
            max_size=context.limits.frame_bytes_max,
            logger=_frame_logger,
        )
        self._fragments: list[bytes] = []
        now_s = context.clock.monotonic_s()
        limits = context.limits
        self._control = TokenBucket(
            limits.control_frames_per_s, limits.control_frames_burst, now_s=now_s
        )
        self._unread = b""
        """What was received and waits for its turn; while there is some, nothing is received."""
        self._turn: asyncio.Handle | None = None
        self._held = False
        """Whether the session wants no messages now."""
        self._receiving = True
        self._writable = True
        self._sent_bytes = 0
        self._cut: asyncio.TimerHandle | None = None
        self._pinged_s = now_s
        self._heard = True
        self._pings_missed = 0

    # What uvicorn and the event loop call -----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport of a connection that upgrades."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES, low=WRITE_LOW_BYTES)
        peer = transport.get_extra_info("peername")
        self._address = count_as(peer[0]) if isinstance(peer, tuple) and peer else "local"

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        self._heard = True
        self._unread = self._unread + data if self._unread else data
        if self._turn is None and not self._held:
            self._read()

    def eof_received(self) -> None:
        """The client sends nothing more: close."""

    def pause_writing(self) -> None:
        """The system takes nothing more for now."""
        self._writable = False

    def resume_writing(self) -> None:
        """The system takes data again."""
        self._writable = True
        if self._session is not None:
            self._session.flush()

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is gone."""
        self._writable = False
        self._unread = b""
        for handle in (self._turn, self._cut):
            if handle is not None:
                handle.cancel()
        self._connections.discard(self)
        self._lose_session()
        if self._counted:
            self._counted = False
            self._context.registry.addresses.disconnect(self._address)

    def shutdown(self) -> None:
        """The server ends: tell the client to come back elsewhere."""
        if self._session is not None:
            self._session.drain()
        elif self._transport is not None and self._cut is None:
            self._transport.close()

    # What the session calls -------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """Whether more may be sent now."""
        return self._writable

    @property
    def unsent_bytes(self) -> int:
        """What was sent here and the system has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def drained_bytes(self) -> int:
        """What the system has taken so far."""
        return self._sent_bytes - self.unsent_bytes

    def tick(self, now_s: float) -> None:
        """Ask for a sign of life every so often; close 4007 when none comes."""
        limits = self._context.limits
        if (now_s - self._pinged_s) * 1_000 < limits.ping_every_ms or self._session is None:
            return
        # Whoever still has much to read finds the ping late, and we may not be reading the answer:
        # then the lack of drain progress decides, not this.
        excused = self._heard or not self._receiving or self.unsent_bytes > 0
        self._pings_missed = 0 if excused else self._pings_missed + 1
        if self._pings_missed >= limits.pings_missed_max:
            self._session.fail(CloseCode.NO_PONG)
            return
        self._pinged_s = now_s
        self._heard = False
        if self._frames.state is OPEN:
            self._frames.send_ping(b"")
            self._write_frames()

    def send(self, messages: Sequence[bytes]) -> None:
        """Send whole messages, in order, with one write."""
        if self._frames.state is not OPEN:
            return
        parts: list[bytes] = []
        for message in messages:
            parts.append(_header(len(message)))
            parts.append(message)
        self._write(b"".join(parts))

    def pause_reading(self) -> None:
        """Deliver no further messages until `resume_reading`."""
        self._held = True
        self._steer()

    def resume_reading(self) -> None:
        """Deliver messages again, those first that were received and held."""
        self._held = False
        if self._unread and self._turn is None:
            self._turn = self._loop.call_soon(self._take_turn)
        self._steer()

    def close(self, code: int, reason: str, *, within_s: float) -> None:
        """Say goodbye; whoever doesn't answer within *within_s* is cut off."""
        self._held = False
        self._unread = b""
        if self._frames.state is OPEN:
            self._frames.send_close(code, reason)
            self._write_frames()
        self._cut_after(within_s)
        self._steer()

    # Reading ----------------------------------------------------------------------------------

    def _take_turn(self) -> None:
        self._turn = None
        if not self._held:
            self._read()

    def _read(self) -> None:
        """Process one piece of what was received; the rest waits for the next turn."""
        handshake = self._frames.state is CONNECTING
        end = len(self._unread) if handshake else READ_AT_ONCE_BYTES
        piece, self._unread = self._unread[:end], self._unread[end:]
        try:
            self._process(piece)
        except Exception:
            logger.exception("a connection failed")
            self._fail(INTERNAL_ERROR)
        if self._unread and self._turn is None and not self._held:
            self._turn = self._loop.call_soon(self._take_turn)
        self._steer()

    def _process(self, piece: bytes) -> None:
        frames = self._frames
        frames.receive_data(piece)
        for event in frames.events_received():
            if isinstance(event, Request):
                self._shake_hands(event)
            elif isinstance(event, Frame) and self._session is not None:
                self._take_frame(event, self._session)
        if self._session is not None:
            if frames.parser_exc is not None:
                self._end_session_of_broken_frames(self._session)
            else:
                self._session.flush()
        self._write_frames()

    def _take_frame(self, frame: Frame, session: LiveSession) -> None:
        if session.ended:
            if frame.opcode is Opcode.CLOSE:
                self._lose_session()
            return
        match frame.opcode:
            case Opcode.BINARY | Opcode.CONT:
                self._take_binary(frame, session)
            case Opcode.TEXT:
                session.receive_text()
            case Opcode.PING | Opcode.PONG:
                if self._control.take(1, now_s=self._context.clock.monotonic_s()):
                    session.fail(CloseCode.RATE_LIMITED)
            case Opcode.CLOSE:
                self._lose_session()

    def _take_binary(self, frame: Frame, session: LiveSession) -> None:
        data = bytes(frame.data)
        if frame.fin and not self._fragments:
            session.receive(data)
            return
        self._fragments.append(data)
        if len(self._fragments) > self._context.limits.fragments_max:
            self._fragments.clear()
            session.fail(CloseCode.PROTOCOL_ERROR)
        elif frame.fin:
            message = b"".join(self._fragments)
            self._fragments.clear()
            session.receive(message)

    # Opening ----------------------------------------------------------------------------------

    def _shake_hands(self, request: Request) -> None:
        registry = self._context.registry
        now_s = self._context.clock.monotonic_s()
        wait_ms = registry.addresses.try_upgrade(self._address, now_s=now_s)
        refusal = refuse_for_room(wait_ms=wait_ms, is_full=registry.is_full) or refuse_for_path(
            request.path
        )
        if refusal is not None:
            self._refuse(refusal)
            return
        settings = self._context.settings
        domain = domain_of(
            request.headers,
            origins=settings.origins,
            without_origin=settings.domain_without_origin,
        )
        if isinstance(domain, Refusal):
            self._refuse(domain)
            return
        response = self._frames.accept(request)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS and not self._count(now_s):
            self._refuse(refuse_address())
            return
        if self._frames.subprotocol is None and response.status_code == HTTPStatus.BAD_REQUEST:
            response = self._frames.reject(
                HTTPStatus.BAD_REQUEST,
                f"{(response.body or b'').decode()}Subprotocols: {SUBPROTOCOL_MSGPACK}\n",
            )
        self._frames.send_response(response)
        self._write_frames()
        if self._frames.state is OPEN:
            self._open(domain)

    def _count(self, now_s: float) -> bool:
        self._counted = self._context.registry.addresses.try_connect(self._address, now_s=now_s)
        return self._counted

    def _refuse(self, refusal: Refusal) -> None:
        response = self._frames.reject(refusal.status, refusal.text)
        if refusal.retry_after_s is not None:
            response.headers["Retry-After"] = str(refusal.retry_after_s)
        self._frames.send_response(response)

    def _open(self, domain: str) -> None:
        self._session = LiveSession(
            self._context, self, self._serve, address=self._address, domain=domain
        )
        self._session.start()

    # Writing and ending -----------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._sent_bytes += len(data)
            self._transport.write(data)

    def _write_frames(self) -> None:
        """Write what the frame layer wants written; an empty piece is the end of the stream."""
        pieces = self._frames.data_to_send()
        if not pieces:
            return
        data = b"".join(pieces)
        if data:
            self._write(data)
        if not pieces[-1]:
            self._end_stream()

    def _end_stream(self) -> None:
        """Send no more.

        Where the client may be in the middle of a message that is refused, what still comes is
        read for a while: else a reset could overtake the reason.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._cut_after(CLOSE_WITHIN_S)
        if self._frames.parser_exc is None or not transport.can_write_eof():
            transport.close()
        else:
            transport.write_eof()

    def _cut_after(self, within_s: float) -> None:
        if self._cut is None and self._transport is not None:
            self._cut = self._loop.call_later(within_s, self._transport.abort)

    def _end_session_of_broken_frames(self, session: LiveSession) -> None:
        """The frame layer has said goodbye already; the session follows."""
        sent = self._frames.close_sent
        code = CloseCode.PROTOCOL_ERROR if sent is None else sent.code
        session.end(int(code), "" if sent is None else sent.reason, least_urgent=None)

    def _fail(self, code: int) -> None:
        if self._session is not None:
            self._session.end(code, "internal_error", least_urgent=None)
        elif self._transport is not None:
            self._transport.close()

    def _lose_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.lost()

    def _steer(self) -> None:
        """Receive from the system only while nothing waits here."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        wanted = not self._held and not self._unread
        if wanted != self._receiving:
            self._receiving = wanted
            if wanted:
                transport.resume_reading()
            else:
                transport.pause_reading()


def _header(size: int) -> bytes:
    """Return the header of a whole, unmasked binary frame."""
    if size < 126:
        return bytes((0x82, size))
    if size < 65_536:
        return b"\x82\x7e" + size.to_bytes(2)
    return b"\x82\x7f" + size.to_bytes(8)
