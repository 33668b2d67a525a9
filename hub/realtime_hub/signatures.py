"""Signature checks of logins, REST, sessions and payments, run together in batches.

Many together are quicker than one by one, so what is asked for within one turn of the event loop
becomes one batch. A batch of up to 1 ms of work runs in the loop, which costs less than the way to
a thread and back; more runs in a worker thread, which releases the GIL, at most 4 ms at a time so
that no newcomer waits long for its turn. There is one worker, since a hub has a process for each
core.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from realtime_hub.metrics import Metrics
from realtime_protocol import schnorrq
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.schnorrq import SignedMessage
from realtime_protocol.signature_timing import duration_ns, sample_message

LOOP_NS_MAX: Final = 1_000_000
"""So much work in one batch may run in the loop."""
THREAD_NS_MAX: Final = 4_000_000
"""So much work goes to the thread at a time, and at least one check."""
_KIBIBYTE: Final = 1_024
_SAMPLE_KIBIBYTES: Final = 16
_SAMPLE_CHECKS: Final = 16
_ROUNDS: Final = 3
_MEASURING_NS_MAX: Final = 20_000_000

Verify = Callable[[Sequence[SignedMessage]], list[bool]]


@dataclass(frozen=True, slots=True)
class CheckCost:
    """What a check costs here. The defaults are a slow machine's with the native engine."""

    check_ns: int = 50_000
    """One check in a batch, of a key that was not seen before and a short message."""
    kibibyte_ns: int = 5_000
    """Hashing 1 KiB of message."""

    def of(self, message: bytes) -> int:
        """Return the nanoseconds that one check of *message* is expected to take."""
        return self.check_ns + self.kibibyte_ns * len(message) // _KIBIBYTE


