"""The figures of the trust benchmark."""

from bench.trust.figures import Figure, Latencies, table


def test_percentiles_are_times_that_were_measured() -> None:
    found = Latencies([float(n) for n in range(100, 0, -1)])
    assert (len(found), found.at(50), found.at(99), found.at(100)) == (100, 51.0, 100.0, 100.0)
    assert str(found) == "p50 51.00 ms, p99 100.00 ms"


def test_a_figure_that_does_not_hold_stands_out() -> None:
    rows = table([Figure("a", "1", "2", True), Figure("b", "3", "4", False)]).splitlines()
    assert rows[2:] == ["| a | 1 | 2 | yes |", "| b | 3 | 4 | **no** |"]
