"""One logged-in connection: opens the socket, logs in, sends requests, reads until the end."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Origin, Subprotocol

from realtime_client.errors import (
    ConnectionClosedError,
    ConnectionLostError,
    ConnectionRefusedByHubError,
    HubMistrustedError,
    RequestTimeoutError,
    hub_error,
)
from realtime_client.wallet import LoginToSign, Wallet
from realtime_protocol.client import (
    ClientEvent,
    ClientSession,
    PushReceived,
    RefusalReceived,
    ReplyReceived,
)
from realtime_protocol.codec import Push
from realtime_protocol.codes import CloseCode
from realtime_protocol.errors import LocalProtocolError, RemoteProtocolError
from realtime_protocol.messages import LoginReply, RequestType
from realtime_protocol.versions import SUBPROTOCOL_MSGPACK

FRAME_BYTES_MAX: Final = 1 << 20
PING_EVERY_S: Final = 20
CLOSE_WITHIN_S: Final = 1
FIRST_CHALLENGE_MS: Final = 8_000
"""A wallet that may need longer to sign asks for another challenge; the first lives 10 s."""
_CHALLENGE_MARGIN_MS: Final = 10_000
_CHALLENGE_TTL_MS_MAX: Final = 300_000


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What every connection of a session shares."""

    url: str
    domain: str
    chain: str | None
    resources: Sequence[str]
    origin: str | None
    open_timeout_s: float
    request_timeout_s: float
    now_ms: Callable[[], int]
    monotonic_s: Callable[[], float]


@dataclass(frozen=True, slots=True)
class LoginTiming:
    """When the steps of a login happened, monotonic seconds."""

    opening_s: float
    challenge_s: float
    """The challenge's frame was here."""
    signing_s: float
    signed_s: float
    open_s: float
    """The login's reply was here."""

    @property
    def login_ms(self) -> float:
        """From the challenge's frame to the reply."""
        return (self.open_s - self.challenge_s) * 1000

    @property
    def wallet_ms(self) -> float:
        """The part that the wallet's signature took."""
        return (self.signed_s - self.signing_s) * 1000


OnPush = Callable[[Push], None]
OnReply = Callable[[Any], None]


@dataclass(slots=True)
class _Waiting:
    """A request whose reply hasn't come."""

    future: asyncio.Future[Any]
    on_reply: OnReply | None


