"""An event loop with virtual time, in which a seed decides what runs first.

Whatever is ready at the same moment runs in an order drawn from the seed, so that many seeds try
many interleavings; sleeping costs nothing. The same seed gives the same run::

    async def scenario() -> list[str]: ...

    for seed in seeds("logins", 1_000):
        outcome = run_seeded(scenario, seed)

There are no sockets and no threads here: what goes to a thread runs on the loop, at a later turn.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")

TURNS_MAX: Final = 1_000_000
"""A scenario that takes longer turns in a circle."""
EPOCH_MS: Final = 1_764_000_000_000
"""What SeededClock tells at the loop's time 0."""
KEPT_SEEDS: Final = Path(__file__).with_name("seeds.txt")
"""Lines ``scenario seed``: those that failed once are tried for ever."""


class StuckError(AssertionError):
    """Every task waits for something that nobody will do."""


class SeededLoop(asyncio.BaseEventLoop):
    """The loop. :meth:`time` begins at 0 and moves only when nothing is ready."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.turns = 0
        self._now_s = 0.0
        self._random = random.Random(seed)
        self._clock_resolution = 1e-9
        self._selector = _Turns(self)

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    @property
    def fingerprint(self) -> tuple[int, float, int]:
        """Tell two runs apart that did not do the same."""
        return self.turns, self._now_s, hash(self._random.getstate()[1])

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Run *func* at a later turn instead of in a thread."""
        future: asyncio.Future[T] = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:
                future.set_exception(error)

        self.call_soon(run)
        return future

    def begin_turn(self, wait_s: float | None) -> None:
        """Move time on by *wait_s* and decide the order of what is ready then."""
        self.turns += 1
        if self.turns > TURNS_MAX:
            raise StuckError(f"still running after {TURNS_MAX} turns, at {self._now_s:.3f} s")
        if wait_s is None:
            raise StuckError(f"nothing left to run at {self._now_s:.3f} s: {_waiting(self)}")
        self._now_s += wait_s
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0].when() <= self._now_s + self._clock_resolution:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        if len(ready) > 1:
            handles = list(ready)
            self._random.shuffle(handles)
            ready.clear()
            ready.extend(handles)

    def _process_events(self, event_list: object) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody need be woken."""


class _Turns:
    """Stands where the loop expects its selector: asked once a turn how long to wait."""

    def __init__(self, loop: SeededLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        self._loop.begin_turn(timeout)
        return []


class SeededClock:
    """The hub's clock on the loop's time."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return EPOCH_MS + round(asyncio.get_running_loop().time() * 1_000)

    def monotonic_s(self) -> float:
        """Seconds since the loop began."""
        return asyncio.get_running_loop().time()


def run_seeded(scenario: Callable[[], Coroutine[Any, Any, T]], seed: int) -> T:
    """Run *scenario* to its end in the order of *seed*; it must end every task that it began."""
    return _run(scenario, seed)[0]


def run_twice(scenario: Callable[[], Coroutine[Any, Any, T]], seed: int) -> T:
    """Run *scenario* as run_seeded does, twice, and require that both runs were the same."""
    first, second = _run(scenario, seed), _run(scenario, seed)
    if first != second:
        raise AssertionError(f"SEED={seed}: two runs differ: {first} and {second}")
    return first[0]


def seeds(scenario: str, count: int) -> Iterator[int]:
    """Yield the seeds of *scenario* that failed once, then 0 to *count* - 1."""
    for line in KEPT_SEEDS.read_text().splitlines():
        name, _, seed = line.partition(" ")
        if name == scenario:
            yield int(seed)
    yield from range(count)


def _run(
    scenario: Callable[[], Coroutine[Any, Any, T]], seed: int
) -> tuple[T, tuple[int, float, int]]:
    loop = SeededLoop(seed)

    async def main() -> T:
        result = await scenario()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            names = sorted(task.get_name() for task in left)
            raise AssertionError(f"the scenario left tasks behind: {names}")
        return result

    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(main()), loop.fingerprint
    except BaseException as error:
        error.add_note(f"SEED={seed}")
        raise


def _waiting(loop: SeededLoop) -> list[str]:
    """Tell where each task waits."""
    return sorted(f"{task.get_name()} in {_innermost(task)}" for task in asyncio.all_tasks(loop))


def _innermost(task: asyncio.Task[Any]) -> str:
    awaited: Any = task.get_coro()
    name = "nothing"
    while hasattr(awaited, "cr_await"):
        if awaited.cr_frame is not None:
            name = f"{awaited.__qualname__}:{awaited.cr_frame.f_lineno}"
        awaited = awaited.cr_await
    return name
