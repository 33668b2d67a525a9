"""A session's connection: WebSocket frames over a TCP transport that uvicorn accepted.

One object is made for each connection that upgrades: by our own doorway, with the request as it was
read there, or by uvicorn, with the request as bytes (`uvicorn.protocols.websockets`). uvicorn asks
it to `shutdown` when the server ends. What was read is handled before the read callback returns,
and all answers leave with one write.
"""

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from realtime_hub.session.addresses import count_as
from realtime_hub.session.context import HubContext
from realtime_hub.session.input_turns import FIRST
from realtime_hub.session.session import CLOSE_WITHIN_S, LiveSession, Serve
from realtime_hub.surfaces.ws.forms import FORMS
from realtime_hub.surfaces.ws.frames import (
    PING,
    Broken,
    FrameStream,
    encode_messages,
    encode_texts,
    frame_logger,
    peek_type,
)
from realtime_hub.surfaces.ws.handshake import (
    Refusal,
    admit,
    refuse_address,
    refuse_for_host,
    refuse_for_path,
    refuse_for_subprotocols,
    refuse_for_version,
)
from realtime_hub.surfaces.ws.upgrade import Upgrade, encode_acceptance, encode_refusal
from realtime_hub.turns import LoopTurns
from realtime_protocol.codes import CloseCode
from realtime_protocol.limits import TokenBucket

logger = logging.getLogger(__name__)

WRITE_HIGH_BYTES: Final = 16_384
WRITE_LOW_BYTES: Final = 4_096
READ_AT_ONCE_BYTES: Final = 4_096
"""Read from one client before others get their turn: some 700 of the smallest frames."""
UNCOUNTED_BYTES: Final = 256
"""So little of a client's input may wait without being added up with all others'."""
INTERNAL_ERROR: Final = 1011
GO_FIRST: Final = FIRST | {-1}
"""What takes no turns, as `peek_type` sees it; whatever is no plain request doesn't either."""


class ServerState(Protocol):
    """What uvicorn shares between its connections."""

    connections: set[Any]


