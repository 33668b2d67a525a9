"""The seeded loop itself: repeatable, different by seed, and never asleep."""

import asyncio

import pytest

from sim.seeded_loop import (
    EPOCH_MS,
    SeededClock,
    StuckError,
    run_seeded,
    run_twice,
    seeds,
)


async def race() -> tuple[str, ...]:
    """Five tasks that want the same moment."""
    order: list[str] = []

    async def runner(name: str) -> None:
        await asyncio.sleep(1)
        order.append(name)

    await asyncio.gather(*(runner(name) for name in "abcde"))
    return tuple(order)


def test_the_same_seed_gives_the_same_run() -> None:
    assert {run_twice(race, 7) for _ in range(3)} == {run_seeded(race, 7)}


def test_other_seeds_give_other_orders() -> None:
    orders = {run_seeded(race, seed) for seed in range(200)}
    assert len(orders) > 80, "of the 120 orders of five tasks"


def test_an_hour_takes_no_time() -> None:
    async def sleeper() -> tuple[float, int]:
        await asyncio.sleep(3_600)
        clock = SeededClock()
        return clock.monotonic_s(), clock.now_ms()

    assert run_seeded(sleeper, 1) == (3_600, EPOCH_MS + 3_600_000)


def test_a_run_that_waits_for_nothing_is_stuck() -> None:
    async def waiter() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(StuckError, match="waiter") as raised:
        run_seeded(waiter, 3)
    assert raised.value.__notes__ == ["SEED=3"]


def test_a_task_left_behind_is_told() -> None:
    async def forgetful() -> None:
        forgetful.task = asyncio.create_task(asyncio.sleep(9), name="lost")  # type: ignore[attr-defined]

    with pytest.raises(AssertionError, match="lost"):
        run_seeded(forgetful, 3)


def test_runs_that_differ_are_told() -> None:
    runs = iter((1, 2))

    async def fickle() -> int:
        return next(runs)

    with pytest.raises(AssertionError, match="two runs differ"):
        run_twice(fickle, 5)


def test_work_for_threads_runs_on_the_loop_later() -> None:
    async def worker() -> list[int]:
        return await asyncio.gather(*(asyncio.to_thread(pow, n, 2) for n in range(3)))

    assert run_twice(worker, 1) == [0, 1, 4]


def test_a_deadline_comes_at_its_virtual_moment() -> None:
    async def late() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.25):
                await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    assert run_seeded(late, 1) == 0.25


def test_seeds_count_from_zero() -> None:
    assert list(seeds("none", 3)) == [0, 1, 2]
