"""One run for many: few runs, none that began before the call, failures shared."""

import asyncio

from realtime_hub.auth.shared_run import SharedRun


class Work:
    """Counts its runs; each waits for the gate."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.fails: Exception | None = None

    async def __call__(self) -> None:
        self.begun += 1
        await self.gate.wait()
        if self.fails is not None:
            raise self.fails


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_hundred_calls_take_two_runs() -> None:
    work = Work()
    shared = SharedRun(work)
    calls = [asyncio.create_task(shared()) for _ in range(100)]
    await turn()
    work.gate.set()
    await asyncio.gather(*calls)
    assert work.begun == 2


async def test_nobody_gets_a_run_that_began_before_its_call() -> None:
    work = Work()
    shared = SharedRun(work)
    first = asyncio.create_task(shared())
    await turn()
    late = asyncio.create_task(shared())
    await turn()
    work.gate.set()
    await first
    await late
    assert work.begun == 2
    await shared()
    assert work.begun == 3


async def test_a_cancelled_caller_leaves_the_run_to_the_next() -> None:
    work = Work()
    shared = SharedRun(work)
    first, second = (asyncio.create_task(shared()) for _ in range(2))
    await turn()
    first.cancel()
    work.gate.set()
    await second
    assert work.begun == 2


async def test_a_failure_is_shared_and_the_next_call_tries_again() -> None:
    work = Work()
    shared = SharedRun(work)
    work.fails = ConnectionError("gone")
    calls = [asyncio.create_task(shared()) for _ in range(10)]
    await turn()
    work.gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 10
    assert work.begun == 2
    work.fails = None
    await shared()
    assert work.begun == 3