def make_ws_protocol(context: HubContext, serve: Serve) -> type[asyncio.Protocol]:
    """Return the class to give uvicorn as ``ws=``; *serve* serves what its sessions let through."""
    losses = LoopTurns()  # Where a cable is cut, thousands go at once.

    class BoundTransport(WebSocketTransport):
        """A connection of this hub."""

        __slots__ = ()

        def __init__(
            self,
            config: object,
            server_state: ServerState,
            app_state: object,
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(context, serve, server_state.connections, losses)

    return BoundTransport


class WebSocketTransport(asyncio.Protocol):
    """One connection; the :class:`~realtime_hub.session.ports.Wire` of its session."""

    __slots__ = (
        "_address", "_connections", "_context", "_control", "_counted", "_cut", "_frames", "_got",
        "_heard", "_held", "_inputs", "_kept_bytes", "_losses", "_pinged_s", "_pings_missed",
        "_receiving", "_sent_bytes", "_serve", "_session", "_transport", "_unread", "_waits",
        "_whole_s", "writable",
    )  # fmt: skip

    def __init__(
        self, context: HubContext, serve: Serve, connections: set[Any], losses: LoopTurns
    ) -> None:
        self._context = context
        self._inputs = context.inputs
        self._serve = serve
        self._connections = connections
        self._losses = losses
        self._transport: asyncio.Transport | None = None
        self._session: LiveSession | None = None
        self._frames: FrameStream | None = None
        """None until the connection has upgraded."""
        self._address = ""
        self._counted = False
        """Whether the address book counts this connection."""
        now_s = context.clock.monotonic_s()
        limits = context.limits
        self._control = TokenBucket(
            limits.control_frames_per_s, limits.control_frames_burst, now_s=now_s
        )
        self._unread = b""
        """What was received and waits for its turn; while there is much, nothing is received."""
        self._waits = False
        """Whether a turn is due."""
        self._held = False
        """Whether the session wants no messages now."""
        self._receiving = True
        self.writable = True
        self._sent_bytes = 0
        self._cut: asyncio.TimerHandle | None = None
        self._pinged_s = now_s
        self._heard = True
        self._pings_missed = 0
        self._kept_bytes = 0
        """What the registry knows to be kept here of messages that are not whole or wait."""
        self._got = True
        """Whether a message became whole since the last tick."""
        self._whole_s = now_s
        """When nothing was left of a message, or the last one became whole."""

    # What uvicorn and the event loop call -----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport of a connection that upgrades."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES, low=WRITE_LOW_BYTES)
        peer = transport.get_extra_info("peername")
        self._address = count_as(peer[0]) if isinstance(peer, tuple) and peer else "local"

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        self._heard = True
        if self._frames is None:
            self._shake_hands(data)
        elif (
            self._unread
            or self._held
            or len(data) > READ_AT_ONCE_BYTES
            or (self._inputs.crowded and peek_type(data) not in GO_FIRST)
        ):
            self._keep(self._frames, data)
        else:
            self._process(self._frames, data)

    def take_upgrade(self, upgrade: Upgrade) -> None:
        """Answer a request that is good, and begin the session."""
        now_s = self._context.clock.monotonic_s()
        domain = admit(self._context, address=self._address, origins=upgrade.origins, now_s=now_s)
        served = self._context.settings.subprotocols
        if isinstance(domain, str) and upgrade.subprotocol not in served:
            domain = refuse_for_subprotocols(served)
        if isinstance(domain, str) and not self._count(now_s):
            domain = refuse_address()
        if isinstance(domain, Refusal):
            self._refuse(domain)
        else:
            self._write(encode_acceptance(upgrade))
            self._open(domain, upgrade.subprotocol, from_page=bool(upgrade.origins))

    def eof_received(self) -> bool:
        """The client sends nothing more: close, in its turn, since the system takes long for it."""
        if self._transport is not None:
            self._losses.take(self._transport.close)
        return True

    def pause_writing(self) -> None:
        """The system takes nothing more for now."""
        self.writable = False

    def resume_writing(self) -> None:
        """The system takes data again."""
        self.writable = True
        if self._session is not None:
            self._session.flush()

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is gone."""
        self.writable = False
        self._unread = b""
        if self._cut is not None:
            self._cut.cancel()
        self._connections.discard(self)
        self._context.registry.inbound_bytes -= self._kept_bytes
        self._kept_bytes = 0
        self._losses.take(self._leave)

    def shutdown(self) -> None:
        """The server ends: tell the client to come back elsewhere."""
        if self._session is not None:
            self._session.drain()
        elif self._transport is not None and self._cut is None:
            self._transport.close()

    # What the session calls -------------------------------------------------------------------

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
        if self._got or self._frames is None or not self._frames.in_message:
            self._got = False
            self._whole_s = now_s
        elif (now_s - self._whole_s) * 1_000 >= limits.message_within_ms:
            # A message that comes byte by byte would be kept for ever.
            self._fail_session(CloseCode.IDLE)
            return
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
        if self._frames is not None and self._frames.is_open:
            self._write(PING)

    def send(self, messages: Sequence[bytes]) -> None:
        """Send whole messages, in order, with one write."""
        frames = self._frames
        if frames is not None and frames.is_open:
            self._write(encode_messages(messages))

    def send_texts(self, texts: Sequence[bytes]) -> None:
        """Send whole messages as text, in order, with one write."""
        frames = self._frames
        if frames is not None and frames.is_open:
            self._write(encode_texts(texts))

    def pause_reading(self) -> None:
        """Deliver no further messages until `resume_reading`."""
        self._held = True
        self._steer()

    def resume_reading(self) -> None:
        """Deliver messages again, those first that were received and held."""
        self._held = False
        self._put_off_turn()
        self._steer()

    def close(self, code: int, reason: str, *, within_s: float) -> None:
        """Say goodbye; whoever doesn't answer within *within_s* is cut off."""
        self._held = False
        self._unread = b""
        if self._frames is not None:
            self._frames.close(code, reason)
            self._write_pieces(self._frames.output())
        self._cut_after(within_s)
        self._steer()

    # Reading ----------------------------------------------------------------------------------

    def _keep(self, frames: FrameStream, data: bytes) -> None:
        """Let what came in wait for its turn, which is now where there is no crowd."""
        if frames.is_broken:
            return  # Nothing of it counts any more.
        unread = self._unread = self._unread + data
        if self._inputs.crowded:
            self._put_off_turn()
        elif not self._waits:
            self._take_turn()
        if len(unread) > UNCOUNTED_BYTES:
            self._steer()
            self._account(frames)

    def _put_off_turn(self) -> None:
        if self._unread and not self._held and not self._waits:
            self._waits = True
            if self._inputs.crowded:
                self._inputs.put_off(self._take_turn)
            else:
                asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Process one piece of what was received; the rest waits for the next turn."""
        self._waits = False
        piece = self._unread
        if self._held or self._frames is None or not piece:
            return
        if len(piece) > READ_AT_ONCE_BYTES:
            piece, self._unread = piece[:READ_AT_ONCE_BYTES], piece[READ_AT_ONCE_BYTES:]
        else:
            self._unread = b""
        self._process(self._frames, piece)
        self._put_off_turn()
        if not self._receiving:
            self._steer()

    def _process(self, frames: FrameStream, data: bytes) -> None:
        try:
            messages = frames.receive(data)
            if messages and self._session is not None:
                self._got = True
                self._session.receive(messages)
            if frames.waits:
                self._process_odd(frames)
                self._account(frames)
            elif self._kept_bytes:
                self._account(frames)
        except Exception:
            logger.exception("a connection failed")
            self._fail(INTERNAL_ERROR)

    def _process_odd(self, frames: FrameStream) -> None:
        while (event := frames.odd()) is not None and self._session is not None:
            self._take_odd(frames, event, self._session)
            self._write_pieces(frames.output())
            messages = frames.receive(b"")
            if messages and self._session is not None:
                self._session.receive(messages)

    def _account(self, frames: FrameStream) -> None:
        """Tell the registry what is kept of this client's input; at its bound nobody may add."""
        registry = self._context.registry
        kept_bytes = len(self._unread) + frames.held_bytes
        registry.inbound_bytes += kept_bytes - self._kept_bytes
        added, self._kept_bytes = kept_bytes > self._kept_bytes, kept_bytes
        if added and registry.inbound_bytes > self._context.settings.inbound_bytes_max:
            self._fail_session(CloseCode.OVERLOADED)

    def _take_odd(self, frames: FrameStream, event: Frame | Broken, session: LiveSession) -> None:
        if isinstance(event, Broken):
            # The frames have said goodbye already; the session follows.
            session.end(event.code, event.reason, least_urgent=None)
            return
        match event.opcode:
            case frames.opcode:
                self._got = True
                session.receive([bytes(event.data)])
            case Opcode.BINARY | Opcode.TEXT:
                session.receive_misframed()
            case Opcode.PING | Opcode.PONG:
                session.heard()
                now_s = self._context.clock.monotonic_s()
                if not session.ended and self._control.take(1, now_s=now_s):
                    session.fail(CloseCode.RATE_LIMITED)
            case Opcode.CLOSE:
                self._lose_session()

    # Opening ----------------------------------------------------------------------------------

    def _shake_hands(self, data: bytes) -> None:
        """Answer a request to upgrade that is unusual, and that uvicorn has read whole."""
        served = [Subprotocol(name) for name in self._context.settings.subprotocols]
        protocol = ServerProtocol(subprotocols=served, logger=frame_logger)
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Request):
                self._answer(protocol, event)
                return
        self._write_pieces(protocol.data_to_send())

    def _answer(self, protocol: ServerProtocol, request: Request) -> None:
        """Accept or refuse."""
        now_s, headers = self._context.clock.monotonic_s(), request.headers
        domain = (
            refuse_for_path(request.path)
            or refuse_for_host(headers)
            or refuse_for_version(headers)
            or admit(
                self._context,
                address=self._address,
                origins=headers.get_all("Origin"),
                now_s=now_s,
            )
        )
        if isinstance(domain, Refusal):
            self._refuse(domain)
            return
        response = protocol.accept(request)
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS and not self._count(now_s):
            self._refuse(refuse_address())
        elif protocol.subprotocol is None and response.status_code == HTTPStatus.BAD_REQUEST:
            served = self._context.settings.subprotocols
            self._refuse(refuse_for_subprotocols(served, (response.body or b"").decode()))
        else:
            protocol.send_response(response)
            self._write_pieces(protocol.data_to_send())
            if protocol.state is OPEN and protocol.subprotocol is not None:
                self._open(domain, protocol.subprotocol, from_page="Origin" in headers)

    def _refuse(self, refusal: Refusal) -> None:
        self._write(encode_refusal(refusal))
        self._end_stream()

    def _count(self, now_s: float) -> bool:
        self._counted = self._context.registry.addresses.try_connect(self._address, now_s=now_s)
        return self._counted

    def _open(self, domain: str, subprotocol: str, *, from_page: bool) -> None:
        form = FORMS[subprotocol]
        session = LiveSession(
            self._context,
            form.wire(self),
            self._serve,
            address=self._address,
            domain=domain,
            from_page=from_page,
            reader=form.reader,
        )
        self._frames = form.stream(session)
        self._session = session
        session.start()

    # Writing and ending -----------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._sent_bytes += len(data)
            self._transport.write(data)

    def _write_pieces(self, pieces: Sequence[bytes]) -> None:
        """Write what the frames want written; an empty piece is the end of the stream."""
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
        broken = self._frames is not None and self._frames.is_broken
        if broken and transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def _cut_after(self, within_s: float) -> None:
        if self._cut is None and self._transport is not None:
            loop = asyncio.get_running_loop()
            self._cut = loop.call_later(within_s, self._transport.abort)

    def _fail(self, code: int) -> None:
        if self._session is not None:
            self._session.end(code, "internal_error", least_urgent=None)
        elif self._transport is not None:
            self._transport.close()

    def _fail_session(self, code: CloseCode) -> None:
        if self._session is not None:
            self._session.fail(code)

    def _leave(self) -> None:
        self._lose_session()
        self._frames = None  # They know the session, which knows this: leave no cycle.
        if self._counted:
            self._counted = False
            self._context.registry.addresses.disconnect(self._address)

    def _lose_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.lost()

    def _steer(self) -> None:
        """Receive from the system only while no more than one piece waits here."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        wanted = not self._held and len(self._unread) <= READ_AT_ONCE_BYTES
        if wanted != self._receiving:
            self._receiving = wanted
            if wanted:
                transport.resume_reading()
            else:
                transport.pause_reading()
