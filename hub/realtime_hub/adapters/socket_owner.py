"""The owner's end: serves the other workers of this hub over a Unix socket in its state folder.

Only processes of the same user reach the socket. Changes and answers leave in the order in which
they came to be, so a worker that holds changes while it asks misses nothing.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec

from realtime_hub.adapters.socket_frames import (
    CHANGES_PER_READ_MAX,
    IN_FLIGHT_MAX,
    Asked,
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
    Spent,
    Welcome,
    decode_asked,
    decode_hello,
    encode_body,
    encode_frame,
    read_frame,
    short_path,
)
from realtime_hub.pay.model import PaymentChange, StreamRead
from realtime_hub.pay.ports import Owner
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Intent, Position, Quote

logger = logging.getLogger(__name__)

UNSENT_BYTES_MAX: Final = 16 * 1024 * 1024
"""A worker that reads so slowly is cut off; it connects again and catches up."""
HELLO_S_MAX: Final = 5.0


class ServingOwner(Owner, Protocol):
    """The owner, as the process in which it runs knows it."""

    @property
    def listeners(self) -> list[Callable[[PaymentChange], None]]:
        """Called with each change, in order, once it is durable."""
        ...

    def position(self) -> Position:
        """Return where the stream of changes is."""
        ...

    def all_changes_since(self, position: Position) -> list[PaymentChange] | None:
        """Return everybody's changes after *position*; None when they can't all be had."""
        ...

    def adopt_quote(self, intent: Intent, quote: Quote) -> None:
        """Know a quote that another worker gave."""
        ...


@asynccontextmanager
async def serve_workers(owner: ServingOwner, path: Path) -> AsyncIterator[None]:
    """Serve whoever connects to *path* until the block ends."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (the server runs each connection as a task)
        connections.add(task)
        try:
            await _Worker(owner, reader, writer).serve()
        except (ConnectionError, TimeoutError, msgspec.MsgspecError) as error:
            logger.info("a worker is gone: %s", error)
        except asyncio.CancelledError:
            pass  # The term is over; the worker sees its connection end.
        finally:
            connections.discard(task)
            writer.close()

    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    with short_path(fresh) as name:
        server = await asyncio.start_unix_server(serve, name)
    fresh.chmod(0o600)
    # Takes the place of the last owner's, whatever became of it.
    fresh.replace(path)
    try:
        yield
    finally:
        server.close()
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections)


class _Worker:
    """One worker's connection."""

    def __init__(
        self, owner: ServingOwner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._owner = owner
        self._reader = reader
        self._writer = writer
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serve until the connection ends."""
        async with asyncio.timeout(HELLO_S_MAX):
            hello = decode_hello(await read_frame(self._reader))
        self._welcome(hello)
        self._owner.listeners.append(self._tell)
        try:
            while True:
                self._take(decode_asked(await read_frame(self._reader)))
        finally:
            self._owner.listeners.remove(self._tell)
            for task in self._serving:
                task.cancel()

    def _welcome(self, hello: Hello) -> None:
        """Begin where the worker left off; what comes later follows without a hole."""
        head = self._owner.position()
        missed = [] if hello.since is None else self._owner.all_changes_since(hello.since)
        self._send(Welcome(head, None if missed is None else len(missed)))
        for change in missed or ():
            self._tell(change)

    def _take(self, asked: Asked) -> None:
        if len(self._serving) >= IN_FLIGHT_MAX:
            self._send(Refused.full(asked.number))
            return
        task = asyncio.create_task(self._answer(asked))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _answer(self, asked: Asked) -> None:
        try:
            body = await self._serve(asked)
        except RequestError as error:
            self._send(Refused.of(asked.number, error))
        except Exception:
            logger.exception("serving a worker's request failed")
            failed = RequestError(ErrorCode.INTERNAL, "the hub failed to serve this request")
            self._send(Refused.of(asked.number, failed))
        else:
            self._send(Done(asked.number, encode_body(body)))

    async def _serve(self, asked: Asked) -> object:
        owner = self._owner
        match asked:
            case Prepare(_, payer, request, quoted, spends_from):
                if quoted is not None:
                    owner.adopt_quote(*quoted)
                wallets = [PublicKey(each) for each in spends_from]
                return await owner.prepare(PublicKey(payer), request, spends_from=wallets)
            case Pay(_, payer, pay, spends):
                spender = None if spends is None else spends.spender
                return await owner.pay(PublicKey(payer), pay, spender=spender)
            case Spent(_, payer, spends):
                return await owner.spent(PublicKey(payer), spends.spender)
            case Get(_, wallet, payment_id):
                return await owner.get(PublicKey(wallet), payment_id)
            case Read(_, wallet, as_payer, since):
                key = PublicKey(wallet)
                read = await owner.read_stream(key, as_payer=as_payer, since=since)
                if len(read.changes or ()) > CHANGES_PER_READ_MAX:
                    read = await owner.read_stream(key, as_payer=as_payer, since=None)
                return ReadAnswer.of(StreamRead(read.head, read.changes, read.snapshot))
            case SetTrust(_, signed_tx, admin):
                key_or_none = None if admin is None else PublicKey(admin)
                return await owner.set_trust(signed_tx, admin=key_or_none)

    def _tell(self, change: PaymentChange) -> None:
        self._send(Changed.of(change))

    def _send(self, frame: msgspec.Struct) -> None:
        transport = self._writer.transport
        if transport.is_closing():
            return
        self._writer.write(encode_frame(frame))
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            logger.warning("a worker doesn't read; it is cut off and will catch up")
            transport.abort()
