"""One thread beside two. A batch releases the GIL; one verification alone doesn't.

The wall's time counts here, and the best of many short rounds: on a machine that others use too,
both cores are rarely free for long.
"""

import time
from dataclasses import dataclass
from threading import Barrier, Thread
from typing import Final

from realtime_protocol.schnorrq import Engine, SignedMessage
from realtime_protocol.signature_timing import SECOND_NS, sample_message

THREADS: Final = 2
BATCH_SIZES: Final = (8, 64, 1_024)
CHECKS: Final = 256
"""So many at least in each thread and round: a millisecond or two."""
ROUNDS: Final = 20
"""So many for each round of the rest."""


@dataclass(frozen=True, slots=True)
class ThreadRate:
    """Nanoseconds for one verification of a batch, in one thread and in two."""

    size: int
    one_ns: float
    two_ns: float

    @property
    def gain(self) -> float:
        """How many times as quick two are."""
        return self.one_ns / self.two_ns


def measure_threads(engine: Engine, rounds: int) -> list[ThreadRate]:
    """Measure batches of known keys; each thread has wallets of its own."""
    wallets = max(BATCH_SIZES)
    items = [
        [sample_message(number) for number in range(first, first + wallets)]
        for first in range(0, THREADS * wallets, wallets)
    ]
    found = []
    for size in BATCH_SIZES:
        one: list[float] = []
        two: list[float] = []
        for _ in range(ROUNDS * rounds):
            one.append(_run(engine, [known[:size] for known in items[:1]]))
            two.append(_run(engine, [known[:size] for known in items]))
        found.append(ThreadRate(size, min(one), min(two)))
    return found


def _run(engine: Engine, batches: list[list[SignedMessage]]) -> float:
    """Verify one batch in each thread, again and again; return the nanoseconds of one check."""
    times = max(1, CHECKS // len(batches[0]))
    ready, begins_s, ends_s = Barrier(len(batches)), [], []

    def verify(batch: list[SignedMessage]) -> None:
        engine.verify_many(batch)
        ready.wait()
        begins_s.append(time.perf_counter())
        for _ in range(times):
            engine.verify_many(batch)
        ends_s.append(time.perf_counter())

    threads = [Thread(target=verify, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checks = times * sum(map(len, batches))
    return (max(ends_s) - min(begins_s)) * SECOND_NS / checks
