"""Questions that go together: fewer calls, each question its own answer or error."""

import asyncio
from collections.abc import Sequence

import pytest

from realtime_hub.adapters.together import Together


class Doubling:
    """Doubles numbers once *gate* is open; counts its calls."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.gate = asyncio.Event()
        self.fails: Exception | None = None

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.calls.append(list(numbers))
        await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        return [2 * number for number in numbers]


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_asked_while_an_answer_is_on_its_way_goes_in_the_next_call() -> None:
    work = Doubling()
    together = Together(work, most=3)
    first = asyncio.create_task(together.ask(1))
    await turn()
    others = [asyncio.create_task(together.ask(number)) for number in range(2, 7)]
    await turn()
    work.gate.set()
    assert await first == 2
    assert [await each for each in others] == [4, 6, 8, 10, 12]
    assert work.calls == [[1], [2, 3, 4], [5, 6]]


async def test_whoever_stops_waiting_stops_only_for_itself() -> None:
    work = Doubling()
    together = Together(work, most=8)
    asking = [asyncio.create_task(together.ask(number)) for number in range(3)]
    await turn()
    asking[0].cancel()
    await turn()
    work.gate.set()
    assert [await each for each in asking[1:]] == [2, 4]
    assert asking[0].cancelled()


async def test_an_error_is_everybodys_in_that_call_and_nobodys_after_it() -> None:
    work = Doubling()
    together = Together(work, most=8)
    work.fails = ConnectionError("gone")
    work.gate.set()
    results = await asyncio.gather(*(together.ask(n) for n in range(2)), return_exceptions=True)
    assert [type(each) for each in results] == [ConnectionError, ConnectionError]
    work.fails = None
    assert await together.ask(4) == 8


async def test_nobody_waits_for_ever_when_the_work_is_cancelled() -> None:
    work = Doubling()
    together = Together(work, most=1)
    asking = [asyncio.create_task(together.ask(number)) for number in range(3)]
    await turn()
    assert together._asking is not None
    together._asking.cancel()
    await asyncio.wait(asking)
    assert all(each.cancelled() for each in asking)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await together.ask(1)
