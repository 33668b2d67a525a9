"""What a program reads with ``async for``: a queue with a bound between the read loop and it."""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator
from typing import Any, Generic, Protocol, Self, TypeVar

from realtime_protocol.codec import Push
from realtime_protocol.messages import Head, RequestType, ResumedSub

Item = TypeVar("Item")


class Stream(Generic[Item]):
    """A bounded queue that ends with an error, or just ends.

    The read loop puts items in and never waits; what gives way at the bound is the kind's own
    decision, see `_make_room`.
    """

    def __init__(self, items_max: int) -> None:
        self._items: deque[Item] = deque()
        self._items_max = items_max
        self._news = asyncio.Event()
        self._error: Exception | None = None
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        await self._open()
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._items.popleft()

    async def _open(self) -> None:
        """Ask the hub for the stream, once."""

    def _put(self, item: Item) -> None:
        if self._ended:
            return
        if len(self._items) >= self._items_max:
            self._make_room()
        self._items.append(item)
        self._news.set()

    def _make_room(self) -> None:
        self._items.popleft()

    def _end(self, error: Exception | None = None) -> None:
        """Take no more items; readers get what is queued, then *error* or the end."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._news.set()


class Opened(Protocol):
    """What a session keeps open over reconnects: asked for, answered, fed, ended."""

    sub: int | None

    def open_request(self) -> tuple[RequestType, Any]:
        """Return what asks for it, from where it stands."""
        ...

    def on_opened(self, reply: Any, now_ms: int, /) -> None:
        """Take the reply, before any push that follows it."""
        ...

    def on_resumed(self, row: ResumedSub, /) -> None:
        """Take the word that it goes on, before any push that follows."""
        ...

    def on_head(self, head: Head, /) -> None:
        """Take the word that everything up to there has come."""
        ...

    def on_push(self, push: Push, now_ms: int, /) -> None:
        """Take a push; never waits."""
        ...

    def on_end(self, error: Exception, /) -> None:
        """Take the word that nothing more will come."""
        ...


class Keeper(Protocol):
    """Who keeps streams open: the session."""

    async def add(self, stream: Opened) -> None:
        """Open it now and after each reconnect."""
        ...

    async def drop(self, stream: Opened) -> None:
        """Close it."""
        ...


class HubStream(Stream[Item], ABC):
    """A stream that the hub feeds: ``async with`` it, ``await`` it, or just ``async for``."""

    def __init__(self, keeper: Keeper, items_max: int) -> None:
        super().__init__(items_max)
        self.sub: int | None = None
        self._keeper = keeper
        self._asked = False

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Take no more items and tell the hub so."""
        self._end()
        await self._keeper.drop(self)

    @abstractmethod
    def open_request(self) -> tuple[RequestType, Any]:
        """Return what asks for this stream, from where it stands."""

    @abstractmethod
    def on_opened(self, reply: Any, now_ms: int, /) -> None:
        """Take the reply."""

    def on_resumed(self, row: ResumedSub, /) -> None:
        """Take the word that it goes on."""

    def on_head(self, head: Head, /) -> None:
        """Take the word that everything up to there has come."""

    @abstractmethod
    def on_push(self, push: Push, now_ms: int, /) -> None:
        """Take a push."""

    def on_end(self, error: Exception, /) -> None:
        """Take the word that nothing more will come."""
        self._end(error)

    async def _open(self) -> None:
        if self._asked:
            return
        self._asked = True
        try:
            await self._keeper.add(self)
        except Exception as error:
            self._end(error)
            raise
