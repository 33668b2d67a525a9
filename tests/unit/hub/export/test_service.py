"""The export: at least once, in order, bounded, and never stopped by one receiver or event."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fakes import SeededEntropy
from realtime_hub.adapters.sqlite_events import SqliteEvents
from realtime_hub.auth.model import TrustChange
from realtime_hub.export.events import SESSION_REVOKED, TOKEN_CLAIMS_CHANGE
from realtime_hub.export.ports import Delivery, Outcome, QueueUnavailable
from realtime_hub.export.service import (
    BACKOFF_MAX_S,
    PENDING_MAX,
    POLLS_WAITING_MAX,
    REFUSALS_MAX,
    EventExport,
    Stream,
)
from realtime_hub.keys import Purpose, first_keys
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Initiator, Position, TrustChanged, TrustStatus
from sim.seeded_loop import SeededClock, run_seeded

WALLET = PublicKey(bytes(range(32)))
EPOCH = bytes(range(8))
SEEDS = {purpose: bytes([number]) * 32 for number, purpose in enumerate(Purpose, 1)}
RING = first_keys(SEEDS, dict.fromkeys(Purpose, 1_000), now_ms=0)
BOTH = frozenset({SESSION_REVOKED, TOKEN_CLAIMS_CHANGE})
FAILED = Outcome(Delivery.FAILED, "unreachable")
REFUSED = Outcome(Delivery.REFUSED, "invalid_request")
TAKEN = Outcome(Delivery.TAKEN)


class FakeLog:
    """A trust log whose head and past the test decides."""

    def __init__(self) -> None:
        self.changes: list[TrustChange] = []
        self.trouble: str | None = None
        self.epoch = EPOCH

    def position(self) -> Position:
        return Position(self.epoch, len(self.changes))

    async def changes_since(self, position: Position) -> Sequence[TrustChange] | None:
        return self.changes[position.offset :] if position.epoch == self.epoch else None

    def append(
        self, status: TrustStatus = TrustStatus.ACTIVE, score: int | None = None
    ) -> TrustChange:
        number = len(self.changes) + 1
        told = number % 100 if score is None else score
        body = TrustChanged(WALLET, status, told, 0, Initiator.ADMIN, 0, 0, False)
        self.changes.append(TrustChange(number, body))
        return self.changes[-1]


class FakeReceiver:
    """Answers as told, then takes everything."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.asked_s: list[float] = []
        self.scores: list[int] = []

    async def push(self, signed_event: str) -> Outcome:
        self.asked_s.append(asyncio.get_running_loop().time())
        outcome = self.outcomes.pop(0) if self.outcomes else TAKEN
        if outcome is TAKEN:
            self.scores.append(score_of(signed_event))
        return outcome


def score_of(signed_event: str) -> int:
    part = signed_event.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    [details] = claims["events"].values()
    score: int = details["claims"]["trust_score"] if "claims" in details else -1
    return score


class Bench:
    """One export with what stands around it."""

    def __init__(self, folder: Path, *, events_max: int) -> None:
        self.path = folder / "events.sqlite3"
        self.log = FakeLog()
        self.queue = SqliteEvents(self.path, events_max=events_max)

    def export(
        self,
        *streams: Stream,
        pending_max: int = PENDING_MAX,
        leads: Callable[[], bool] = lambda: True,
    ) -> EventExport:
        return EventExport(
            streams=streams,
            queue=self.queue,
            history=self.log,
            keys=lambda: RING,
            clock=SeededClock(),
            entropy=SeededEntropy(),
            issuer="https://hub.example",
            chain="devnet",
            pending_max=pending_max,
            leads=leads,
        )

    def change(self, export: EventExport, status: TrustStatus = TrustStatus.ACTIVE) -> None:
        export.on_trust_change(self.log.append(status))


def pushed(receiver: FakeReceiver) -> Stream:
    return Stream(name="app", audience="app", event_types=BOTH, receiver=receiver)


POLLED = Stream(name="app", audience="app", event_types=BOTH)


@pytest.fixture
def bench(tmp_path: Path, events_max: int) -> Iterator[Bench]:
    bench = Bench(tmp_path, events_max=events_max)
    yield bench
    bench.queue.close_file()


@pytest.fixture
def events_max() -> int:
    return 100


