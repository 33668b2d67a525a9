"""What workers of one hub and the owner of the payments say to each other over a Unix socket.

A frame is its size in four bytes and a msgpack array. Both ends are of one installation, started
together, so there are no versions; what can't be read ends the connection.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from realtime_hub.pay.model import PaymentChange, Spender, StreamRead
from realtime_hub.route.model import QuotedRoute
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Intent,
    PaymentStatus,
    PayRequest,
    PayResign,
    Position,
    PrepareRequest,
    Quote,
)

FRAME_BYTES_MAX: Final = 16 * 1024 * 1024
IN_FLIGHT_MAX: Final = 4_096
"""Requests of one worker that wait for their answer; more are refused with 107."""
CHANGES_PER_READ_MAX: Final = 4_096
"""Changes in one answer; whoever missed more takes the snapshot."""
_SIZE_BYTES: Final = 4
_PATH_BYTES_MAX: Final = 100
"""The system takes 107."""


class Hello(Struct, frozen=True, array_like=True, tag="hello", gc=False):
    """A worker begins: up to where it has heard."""

    since: Position | None


class Prepare(Struct, frozen=True, array_like=True, tag="prepare", gc=False):
    """pay.prepare, with the quote that the worker gave."""

    number: int
    payer: bytes
    request: PrepareRequest
    quoted: tuple[Intent, Quote] | None
    spends_from: list[bytes]


class Spends(Struct, frozen=True, array_like=True, gc=False):
    """For whom a spending wallet pays."""

    owner: bytes
    terms_id: bytes
    max_qu: int
    until_ms: int

    @classmethod
    def of(cls, spender: Spender) -> "Spends":
        """Return it as it stands in a frame."""
        return cls(spender.owner, spender.terms_id, spender.max_qu, spender.until_ms)

    @property
    def spender(self) -> Spender:
        """It as the domain knows it."""
        return Spender(PublicKey(self.owner), self.terms_id, self.max_qu, self.until_ms)


class Pay(Struct, frozen=True, array_like=True, tag="pay", gc=False):
    """pay."""

    number: int
    payer: bytes
    request: PayRequest
    spends: Spends | None


class Spent(Struct, frozen=True, array_like=True, tag="spent", gc=False):
    """spend.get."""

    number: int
    payer: bytes
    spends: Spends


class Get(Struct, frozen=True, array_like=True, tag="get", gc=False):
    """payment.get."""

    number: int
    wallet: bytes
    payment_id: bytes


class Read(Struct, frozen=True, array_like=True, tag="read", gc=False):
    """What a subscription begins with."""

    number: int
    wallet: bytes
    as_payer: bool
    since: Position | None


class SetTrust(Struct, frozen=True, array_like=True, tag="trust", gc=False):
    """trust.set."""

    number: int
    signed_tx: bytes
    admin: bytes | None


Asked = Prepare | Pay | Spent | Get | Read | SetTrust


class Welcome(Struct, frozen=True, array_like=True, tag="welcome", gc=False):
    """The owner's answer to Hello; the changes that were missed follow, unless they are lost."""

    head: Position
    missed: int | None
    """How many follow; None when they are lost."""


class Changed(Struct, frozen=True, array_like=True, tag="changed", gc=False):
    """A durable change."""

    offset: int
    payer: bytes
    payee: bytes
    status: PaymentStatus
    resign: PayResign | None
    owner: bytes | None

    @classmethod
    def of(cls, change: PaymentChange) -> "Changed":
        """Return it as a frame."""
        return cls(
            change.offset,
            change.payer,
            change.payee,
            change.status,
            change.resign,
            change.owner,
        )

    @property
    def change(self) -> PaymentChange:
        """It as the domain knows it."""
        payer, payee = PublicKey(self.payer), PublicKey(self.payee)
        owner = None if self.owner is None else PublicKey(self.owner)
        return PaymentChange(self.offset, payer, payee, self.status, self.resign, owner)


class ReadAnswer(Struct, frozen=True, array_like=True, gc=False):
    """The body of the answer to Read."""

    head: Position
    changes: list[Changed] | None
    snapshot: list[PaymentStatus]

    @classmethod
    def of(cls, read: StreamRead) -> "ReadAnswer":
        """Return it as a body."""
        changes = None if read.changes is None else [Changed.of(one) for one in read.changes]
        return cls(read.head, changes, list(read.snapshot))

    @property
    def read(self) -> StreamRead:
        """It as the domain knows it."""
        changes = None if self.changes is None else tuple(one.change for one in self.changes)
        return StreamRead(self.head, changes, tuple(self.snapshot))


class Done(Struct, frozen=True, array_like=True, tag="done", gc=False):
    """A request was served."""

    number: int
    body: Raw


class Refused(Struct, frozen=True, array_like=True, tag="refused", gc=False):
    """A request was refused."""

    number: int
    code: ErrorCode
    message: str
    retry_after_ms: int | None
    fields: dict[str, int | str]

    @classmethod
    def of(cls, number: int, error: RequestError) -> "Refused":
        """Return a refusal as a frame."""
        return cls(number, error.code, error.message, error.retry_after_ms, error.fields)

    @classmethod
    def full(cls, number: int) -> "Refused":
        """Return the refusal of one request too many."""
        error = RequestError(
            ErrorCode.OVERLOADED,
            f"{IN_FLIGHT_MAX} payment requests of this worker wait for their answer",
            retry_after_ms=1_000,
        )
        return cls.of(number, error)

    @property
    def error(self) -> RequestError:
        """The refusal as the domain knows it."""
        return RequestError(
            self.code, self.message, retry_after_ms=self.retry_after_ms, fields=self.fields
        )


Told = Welcome | Changed | Done | Refused

_encoder: Final = msgspec.msgpack.Encoder()
decode_hello: Final = msgspec.msgpack.Decoder(Hello).decode
decode_asked: Final = msgspec.msgpack.Decoder(Asked).decode
decode_told: Final = msgspec.msgpack.Decoder(Told).decode
Frame = TypeVar("Frame")


def encode_frame(frame: Struct) -> bytes:
    """Return a frame's bytes."""
    body = _encoder.encode(frame)
    return len(body).to_bytes(_SIZE_BYTES) + body


def encode_body(body: object) -> Raw:
    """Return an answer's body, to stand in Done."""
    return Raw(_encoder.encode(body))


def quoted_pair(quoted: QuotedRoute | None) -> tuple[Intent, Quote] | None:
    """Return a quote as it stands in Prepare."""
    return None if quoted is None else (quoted.intent, quoted.quote)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame's body; ConnectionError at the end or for one that is too large."""
    try:
        size = int.from_bytes(await reader.readexactly(_SIZE_BYTES))
        if size > FRAME_BYTES_MAX:
            raise ConnectionError(f"a frame of {size} bytes; at most {FRAME_BYTES_MAX} are taken")
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("the other end is gone") from error


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a name for *path* that the system takes for a socket, however long the path is."""
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
