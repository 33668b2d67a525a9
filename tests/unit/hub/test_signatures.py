"""Signature checks come in batches: who goes with whom, where they run, what happens at a bound."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from realtime_hub.metrics import Metrics
from realtime_hub.signatures import (
    LOOP_NS_MAX,
    THREAD_NS_MAX,
    CheckCost,
    SignatureChecks,
    measure_cost,
    warn_of_pure_python,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.schnorrq import SignedMessage
from realtime_protocol.signature_timing import sample_message

DEAR = CheckCost(check_ns=2 * THREAD_NS_MAX, kibibyte_ns=0)
"""Each check goes to the thread, alone."""
CHEAP = CheckCost(check_ns=1_000, kibibyte_ns=0)
GOOD = b"good"


class Engine:
    """Takes GOOD for a signature; notes each batch and where it ran; waits while it is held."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.threads: list[threading.Thread] = []
        self.error: Exception | None = None
        self.began = threading.Event()
        self._free = threading.Event()
        self._free.set()

    def hold(self) -> None:
        """Let the next batch wait."""
        self._free.clear()

    def go_on(self) -> None:
        """Let it end."""
        self._free.set()

    def __call__(self, items: Sequence[SignedMessage]) -> list[bool]:
        self.batches.append([message for _, message, _ in items])
        self.threads.append(threading.current_thread())
        self.began.set()
        self._free.wait()
        if self.error is not None:
            raise self.error
        return [signature == GOOD for _, _, signature in items]

    async def has_begun(self) -> None:
        """Wait until a batch runs."""
        await asyncio.to_thread(self.began.wait)
        self.began.clear()


@pytest.fixture
def engine() -> Engine:
    return Engine()


def item(name: str, signature: bytes = GOOD) -> SignedMessage:
    return b"key", name.encode(), signature


def build(engine: Engine, cost: CheckCost = CHEAP, *, pending_max: int = 1_024) -> SignatureChecks:
    return SignatureChecks(cost=cost, verify_many=engine, pending_max=pending_max)


async def test_what_is_asked_for_in_one_turn_is_one_batch_in_the_loop(engine: Engine) -> None:
    checks = build(engine)
    verdicts: tuple[object, ...] = await asyncio.gather(
        checks.verify(*item("a")),
        checks.verify_all([item("b"), item("c", b"bad")]),
        checks.verify(*item("d", b"bad")),
    )
    assert [*verdicts] == [True, [True, False], False]
    assert engine.batches == [[b"a", b"b", b"c", b"d"]]
    assert engine.threads == [threading.main_thread()]
    assert checks.pending == 0


