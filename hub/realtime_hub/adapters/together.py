"""Many questions in one: what is asked while an answer is on its way goes together in the next.

A storm of ten thousand resumes would else want as many connections to Redis at once, and each
command alone costs several times what it costs in a batch.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Together(Generic[Question, Answer]):
    """Puts up to *most* questions at a time to *work*, which answers them in order.

    One call of *work* is under way at a time. It sees only questions that were asked before it
    began, and what it raises is raised to each of them. Whoever stops waiting stops only for
    itself.
    """

    def __init__(
        self, work: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]], *, most: int
    ) -> None:
        self._work = work
        self._most = most
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        """Return the answer to one question."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._asking is None:
            # Its own task, so that the one who asked first can be cancelled without the others.
            self._asking = asyncio.create_task(self._ask_all(), name="asking together")
        return await answer

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                count = min(self._most, len(self._waiting))
                await self._ask_some([self._waiting.popleft() for _ in range(count)])
        finally:
            self._asking = None
            for _, answer in self._waiting:
                answer.cancel()
            self._waiting.clear()

    async def _ask_some(self, batch: Sequence[tuple[Question, asyncio.Future[Answer]]]) -> None:
        try:
            found = await self._work([question for question, _ in batch])
        except Exception as error:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
        except BaseException:
            for _, answer in batch:
                answer.cancel()
            raise
        else:
            for (_, answer), one in zip(batch, found, strict=True):
                if not answer.done():
                    answer.set_result(one)
