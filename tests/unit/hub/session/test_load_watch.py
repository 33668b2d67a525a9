"""From figures to a level, and who hears of it."""

from fakes import FakeClock
from realtime_hub.session.input_turns import InputTurns
from realtime_hub.session.load_watch import LoadWatch
from realtime_hub.session.overload import Load, OverloadMonitor


def test_every_look_is_measured_and_only_a_change_of_level_is_told() -> None:
    lags: list[float] = []
    levels: list[Load] = []
    memory = [10.0]
    monitor = OverloadMonitor()
    watch = LoadWatch(
        monitor,
        FakeClock(),
        InputTurns(),
        memory_percent=lambda: memory[0],
        checks_percent=lambda: 0.0,
        on_lag=lags.append,
        on_level=levels.append,
    )
    watch.look(late_s=0.01, now_s=0.0)
    memory[0] = 93.0
    watch.look(late_s=0.0, now_s=0.1)
    watch.look(late_s=0.0, now_s=0.2)
    assert lags == [0.01, 0.0, 0.0]
    assert levels == [Load.LOGINS]
    assert monitor.level is Load.LOGINS