class Link:
    """A connection. Make one with :meth:`open`, then run :meth:`read` until it returns."""

    def __init__(
        self, websocket: ClientConnection, machine: ClientSession, options: LinkOptions
    ) -> None:
        self._websocket = websocket
        self._machine = machine
        self._options = options
        self._waiting: dict[int, _Waiting] = {}
        self._closed: ConnectionClosedError | None = None
        self._slots: asyncio.Semaphore
        self.login: LoginReply
        self.timing: LoginTiming

    @classmethod
    async def open(cls, wallet: Wallet, options: LinkOptions) -> "Link":
        """Connect and log in.

        Raises ConnectionLostError when nobody answers, ConnectionRefusedByHubError, LoginError,
        ConnectionClosedError, HubMistrustedError.
        """
        opening_s = options.monotonic_s()
        websocket = await _open_websocket(options)
        machine = ClientSession(uri=options.url, domain=options.domain, chain=options.chain)
        link = cls(websocket, machine, options)
        try:
            await link._log_in(wallet, opening_s)
        except BaseException as error:
            machine.close()
            code = CloseCode.PROTOCOL_ERROR if isinstance(error, HubMistrustedError) else 1000
            await _close(websocket, int(code))
            if isinstance(error, TimeoutError):
                raise RequestTimeoutError("the hub didn't answer the login in time") from error
            raise
        return link

    async def _log_in(self, wallet: Wallet, opening_s: float) -> None:
        monotonic_s, now_ms = self._options.monotonic_s, self._options.now_ms
        resources = self._options.resources
        async with asyncio.timeout(self._options.open_timeout_s):
            await self._receive()
        challenge_s = monotonic_s()
        self._slots = asyncio.Semaphore(self._machine.in_flight_max)
        if wallet.sign_within_ms > FIRST_CHALLENGE_MS:
            ttl_ms = min(wallet.sign_within_ms + _CHALLENGE_MARGIN_MS, _CHALLENGE_TTL_MS_MAX)
            await self._exchange(self._machine.ask_challenge(ttl_ms))
            challenge_s = monotonic_s()
        text = self._machine.login_text(wallet.public_key, resources, now_ms=now_ms())
        signing_s = monotonic_s()
        signature = await wallet.sign(LoginToSign(text, wallet.scheme))
        signed_s = monotonic_s()
        self.login = await self._exchange(
            self._machine.login(
                scheme=wallet.scheme,
                wallet=wallet.public_key,
                signature=signature,
                resources=resources,
            )
        )
        self.timing = LoginTiming(opening_s, challenge_s, signing_s, signed_s, monotonic_s())

    async def _exchange(self, sent: tuple[int, bytes]) -> Any:
        """Send a request of the login and return its reply; nothing else is on the way then."""
        request_id, frame = sent
        async with asyncio.timeout(self._options.request_timeout_s):
            try:
                await self._websocket.send(frame)
            except ConnectionClosed as error:
                raise _closed_by(error) from error
            while True:
                event = await self._receive()
                if isinstance(event, RefusalReceived) and event.request_id == request_id:
                    raise hub_error(event.error, login=True)
                if isinstance(event, ReplyReceived) and event.request_id == request_id:
                    return event.body

    async def _receive(self) -> ClientEvent | None:
        try:
            frame = await self._websocket.recv()
        except ConnectionClosed as error:
            raise _closed_by(error) from error
        return self._take(frame)

    def _take(self, frame: bytes | str) -> ClientEvent | None:
        if isinstance(frame, str):
            raise HubMistrustedError("the hub sent a text frame on a binary protocol")
        try:
            return self._machine.receive(frame, now_ms=self._options.now_ms())
        except RemoteProtocolError as error:
            raise HubMistrustedError(error.detail) from error

    async def request(
        self, kind: RequestType, body: object, *, on_reply: OnReply | None = None
    ) -> Any:
        """Send a request and return its reply's body.

        *on_reply* sees the body in the read loop, before any frame after it is looked at. Raises
        HubError, RequestTimeoutError, ConnectionLostError.
        """
        waiting = _Waiting(asyncio.get_running_loop().create_future(), on_reply)
        try:
            async with asyncio.timeout(self._options.request_timeout_s):
                await self._slots.acquire()
                await self._send(kind, body, waiting)
                return await waiting.future
        except TimeoutError as error:
            name = kind.name.lower().replace("_", ".")
            raise RequestTimeoutError(
                f"no reply to {name} within {self._options.request_timeout_s} s"
            ) from error

    async def _send(self, kind: RequestType, body: object, waiting: _Waiting) -> None:
        if self._closed is not None:
            self._slots.release()
            raise ConnectionLostError(str(self._closed))
        try:
            request_id, frame = self._machine.request(kind, body)
        except LocalProtocolError:
            self._slots.release()
            raise
        self._waiting[request_id] = waiting
        try:
            await self._websocket.send(frame)
        except ConnectionClosed as error:
            raise ConnectionLostError("the connection broke while sending") from error

    async def read(self, on_push: OnPush) -> ConnectionClosedError:
        """Take frames until the connection ends and return how; then no request is left waiting."""
        try:
            async for frame in self._websocket:
                self._dispatch(self._take(frame), on_push)
            closed = _closed_by(None, self._websocket)
        except ConnectionClosed as error:
            closed = _closed_by(error)
        except (HubMistrustedError, RemoteProtocolError) as error:
            await _close(self._websocket, CloseCode.PROTOCOL_ERROR)
            closed = ConnectionClosedError(CloseCode.PROTOCOL_ERROR, cause=str(error))
        self._closed = closed
        self._machine.close()
        self._fail_waiting(ConnectionLostError(f"the connection broke before the reply: {closed}"))
        return closed

    async def close(self) -> None:
        """Close the socket; reading ends then."""
        await _close(self._websocket, 1000)

    def _dispatch(self, event: ClientEvent | None, on_push: OnPush) -> None:
        match event:
            case PushReceived(push):
                on_push(push)
            case ReplyReceived(request_id, _, body):
                waiting = self._answered(request_id)
                if waiting.on_reply is not None:
                    waiting.on_reply(body)
                if not waiting.future.done():
                    waiting.future.set_result(body)
            case RefusalReceived(request_id, _, error):
                waiting = self._answered(request_id)
                if not waiting.future.done():
                    waiting.future.set_exception(hub_error(error))

    def _answered(self, request_id: int) -> _Waiting:
        self._slots.release()
        return self._waiting.pop(request_id)

    def _fail_waiting(self, error: ConnectionLostError) -> None:
        for waiting in self._waiting.values():
            self._slots.release()
            if not waiting.future.done():
                waiting.future.set_exception(error)
        self._waiting.clear()


async def _open_websocket(options: LinkOptions) -> ClientConnection:
    # A proxy that the environment names is not asked for the way to this machine itself.
    local = urlsplit(options.url).hostname in ("127.0.0.1", "::1", "localhost")
    try:
        return await connect_websocket(
            options.url,
            subprotocols=[Subprotocol(SUBPROTOCOL_MSGPACK)],
            origin=None if options.origin is None else Origin(options.origin),
            compression=None,
            proxy=None if local else True,
            open_timeout=options.open_timeout_s,
            ping_interval=PING_EVERY_S,
            ping_timeout=PING_EVERY_S,
            close_timeout=CLOSE_WITHIN_S,
            max_size=FRAME_BYTES_MAX,
        )
    except InvalidStatus as error:
        text = bytes(error.response.body or b"").decode(errors="replace")
        raise ConnectionRefusedByHubError(error.response.status_code, text) from error
    except InvalidURI:
        raise
    except (OSError, InvalidHandshake) as error:
        raise ConnectionLostError(f"can't connect to {options.url}: {error}") from error


async def _close(websocket: ClientConnection, code: int) -> None:
    try:
        await websocket.close(int(code))
    except (ConnectionClosed, OSError):
        return


def _closed_by(
    error: ConnectionClosed | None, websocket: ClientConnection | None = None
) -> ConnectionClosedError:
    if error is not None and error.rcvd is not None:
        return ConnectionClosedError(error.rcvd.code, error.rcvd.reason)
    if websocket is not None and websocket.close_code is not None:
        return ConnectionClosedError(websocket.close_code, websocket.close_reason or "")
    return ConnectionClosedError(None, cause="the connection broke")