async def test_over_a_millisecond_of_work_runs_in_a_thread_in_parts(engine: Engine) -> None:
    cost = CheckCost(check_ns=THREAD_NS_MAX // 3, kibibyte_ns=0)
    checks = build(engine, cost)
    verdicts = await checks.verify_all([item(name, name.encode()) for name in "abcdefg"])
    assert verdicts == [False] * 7
    assert engine.batches == [[b"a", b"b", b"c"], [b"d", b"e", b"f"], [b"g"]]
    assert threading.main_thread() not in engine.threads
    checks.close()


@pytest.mark.parametrize(("count", "in_loop"), [(4, True), (5, False)])
async def test_a_millisecond_of_work_is_the_most_for_the_loop(
    engine: Engine, count: int, in_loop: bool
) -> None:
    checks = build(engine, CheckCost(check_ns=LOOP_NS_MAX // 4, kibibyte_ns=0))
    await checks.verify_all([item(str(number)) for number in range(count)])
    assert (engine.threads[0] is threading.main_thread()) == in_loop
    checks.close()


async def test_long_messages_count_as_work(engine: Engine) -> None:
    checks = build(engine, CheckCost(check_ns=1, kibibyte_ns=LOOP_NS_MAX // 8))
    await checks.verify(*item("x" * 8_192))
    assert engine.threads[0] is not threading.main_thread()
    checks.close()


async def test_who_comes_while_the_thread_runs_goes_next_in_order(engine: Engine) -> None:
    checks = build(engine, DEAR)
    engine.hold()
    first = asyncio.ensure_future(checks.verify(*item("first")))
    await engine.has_begun()
    later = [asyncio.ensure_future(checks.verify(*item(name))) for name in ("b", "c")]
    await asyncio.sleep(0)
    assert checks.pending == 3
    engine.go_on()
    assert [await task for task in (first, *later)] == [True] * 3
    assert engine.batches == [[b"first"], [b"b"], [b"c"]]
    checks.close()


async def test_at_the_bound_107_says_when_the_backlog_is_done(engine: Engine) -> None:
    metrics = Metrics()
    cost = CheckCost(check_ns=2_500_000, kibibyte_ns=0)
    checks = SignatureChecks(cost=cost, verify_many=engine, metrics=metrics, pending_max=3)
    engine.hold()
    running = asyncio.ensure_future(checks.verify(*item("a")))
    await engine.has_begun()
    waiting = asyncio.ensure_future(checks.verify_all([item("b"), item("c")]))
    await asyncio.sleep(0)
    with pytest.raises(RequestError, match="3 of 3 signature checks wait already") as refused:
        await checks.verify(*item("d"))
    assert refused.value.code is ErrorCode.OVERLOADED
    assert refused.value.retry_after_ms == 8  # 3 checks of 2.5 ms.
    assert b"realtime_signature_checks_refused_total 1.0" in metrics.exposition()[0]
    engine.go_on()
    assert await running
    assert await waiting == [True, True]
    assert await checks.verify(*item("d"))
    checks.close()


async def test_a_request_is_taken_as_a_whole_or_not(engine: Engine) -> None:
    checks = build(engine, pending_max=3)
    first = asyncio.ensure_future(checks.verify_all([item("a"), item("b")]))
    await asyncio.sleep(0)
    with pytest.raises(RequestError) as refused:
        await checks.verify_all([item("c"), item("d")])
    assert refused.value.code is ErrorCode.OVERLOADED
    assert await first == [True, True]
    with pytest.raises(RequestError, match="send at most 3") as too_large:
        await checks.verify_all([item(name) for name in "abcd"])
    assert too_large.value.code is ErrorCode.TOO_LARGE
    assert await checks.verify_all([]) == []
    assert engine.batches == [[b"a", b"b"]]


async def test_a_waiter_that_is_cancelled_costs_the_others_nothing(engine: Engine) -> None:
    checks = build(engine, DEAR)
    engine.hold()
    tasks = [asyncio.ensure_future(checks.verify(*item(name))) for name in "abcd"]
    await engine.has_begun()
    tasks[0].cancel()  # It runs.
    tasks[2].cancel()  # It waits.
    await asyncio.sleep(0)
    engine.go_on()
    assert [await tasks[1], await tasks[3]] == [True, True]
    assert engine.batches == [[b"a"], [b"b"], [b"d"]]
    assert [task.cancelled() for task in tasks] == [True, False, True, False]
    assert checks.pending == 0
    checks.close()


@pytest.mark.parametrize("cost", [CHEAP, DEAR], ids=["loop", "thread"])
async def test_an_error_of_the_engine_reaches_everybody_and_the_next_are_checked(
    engine: Engine, cost: CheckCost
) -> None:
    checks = build(engine, cost)
    engine.error = OSError("broken")
    outcomes: tuple[object, ...] = await asyncio.gather(
        checks.verify(*item("a")),
        checks.verify_all([item("b"), item("c")]),
        return_exceptions=True,
    )
    assert [*outcomes] == [engine.error, engine.error]
    engine.error = None
    assert await checks.verify(*item("d"))
    assert checks.pending == 0
    checks.close()


async def test_an_engine_with_too_few_verdicts_lets_nobody_wait() -> None:
    checks = SignatureChecks(cost=CHEAP, verify_many=lambda items: [True])
    with pytest.raises(RuntimeError, match="1 verdicts for 2 signatures"):
        await checks.verify_all([item("a"), item("b")])


async def test_what_is_no_bytes_fails_alone(engine: Engine) -> None:
    checks = build(engine)
    outcomes = await asyncio.gather(
        checks.verify(*item("a")),
        checks.verify(b"key", memoryview(b"b"), GOOD),  # type: ignore[arg-type]
        return_exceptions=True,
    )
    assert outcomes[0] is True
    assert isinstance(outcomes[1], TypeError)
    assert engine.batches == [[b"a"]]


async def test_once_closed_a_check_for_the_thread_fails_instead_of_waiting(engine: Engine) -> None:
    checks = build(engine, DEAR)
    checks.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        await checks.verify(*item("a"))


async def test_batches_and_what_waits_are_measured(engine: Engine) -> None:
    metrics = Metrics()
    checks = SignatureChecks(cost=CHEAP, verify_many=engine, metrics=metrics)
    await checks.verify_all([item("a"), item("b"), item("c")])
    text = metrics.exposition()[0].decode()
    assert 'realtime_signature_batch_checks_count{where="loop"} 1.0' in text
    assert 'realtime_signature_batch_checks_sum{where="loop"} 3.0' in text


async def test_the_real_engine_tells_good_from_bad() -> None:
    checks = SignatureChecks()
    key, digest, signature = sample_message(1)
    items = [(key, digest, signature), (key, digest[::-1], signature), (key, digest, signature[1:])]
    assert await checks.verify_all(items) == [True, False, False]
    checks.close()


def test_the_cost_is_the_least_of_the_rounds_for_one_check() -> None:
    # Begin and end of: 16 checks, 16 KiB; three rounds.
    times_s = iter([0, 0.016, 1, 1.016, 2, 2.008, 3, 3.032, 4, 4.009, 5, 5.017])
    cost = measure_cost(lambda: next(times_s))
    assert (cost.check_ns, cost.kibibyte_ns) == (500_000, 1_000_000)


def test_a_slow_engine_is_measured_once() -> None:
    times_s = iter([0, 1.6, 2, 2.016])
    assert measure_cost(lambda: next(times_s)).check_ns == 100_000_000


def test_the_warning_names_cost_and_remedy() -> None:
    text = warn_of_pure_python(CheckCost(check_ns=3_100_000))
    assert "3.1 ms a check here, about 100 times slower" in text
    assert "apt-get install gcc" in text
    assert "make native" in text
