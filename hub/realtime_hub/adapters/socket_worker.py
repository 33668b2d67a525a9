"""A worker's end: payments served by the owner, another process of this hub.

A request without an answer is 108, never a promise: whoever asks again with the same idempotency
key and the same bytes gets the one answer there is, from this owner or from the next.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from realtime_hub.adapters.socket_frames import (
    IN_FLIGHT_MAX,
    Changed,
    Done,
    Get,
    Hello,
    Pay,
    Prepare,
    Read,
    ReadAnswer,
    Refused,
    SetTrust,
    Spends,
    Spent,
    Welcome,
    decode_told,
    encode_frame,
    quoted_pair,
    read_frame,
    short_path,
)
from realtime_hub.pay.model import PaymentChange, Spender, StreamRead
from realtime_hub.pay.ports import Desk
from realtime_hub.route.model import QuotedRoute
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    PaymentStatus,
    PayReply,
    PayRequest,
    Position,
    PrepareReply,
    PrepareRequest,
    SpendGetReply,
    TrustSetReply,
)

WELCOME_S_MAX: Final = 5.0
ANSWER_S_MAX: Final = 2.0
PAY_S_MAX: Final = 5.0
"""Longer than the owner itself waits for its disk."""
RETRY_AFTER_MS: Final = 1_000
Body = TypeVar("Body")


class SocketLink:
    """OwnerLink to the process that serves *path*."""

    def __init__(self, path: Path, find_quote: Callable[[bytes], QuotedRoute | None]) -> None:
        self._path = path
        self._find_quote = find_quote

    async def follow(self, desk: Desk) -> None:
        """Serve *desk* through the owner until the connection ends."""
        try:
            with short_path(self._path) as name:
                reader, writer = await asyncio.open_unix_connection(name)
        except OSError:
            return  # Nobody owns now, or the owner just died.
        owner = ForwardingOwner(writer, self._find_quote)
        try:
            await _follow(desk, owner, reader, writer)
        except (ConnectionError, TimeoutError, msgspec.MsgspecError):
            pass
        finally:
            desk.close(owner, "their owner is gone; another takes over")
            owner.end()
            writer.close()


async def _follow(
    desk: Desk, owner: "ForwardingOwner", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(encode_frame(Hello(desk.heard)))
    async with asyncio.timeout(WELCOME_S_MAX):
        welcome = decode_told(await read_frame(reader))
        if not isinstance(welcome, Welcome):
            raise ConnectionError("the owner didn't begin with a welcome")
        missed: list[PaymentChange] = []
        while len(missed) < (welcome.missed or 0):
            told = decode_told(await read_frame(reader))
            if isinstance(told, Changed):
                missed.append(told.change)
    desk.open(owner, welcome.head, None if welcome.missed is None else missed)
    while True:
        told = decode_told(await read_frame(reader))
        if isinstance(told, Changed):
            desk.take(told.change)
        elif isinstance(told, (Done, Refused)):
            owner.answered(told)


class ForwardingOwner:
    """Owner: each request goes to the process that owns."""

    trouble: str | None = None

    def __init__(
        self, writer: asyncio.StreamWriter, find_quote: Callable[[bytes], QuotedRoute | None]
    ) -> None:
        self._writer = writer
        self._find_quote = find_quote
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    def answered(self, told: Done | Refused) -> None:
        """Take the owner's answer to a request."""
        waiting = self._waiting.pop(told.number, None)
        if waiting is None or waiting.done():
            return
        if isinstance(told, Done):
            waiting.set_result(told.body)
        else:
            waiting.set_exception(told.error)

    def end(self) -> None:
        """The owner is gone: nothing that waits is answered any more."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(_unanswered("is gone"))
        self._waiting.clear()

    async def prepare(
        self, payer: PublicKey, request: PrepareRequest, *, spends_from: Sequence[PublicKey] = ()
    ) -> PrepareReply:
        """See Owner; the quote, which this worker gave, goes along."""
        quoted = None if request.quote_id is None else self._find_quote(request.quote_id)
        number = next(self._numbers)
        frame = Prepare(number, payer, request, quoted_pair(quoted), list(spends_from))
        return await self._ask(number, frame, PrepareReply)

    async def pay(
        self, payer: PublicKey, request: PayRequest, *, spender: Spender | None = None
    ) -> PayReply:
        """See Owner."""
        number = next(self._numbers)
        spends = None if spender is None else Spends.of(spender)
        return await self._ask(number, Pay(number, payer, request, spends), PayReply, PAY_S_MAX)

    async def spent(self, payer: PublicKey, spender: Spender) -> SpendGetReply:
        """See Owner."""
        number = next(self._numbers)
        frame = Spent(number, payer, Spends.of(spender))
        return await self._ask(number, frame, SpendGetReply)

    async def get(self, wallet: PublicKey, payment_id: bytes) -> PaymentStatus:
        """See Owner."""
        number = next(self._numbers)
        return await self._ask(number, Get(number, wallet, payment_id), PaymentStatus)

    async def read_stream(
        self, wallet: PublicKey, *, as_payer: bool, since: Position | None
    ) -> StreamRead:
        """See Owner."""
        number = next(self._numbers)
        answer = await self._ask(number, Read(number, wallet, as_payer, since), ReadAnswer)
        return answer.read

    async def set_trust(self, signed_tx: bytes, *, admin: PublicKey | None) -> TrustSetReply:
        """See Owner."""
        number = next(self._numbers)
        return await self._ask(number, SetTrust(number, signed_tx, admin), TrustSetReply, PAY_S_MAX)

    def block(self, wallet: PublicKey) -> None:
        """The owner follows the trust log by itself."""

    def unblock(self, wallet: PublicKey) -> None:
        """The owner follows the trust log by itself."""

    async def _ask(
        self, number: int, frame: Struct, kind: type[Body], timeout_s: float = ANSWER_S_MAX
    ) -> Body:
        if self._writer.is_closing():
            raise _unanswered("is gone")
        if len(self._waiting) >= IN_FLIGHT_MAX:
            raise Refused.full(number).error
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._writer.write(encode_frame(frame))
        try:
            async with asyncio.timeout(timeout_s):
                body = await answer
        except TimeoutError as error:
            raise _unanswered(f"didn't answer within {timeout_s:.0f} s") from error
        finally:
            self._waiting.pop(number, None)
        return msgspec.msgpack.decode(body, type=kind)


def _unanswered(what: str) -> RequestError:
    return RequestError(
        ErrorCode.BACKBONE_UNAVAILABLE,
        f"the process that owns the payments {what}; ask again with the same key and bytes",
        retry_after_ms=RETRY_AFTER_MS,
    )