def measure_cost(now_s: Callable[[], float]) -> CheckCost:
    """Measure it in a few milliseconds; without the native engine in a tenth of a second."""
    text = bytes(_SAMPLE_KIBIBYTES * _KIBIBYTE)
    check_ns, hash_ns, spent_ns = [], [], 0
    for round_number in range(_ROUNDS):
        first = round_number * _SAMPLE_CHECKS
        batch = [sample_message(number) for number in range(first, first + _SAMPLE_CHECKS)]
        check_ns.append(duration_ns(partial(schnorrq.verify_many, batch), now_s=now_s))
        hash_ns.append(duration_ns(partial(schnorrq.k12, text), now_s=now_s))
        spent_ns += check_ns[-1]
        if spent_ns > _MEASURING_NS_MAX:
            break
    # The least of the rounds: others on the machine can only make it slower than it is.
    return CheckCost(
        check_ns=-(-min(check_ns) // _SAMPLE_CHECKS),
        kibibyte_ns=-(-min(hash_ns) // _SAMPLE_KIBIBYTES),
    )


def warn_of_pure_python(cost: CheckCost) -> str:
    """Say what signatures without the native engine cost here, and what to install."""
    return (
        f"signatures run in pure Python: {cost.check_ns / 1e6:.1f} ms a check here, about 100 "
        f"times slower than the native module; {schnorrq.HOW_TO_COMPILE}"
    )


@dataclass(slots=True, eq=False)
class _Request:
    """Checks that were asked for together; *done* gets their verdicts in order."""

    count: int
    done: asyncio.Future[list[bool]]
    verdicts: list[bool] = field(default_factory=list)

    def take(self, verdict: bool) -> None:
        """Take the next verdict. A request goes to the engine in order, so they come in order."""
        self.verdicts.append(verdict)
        if len(self.verdicts) == self.count and not self.done.done():
            self.done.set_result(self.verdicts)


@dataclass(frozen=True, slots=True, eq=False)
class _Check:
    """One check in the queue."""

    item: SignedMessage
    cost_ns: int
    request: _Request


class SignatureChecks:
    """Runs the checks; at *pending_max* waiting or running ones more are refused with 107.

    A check whose waiter was cancelled keeps its place until its turn, and is skipped then. Call
    :meth:`close` at the end.
    """

    def __init__(
        self,
        *,
        pending_max: int = 1_024,
        cost: CheckCost | None = None,
        verify_many: Verify = schnorrq.verify_many,
        metrics: Metrics | None = None,
    ) -> None:
        self._pending_max = pending_max
        self._cost = cost or CheckCost()
        self._verify_many = verify_many
        self._metrics = metrics or Metrics()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="signatures")
        self._queue: deque[_Check] = deque()
        self._queued_ns = 0
        self._running: list[_Check] = []
        self._turn_is_due = False

    @property
    def pending(self) -> int:
        """How many checks wait or run."""
        return len(self._queue) + len(self._running)

    @property
    def backlog_ms(self) -> int:
        """How long the work that waits or runs is expected to take, rounded up."""
        backlog_ns = self._queued_ns + sum(check.cost_ns for check in self._running)
        return -(-backlog_ns // 1_000_000)

    async def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether the network would take this signature; RequestError 107 at the bound."""
        [verdict] = await self.verify_all([(public_key, message, signature)])
        return verdict

    async def verify_all(self, items: Sequence[SignedMessage]) -> list[bool]:
        """Tell it of each, in order. All are taken or none.

        RequestError 105 for more than the queue holds, 107 for more than it has room for now.
        """
        if not items:
            return []
        self._require_room(len(items))
        _require_bytes(items)
        loop = asyncio.get_running_loop()
        request = _Request(len(items), loop.create_future())
        for item in items:
            check = _Check(item, self._cost.of(item[1]), request)
            self._queue.append(check)
            self._queued_ns += check.cost_ns
        if not self._turn_is_due and not self._running:
            # In the next turn: what others ask for in this one goes along.
            self._turn_is_due = True
            loop.call_soon(self._take_turn)
        return await request.done

    def close(self) -> None:
        """Let the thread end after what it runs."""
        self._thread.shutdown(wait=False)

    def _require_room(self, count: int) -> None:
        if count > self._pending_max:
            raise RequestError(
                ErrorCode.TOO_LARGE,
                f"{count} signatures in one request; send at most {self._pending_max}",
            )
        if self.pending + count > self._pending_max:
            self._metrics.signature_checks_refused.inc(count)
            raise RequestError(
                ErrorCode.OVERLOADED,
                f"{self.pending} of {self._pending_max} signature checks wait already",
                retry_after_ms=max(1, self.backlog_ms),
            )

    def _take_turn(self) -> None:
        """Run what waits, or the part of it that the thread may take at once."""
        self._turn_is_due = False
        in_thread = self._queued_ns > LOOP_NS_MAX
        batch = list(self._take(THREAD_NS_MAX if in_thread else LOOP_NS_MAX))
        if not batch:
            return
        where = "thread" if in_thread else "loop"
        self._metrics.signature_batch_checks.labels(where).observe(len(batch))
        self._running = batch
        try:
            if in_thread:
                loop = asyncio.get_running_loop()
                running = loop.run_in_executor(self._thread, self._run, batch)
                running.add_done_callback(self._thread_ran)
                return
            self._finish(self._run(batch))
        except Exception as error:
            self._fail(error)

    def _take(self, ns_max: int) -> Iterator[_Check]:
        """Take from the front what fits, at least one; those that nobody waits for are dropped."""
        taken_ns = 0
        while self._queue:
            check = self._queue[0]
            is_wanted = not check.request.done.done()
            if is_wanted and taken_ns > 0 and taken_ns + check.cost_ns > ns_max:
                return
            self._queue.popleft()
            self._queued_ns -= check.cost_ns
            if is_wanted:
                taken_ns += check.cost_ns
                yield check

    def _run(self, batch: list[_Check]) -> list[bool]:
        verdicts = self._verify_many([check.item for check in batch])
        if len(verdicts) != len(batch):
            raise RuntimeError(f"{len(verdicts)} verdicts for {len(batch)} signatures")
        return verdicts

    def _thread_ran(self, running: asyncio.Future[list[bool]]) -> None:
        error = running.exception()
        if error is None:
            self._finish(running.result())
        else:
            self._fail(error)
        self._take_turn()

    def _finish(self, verdicts: list[bool]) -> None:
        batch, self._running = self._running, []
        for check, verdict in zip(batch, verdicts, strict=True):
            check.request.take(verdict)

    def _fail(self, error: BaseException) -> None:
        """Hand the engine's error to all who wait for this batch; nobody may wait for ever."""
        batch, self._running = self._running, []
        for check in batch:
            if not check.request.done.done():
                check.request.done.set_exception(error)


def _require_bytes(items: Sequence[SignedMessage]) -> None:
    """Refuse here what the engine would refuse for the whole batch."""
    for item in items:
        if len(item) != 3 or not all(isinstance(part, bytes) for part in item):
            raise TypeError("a signature check takes bytes: public key, message, signature")
