"""One connection of a session: opens it, resumes or logs in, sends requests, reads to the end."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Origin, Subprotocol

from realtime_client.delegate import Asked, Delegate
from realtime_client.errors import (
    ConnectionClosedError,
    ConnectionLostError,
    ConnectionRefusedByHubError,
    HubError,
    HubMistrustedError,
    RequestTimeoutError,
    hub_error,
)
from realtime_client.resuming import FRAME_BYTES_LIMIT, Ticket, fitting
from realtime_client.resuming import FRAME_BYTES_MAX as RESUME_BYTES_MAX
from realtime_client.wallet import LoginToSign, Wallet
from realtime_protocol.client import (
    ClientEvent,
    ClientSession,
    PushReceived,
    RefusalReceived,
    ReplyReceived,
)
from realtime_protocol.codec import Push
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import LocalProtocolError, RemoteProtocolError
from realtime_protocol.login_resources import encode_key
from realtime_protocol.messages import (
    ChallengeRequest,
    LoginReply,
    RequestType,
    ResumeReply,
    ResumeSub,
    Scheme,
)
from realtime_protocol.session_key import (
    KEY_BYTES,
    Kind,
    session_public_key,
    sign_with_session_key,
)
from realtime_protocol.versions import SUBPROTOCOL_MSGPACK

FRAME_BYTES_MAX: Final = 1 << 20
PING_EVERY_S: Final = 20
CLOSE_WITHIN_S: Final = 1
FIRST_CHALLENGE_MS: Final = 8_000
"""A wallet that may need longer to sign asks for another challenge; the first lives 10 s."""
_CHALLENGE_MARGIN_MS: Final = 10_000
_LOG_IN_AGAIN: Final = frozenset({ErrorCode.RESUME_UNKNOWN, ErrorCode.RESUME_EXPIRED})
_ASK_THE_WALLET: Final = frozenset(
    {ErrorCode.BAD_SIGNATURE, ErrorCode.FORBIDDEN_SCOPE, ErrorCode.DOMAIN_MISMATCH}
)
"""Refusals of a key that a further signature of the wallet mends."""
_CHALLENGE_TTL_MS_MAX: Final = 300_000


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What every connection of a session shares."""

    url: str
    domain: str | None
    """None: of a backend, which signs nothing."""
    chain: str | None
    resources: Sequence[str]
    resumable: bool
    """Whether each login names a key of this client's, for the session to be resumed."""
    delegate: Delegate | None
    """The key that logs in instead of the wallet, once that has signed for it."""
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
Sent = tuple[int, bytes]
"""A request's id and frame."""


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
        self.ticket: Ticket | None = None
        """With what the session can be resumed on the next connection."""
        self.resumed: ResumeReply | None = None
        """What the hub said, where the session was resumed."""
        self.login: LoginReply | None = None
        """What the hub said to the login or the newest refresh, without the token."""
        self.timing: LoginTiming | None = None
        """Of a login on this connection."""

    @classmethod
    async def open(
        cls,
        wallet: Wallet,
        options: LinkOptions,
        *,
        ticket: Ticket | None = None,
        rows: Sequence[ResumeSub] = (),
    ) -> "Link":
        """Connect, and resume what *ticket* stands for, or log in where there is no such session.

        Raises ConnectionLostError when nobody answers, ConnectionRefusedByHubError, LoginError,
        ConnectionClosedError, HubMistrustedError.
        """
        opening_s = options.monotonic_s()
        websocket = await _open_websocket(options)
        machine = ClientSession(uri=options.url, domain=options.domain, chain=options.chain)
        link = cls(websocket, machine, options)
        try:
            await link._begin(wallet, opening_s, ticket, rows)
        except BaseException as error:
            machine.close()
            code = CloseCode.PROTOCOL_ERROR if isinstance(error, HubMistrustedError) else 1000
            await _close(websocket, int(code))
            if isinstance(error, TimeoutError):
                raise RequestTimeoutError("the hub didn't answer the login in time") from error
            raise
        return link

    @classmethod
    async def open_service(cls, api_key: str, options: LinkOptions) -> "Link":
        """Connect and log a backend in by its API key; raises as `open` does."""
        websocket = await _open_websocket(options)
        machine = ClientSession(uri=options.url, domain=None, chain=options.chain)
        link = cls(websocket, machine, options)
        try:
            async with asyncio.timeout(options.open_timeout_s):
                await link._receive()
            link._slots = asyncio.Semaphore(machine.in_flight_max)
            link.login = await link._exchange(machine.service(api_key))
        except BaseException as error:
            machine.close()
            await _close(websocket, 1000)
            if isinstance(error, TimeoutError):
                raise RequestTimeoutError("the hub didn't answer the login in time") from error
            raise
        return link

    async def acknowledge(self, sub: int, offset: int) -> None:
        """Say that everything of a subscription up to *offset* was dealt with."""
        if self._closed is not None:
            return
        try:
            await self._websocket.send(self._machine.acknowledge(sub, offset))
        except ConnectionClosed:
            return  # The reader finds out.

    async def _begin(
        self, wallet: Wallet, opening_s: float, ticket: Ticket | None, rows: Sequence[ResumeSub]
    ) -> None:
        async with asyncio.timeout(self._options.open_timeout_s):
            await self._receive()
        challenge_s = self._options.monotonic_s()
        self._slots = asyncio.Semaphore(self._machine.in_flight_max)
        if ticket is not None and await self._resume(ticket, rows):
            return
        used_up = ticket is not None
        delegate = self._options.delegate
        if delegate is not None and self._may_log_in(delegate, wallet):
            if used_up:
                await self._exchange(self._machine.ask_challenge(FIRST_CHALLENGE_MS))
            if await self._log_in_by_key(delegate, wallet, opening_s, challenge_s):
                return
            used_up = True
        if used_up or wallet.sign_within_ms > FIRST_CHALLENGE_MS:
            await self._exchange(self._machine.ask_challenge(_challenge_ttl_ms(wallet)))
            challenge_s = self._options.monotonic_s()
        await self._log_in(wallet, opening_s, challenge_s)

    async def _resume(self, ticket: Ticket, rows: Sequence[ResumeSub]) -> bool:
        """Take the session up again; False when the hub has no such session any more."""
        challenge = self._machine.challenge
        told = None if challenge is None else challenge.limits.get(FRAME_BYTES_LIMIT)
        subs = fitting(rows, told if isinstance(told, int) else RESUME_BYTES_MAX)
        sent = self._machine.resume(
            token=ticket.token, sid=ticket.sid, key_seed=ticket.key_seed, subs=subs
        )
        try:
            reply: ResumeReply = await self._exchange(sent)
        except HubError as error:
            if error.code in _LOG_IN_AGAIN:
                return False
            raise
        self.resumed = reply
        self.ticket = Ticket(ticket.sid, reply.resume_token, ticket.key_seed)
        return True

    def _may_log_in(self, delegate: Delegate, wallet: Wallet) -> bool:
        options = self._options
        domain = options.domain or ""
        return delegate.may_log_in(wallet.public_key, domain, now_ms=options.now_ms())

    async def _log_in_by_key(
        self, delegate: Delegate, wallet: Wallet, opening_s: float, challenge_s: float
    ) -> bool:
        """Log in without the wallet; False when only the wallet can let the key in again."""
        monotonic_s = self._options.monotonic_s
        signing_s = monotonic_s()
        sent = self._key_login(delegate, wallet)
        signed_s = monotonic_s()
        try:
            reply = await self._exchange(sent)
        except HubError as error:
            if error.code == ErrorCode.BAD_SIGNATURE:
                delegate.forget()
            if error.code in _ASK_THE_WALLET:
                return False
            raise
        self._logged_in(reply, delegate.seed)
        self.timing = LoginTiming(opening_s, challenge_s, signing_s, signed_s, monotonic_s())
        return True

    def _key_login(self, delegate: Delegate, wallet: Wallet) -> Sent:
        resources = [*self._options.resources, encode_key(delegate.public_key)]
        text = self._machine.login_text(wallet.public_key, resources, now_ms=self._options.now_ms())
        return self._machine.login(
            scheme=Scheme.KEY,
            wallet=wallet.public_key,
            signature=sign_with_session_key(delegate.seed, Kind.LOGIN, text),
            resources=resources,
        )

    async def _log_in(self, wallet: Wallet, opening_s: float, challenge_s: float) -> None:
        monotonic_s = self._options.monotonic_s
        key_seed, resources, asked = self._new_key()
        text = self._login_text(wallet, resources)
        signing_s = monotonic_s()
        signature = await wallet.sign(text)
        signed_s = monotonic_s()
        reply = await self._exchange(self._login_frame(wallet, signature, resources))
        self._logged_in(reply, key_seed)
        self._granted(wallet, asked)
        self.timing = LoginTiming(opening_s, challenge_s, signing_s, signed_s, monotonic_s())

    async def refresh(self, wallet: Wallet) -> None:
        """Prolong the session by another signature, of the key where that reaches further.

        HubError, RequestTimeoutError.
        """
        delegate = self._options.delegate
        login = self.login
        until_ms = 0 if login is None else login.session_exp_ms
        if delegate is not None and delegate.until_ms > until_ms:
            await self.request(RequestType.CHALLENGE, ChallengeRequest(FIRST_CHALLENGE_MS))
            reply = await self._ask("refresh", lambda: self._key_login(delegate, wallet))
            self._logged_in(reply, delegate.seed)
            return
        ttl_ms = _challenge_ttl_ms(wallet)
        await self.request(RequestType.CHALLENGE, ChallengeRequest(ttl_ms))
        key_seed, resources, asked = self._new_key()
        signature = await wallet.sign(self._login_text(wallet, resources))
        reply = await self._ask("refresh", lambda: self._login_frame(wallet, signature, resources))
        self._logged_in(reply, key_seed)
        self._granted(wallet, asked)

    def _new_key(self) -> tuple[bytes | None, list[str], Asked | None]:
        """Return the session key's seed, the login's resources with its line, and what that asks.

        That is None for a key that is this session's only.
        """
        listed, delegate = list(self._options.resources), self._options.delegate
        if delegate is not None:
            asked = delegate.ask(now_ms=self._options.now_ms())
            return delegate.seed, [*listed, *asked.lines], asked
        if not self._options.resumable:
            return None, listed, None
        key_seed = secrets.token_bytes(KEY_BYTES)
        return key_seed, [*listed, encode_key(session_public_key(key_seed))], None

    def _granted(self, wallet: Wallet, asked: Asked | None) -> None:
        if self._options.delegate is not None and asked is not None:
            self._options.delegate.grant(wallet.public_key, self._options.domain or "", asked)

    def _login_text(self, wallet: Wallet, resources: Sequence[str]) -> LoginToSign:
        now_ms = self._options.now_ms()
        text = self._machine.login_text(wallet.public_key, resources, now_ms=now_ms)
        return LoginToSign(text, wallet.scheme)

    def _login_frame(self, wallet: Wallet, signature: bytes, resources: Sequence[str]) -> Sent:
        return self._machine.login(
            scheme=wallet.scheme,
            wallet=wallet.public_key,
            signature=signature,
            resources=resources,
        )

    def _logged_in(self, reply: LoginReply, key_seed: bytes | None) -> None:
        can_resume = key_seed is not None and reply.resume_token
        self.ticket = Ticket(reply.sid, reply.resume_token, key_seed or b"") if can_resume else None
        self.login = replace(reply, resume_token=b"")  # The ticket has it, where nothing prints it.

    async def _exchange(self, sent: Sent) -> Any:
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
        name = kind.name.lower().replace("_", ".")
        return await self._ask(name, lambda: self._machine.request(kind, body), on_reply=on_reply)

    async def _ask(
        self, name: str, make: Callable[[], Sent], *, on_reply: OnReply | None = None
    ) -> Any:
        waiting = _Waiting(asyncio.get_running_loop().create_future(), on_reply)
        try:
            async with asyncio.timeout(self._options.request_timeout_s):
                await self._slots.acquire()
                await self._send(make, waiting)
                return await waiting.future
        except TimeoutError as error:
            raise RequestTimeoutError(
                f"no reply to {name} within {self._options.request_timeout_s} s"
            ) from error

    async def _send(self, make: Callable[[], Sent], waiting: _Waiting) -> None:
        if self._closed is not None:
            self._slots.release()
            raise ConnectionLostError(str(self._closed))
        try:
            request_id, frame = make()
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


def _challenge_ttl_ms(wallet: Wallet) -> int:
    return min(wallet.sign_within_ms + _CHALLENGE_MARGIN_MS, _CHALLENGE_TTL_MS_MAX)


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
