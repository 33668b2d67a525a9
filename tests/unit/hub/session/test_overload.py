"""What an overloaded hub refuses, in which order, and when it stops refusing."""

from itertools import pairwise

import pytest

from realtime_hub.session.overload import Load, OverloadMonitor, Pressure
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import RequestType


def monitor_at(level: Load) -> OverloadMonitor:
    monitor = OverloadMonitor()
    monitor.level = level
    return monitor


def refused(level: Load) -> set[RequestType]:
    monitor = monitor_at(level)
    found = set()
    for kind in RequestType:
        try:
            monitor.require(kind)
        except RequestError:
            found.add(kind)
    return found


def test_quotes_go_first_then_logins_then_replies_and_payments_never() -> None:
    assert refused(Load.CALM) == set()
    assert refused(Load.QUOTES) == {RequestType.QUOTE_OPEN}
    logins = {RequestType.CHALLENGE, RequestType.LOGIN, RequestType.REFRESH, RequestType.VERIFY}
    assert refused(Load.LOGINS) == {RequestType.QUOTE_OPEN} | logins
    served = set(RequestType) - refused(Load.REPLIES)
    assert {RequestType.PAY, RequestType.PAYMENT_GET, RequestType.PING} <= served
    assert RequestType.DECISION_GET in refused(Load.REPLIES)


def test_trust_that_must_be_read_is_refused_with_the_replies() -> None:
    assert RequestType.TRUST_GET not in refused(Load.REPLIES)
    monitor_at(Load.LOGINS).require_reading()
    with pytest.raises(RequestError):
        monitor_at(Load.REPLIES).require_reading()


def test_a_refusal_says_when_to_come_again_later_the_higher_the_load() -> None:
    waits = []
    for level in (Load.QUOTES, Load.LOGINS, Load.REPLIES):
        with pytest.raises(RequestError) as found:
            monitor_at(level).require(RequestType.QUOTE_OPEN)
        assert found.value.code is ErrorCode.OVERLOADED
        waits.append(found.value.retry_after_ms or 0)
    assert waits == sorted(waits)
    assert waits[0] > 0


@pytest.mark.parametrize(
    ("pressure", "level"),
    [
        (Pressure(lag_ms=49), Load.CALM),
        (Pressure(lag_ms=50), Load.QUOTES),
        (Pressure(lag_ms=150), Load.LOGINS),
        (Pressure(lag_ms=500), Load.REPLIES),
        (Pressure(lag_ms=0, memory_percent=84.9), Load.CALM),
        (Pressure(lag_ms=0, memory_percent=85), Load.QUOTES),
        (Pressure(lag_ms=0, memory_percent=97), Load.REPLIES),
        (Pressure(lag_ms=0, checks_percent=75), Load.LOGINS),
        (Pressure(lag_ms=50, memory_percent=92, checks_percent=10), Load.LOGINS),
    ],
)
def test_the_figure_that_is_worst_decides(pressure: Pressure, level: Load) -> None:
    monitor = OverloadMonitor()
    monitor.update(pressure, now_s=0.0)
    assert monitor.update(pressure, now_s=0.1) is level


def test_one_late_turn_of_the_loop_is_no_overload() -> None:
    monitor = OverloadMonitor()
    for now_s, lag_ms in enumerate([0, 900, 0, 900, 0]):
        assert monitor.update(Pressure(lag_ms=lag_ms), now_s=now_s) is Load.CALM


def test_the_level_rises_at_once_and_falls_step_by_step_after_a_calm_time() -> None:
    monitor = OverloadMonitor()
    for _ in range(2):
        monitor.update(Pressure(lag_ms=600), now_s=0.0)
    assert monitor.level is Load.REPLIES
    seen = [monitor.update(Pressure(lag_ms=0), now_s=tick / 10) for tick in range(1, 35)]
    falls = [at for at, (a, b) in enumerate(pairwise(seen)) if a != b]
    assert [int(level) for level in dict.fromkeys(seen)] == [3, 2, 1, 0]
    assert all(later - earlier >= 9 for earlier, later in pairwise(falls))


def test_a_load_just_below_the_bound_keeps_the_level() -> None:
    monitor = OverloadMonitor()
    for _ in range(2):
        monitor.update(Pressure(lag_ms=0, memory_percent=92), now_s=0.0)
    for now_s in range(1, 60):
        assert monitor.update(Pressure(lag_ms=0, memory_percent=91), now_s=now_s) is Load.LOGINS
