"""How workers are started again, and what is refused before any is started."""

import pytest

from realtime_cli.main import main
from realtime_cli.workers import RestartPauses


def test_a_worker_that_dies_young_is_started_after_ever_longer_pauses_up_to_a_bound() -> None:
    pauses = RestartPauses()
    assert [pauses.after(lived_s=1.0) for _ in range(10)] == [
        0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0
    ]  # fmt: skip


def test_a_worker_that_lived_long_is_started_again_at_once() -> None:
    pauses = RestartPauses()
    for _ in range(5):
        pauses.after(lived_s=1.0)
    assert pauses.after(lived_s=30.0) == 0.0


@pytest.mark.parametrize("workers", ["2", "256"])
def test_without_redis_several_workers_are_refused_with_one_line(
    workers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--workers", workers]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{workers} workers share through Redis" in line
    assert "--redis-url" in line


@pytest.mark.parametrize("workers", ["0", "-1", "x", "1.5"])
def test_a_number_of_workers_is_a_number(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", f"--workers={workers}"])
    assert "neither a number above 0 nor auto" in capsys.readouterr().err