def run(export: EventExport, scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        running = asyncio.create_task(export.run())
        await asyncio.sleep(0.1)
        await scenario()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    run_seeded(main, 1)


def test_changes_are_delivered_in_order_and_leave_the_queue(bench: Bench) -> None:
    receiver = FakeReceiver()
    export = bench.export(pushed(receiver))

    async def scenario() -> None:
        for _ in range(3):
            bench.change(export)
        bench.change(export, TrustStatus.BLOCKED)
        await asyncio.sleep(1)
        assert await export.depth("app") == 0

    run(export, scenario)
    assert receiver.scores == [1, 2, 3, -1, 4]
    assert export.counts.delivered == 5


def test_a_stream_gets_the_types_that_it_asked_for(bench: Bench) -> None:
    receiver = FakeReceiver()
    stream = Stream(
        name="app", audience="app", event_types=frozenset({SESSION_REVOKED}), receiver=receiver
    )
    export = bench.export(stream)

    async def scenario() -> None:
        bench.change(export)
        bench.change(export, TrustStatus.BLOCKED)
        await asyncio.sleep(1)

    run(export, scenario)
    assert receiver.scores == [-1]


def test_an_order_that_reaches_the_chain_is_told_once(bench: Bench) -> None:
    receiver = FakeReceiver()
    export = bench.export(pushed(receiver))

    async def scenario() -> None:
        for status, score in (
            (TrustStatus.BLOCKED, 0),
            (TrustStatus.BLOCKED, 0),
            (TrustStatus.ACTIVE, 5),
            (TrustStatus.BLOCKED, 0),
        ):
            export.on_trust_change(bench.log.append(status, score))
        await asyncio.sleep(1)

    run(export, scenario)
    assert receiver.scores == [-1, 0, 5, -1, 0]


def test_a_receiver_that_is_away_gets_everything_later_and_isnt_pressed(bench: Bench) -> None:
    receiver = FakeReceiver(*[FAILED] * 12)
    export = bench.export(pushed(receiver))

    async def scenario() -> None:
        bench.change(export)
        bench.change(export)
        await asyncio.sleep(3_600)

    run(export, scenario)
    assert receiver.scores == [1, 2]
    pauses = [
        later - one for one, later in zip(receiver.asked_s, receiver.asked_s[1:], strict=False)
    ]
    assert pauses[0] <= 1.0
    assert pauses[3] > pauses[1]
    assert max(pauses) <= BACKOFF_MAX_S


def test_an_event_that_is_refused_again_and_again_lets_the_next_one_pass(bench: Bench) -> None:
    receiver = FakeReceiver(*[REFUSED] * REFUSALS_MAX)
    export = bench.export(pushed(receiver))

    async def scenario() -> None:
        bench.change(export)
        bench.change(export)
        await asyncio.sleep(60)

    run(export, scenario)
    assert receiver.scores == [2]
    assert (export.counts.refused, export.counts.delivered) == (1, 1)


def test_one_receivers_trouble_is_not_anothers(bench: Bench) -> None:
    dead, living = FakeReceiver(*[FAILED] * 99), FakeReceiver()
    export = bench.export(
        pushed(dead), Stream(name="other", audience="o", event_types=BOTH, receiver=living)
    )

    async def scenario() -> None:
        bench.change(export)
        await asyncio.sleep(1)

    run(export, scenario)
    assert (dead.scores, living.scores) == ([], [1])


def test_what_waits_survives_a_restart(bench: Bench) -> None:
    export = bench.export(pushed(FakeReceiver(*[FAILED] * 99)))

    async def scenario() -> None:
        bench.change(export)
        await asyncio.sleep(1)

    run(export, scenario)
    bench.queue.close_file()
    bench.queue = SqliteEvents(bench.path, events_max=100)
    receiver = FakeReceiver()

    async def rest() -> None:
        await asyncio.sleep(5)

    run(bench.export(pushed(receiver)), rest)
    assert receiver.scores == [1]


def test_what_the_log_brought_meanwhile_is_exported_at_the_next_start(bench: Bench) -> None:
    first = FakeReceiver()
    export = bench.export(pushed(first))

    async def one_change() -> None:
        bench.change(export)
        await asyncio.sleep(1)

    run(export, one_change)
    bench.log.append()
    bench.log.append()
    second = FakeReceiver()

    async def nothing() -> None:
        await asyncio.sleep(5)

    run(bench.export(pushed(second)), nothing)
    assert (first.scores, second.scores) == ([1], [2, 3])


def test_the_first_start_exports_no_history(bench: Bench) -> None:
    bench.log.append()
    receiver = FakeReceiver()

    async def nothing() -> None:
        await asyncio.sleep(5)

    run(bench.export(pushed(receiver)), nothing)
    assert receiver.scores == []


def test_a_log_that_began_anew_is_told_in_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def nothing() -> None:
        await asyncio.sleep(5)

    run(bench.export(POLLED), nothing)
    bench.log.epoch = bytes(8)
    run(bench.export(POLLED), nothing)
    assert "between two runs of this hub may not be exported" in caplog.text


def test_it_waits_until_the_log_can_be_vouched_for(bench: Bench) -> None:
    receiver = FakeReceiver()
    export = bench.export(pushed(receiver))
    bench.log.trouble = "no Redis"

    async def scenario() -> None:
        bench.change(export)
        await asyncio.sleep(10)
        assert receiver.scores == []
        bench.log.trouble = None
        await asyncio.sleep(10)
        assert receiver.scores == [1]

    run(export, scenario)


def test_more_changes_than_may_wait_are_read_from_the_log_again(bench: Bench) -> None:
    export = bench.export(POLLED, pending_max=4)
    count = 10

    async def scenario() -> None:
        for _ in range(count):
            bench.change(export)
        await asyncio.sleep(10)
        assert await export.depth("app") == count

    run(export, scenario)


@pytest.mark.parametrize("events_max", [3])
def test_at_the_bound_the_oldest_make_room_and_are_counted(bench: Bench) -> None:
    receiver = FakeReceiver(FAILED)
    export = bench.export(pushed(receiver))

    async def scenario() -> None:
        for _ in range(5):
            bench.change(export)
        await asyncio.sleep(10)

    run(export, scenario)
    assert receiver.scores == [3, 4, 5]
    assert export.counts.dropped == 2


def test_a_poll_gets_what_waits_until_it_acknowledges(bench: Bench) -> None:
    export = bench.export(POLLED)

    async def poll(
        *, ack: Sequence[str] = (), refuse: Sequence[str] = (), count: int = 2, wait_s: float = 0.0
    ) -> tuple[list[str], bool]:
        sets, more = await export.poll(
            "app",
            acknowledged=ack,
            refused=dict.fromkeys(refuse, "invalid_request"),
            count_max=count,
            wait_s=wait_s,
        )
        return list(sets), more

    async def scenario() -> None:
        for _ in range(3):
            bench.change(export)
        await asyncio.sleep(1)
        first, more = await poll()
        assert (len(first), more) == (2, True)
        assert await poll() == (first, True)
        second, more = await poll(ack=first[:1], refuse=first[1:])
        assert (len(second), more) == (1, False)
        assert await poll(ack=second, count=0) == ([], False)
        assert (export.counts.delivered, export.counts.refused) == (2, 1)

    run(export, scenario)


def test_a_poll_waits_for_the_next_event_but_not_for_ever(bench: Bench) -> None:
    export = bench.export(POLLED)

    async def poll() -> tuple[int, float]:
        began_s = asyncio.get_running_loop().time()
        sets, _ = await export.poll("app", acknowledged=(), refused={}, count_max=10, wait_s=20.0)
        return len(sets), asyncio.get_running_loop().time() - began_s

    async def scenario() -> None:
        count, waited_s = await poll()
        assert (count, round(waited_s)) == (0, 20)
        waiting = [asyncio.create_task(poll()) for _ in range(POLLS_WAITING_MAX)]
        await asyncio.sleep(5)
        assert (await poll())[1] < 1
        bench.change(export)
        found = await asyncio.gather(*waiting)
        assert [count for count, _ in found] == [1] * POLLS_WAITING_MAX
        assert max(waited for _, waited in found) < 6

    run(export, scenario)


def test_a_queue_that_cant_be_written_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = FakeReceiver()
    export = bench.export(pushed(receiver))
    write = bench.queue.add
    failures = 3

    async def add(*arguments: object) -> int:
        nonlocal failures
        if failures:
            failures -= 1
            raise QueueUnavailable("the disk is full")
        return await write(*arguments)  # type: ignore[arg-type]

    async def scenario() -> None:
        monkeypatch.setattr(bench.queue, "add", add)
        bench.change(export)
        bench.change(export)
        await asyncio.sleep(20)

    run(export, scenario)
    assert receiver.scores == [1, 2]


def test_the_end_of_a_session_is_exported_once(bench: Bench) -> None:
    receiver = FakeReceiver()
    export = bench.export(pushed(receiver))

    async def scenario() -> None:
        export.on_session_revoked("s1", WALLET, "logout everywhere")
        export.on_session_revoked("s1", WALLET, "logout everywhere")
        await asyncio.sleep(1)

    run(export, scenario)
    assert receiver.scores == [-1]


def test_of_two_processes_over_one_queue_the_one_that_leads_exports(bench: Bench) -> None:
    leader = "one"
    first, second = FakeReceiver(), FakeReceiver()
    one = bench.export(pushed(first), leads=lambda: leader == "one")
    two = bench.export(pushed(second), leads=lambda: leader == "two")

    def change() -> None:
        entry = bench.log.append()
        one.on_trust_change(entry)
        two.on_trust_change(entry)

    async def scenario() -> None:
        nonlocal leader
        running = asyncio.create_task(two.run())
        change()
        await asyncio.sleep(5)
        leader = "neither"
        change()
        await asyncio.sleep(5)
        leader = "two"
        await asyncio.sleep(5)
        change()
        await asyncio.sleep(5)
        running.cancel()
        await asyncio.wait([running])

    run(one, scenario)
    assert (first.scores, second.scores) == ([1], [2, 3])


def test_a_process_that_doesnt_lead_hands_in_the_end_of_its_sessions(bench: Bench) -> None:
    receiver = FakeReceiver()
    leader = bench.export(pushed(receiver))
    follower = bench.export(pushed(FakeReceiver()), leads=lambda: False)

    async def scenario() -> None:
        running = asyncio.create_task(follower.run())
        follower.on_session_revoked("s1", WALLET, "logout everywhere")
        await asyncio.sleep(5)
        running.cancel()
        await asyncio.wait([running])

    run(leader, scenario)
    assert receiver.scores == [-1]


def test_without_streams_nothing_runs(bench: Bench) -> None:
    export = bench.export()
    assert not export.has_streams
    run_seeded(export.run, 1)
