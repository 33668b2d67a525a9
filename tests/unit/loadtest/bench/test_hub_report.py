"""The hub's benchmark judges figures at their bounds and refuses replies that differ."""

import re
from pathlib import Path

import pytest

from bench.hub.contest import compare
from bench.hub.probe import Answers, without_times
from bench.hub.processes import BenchError
from bench.hub.report import Goal, Table, goals_table, quotient, ratio
from bench.hub.requests import SHAPES, Measured, requests_goals, requests_table
from bench.hub.wallets import WALLETS, steady_part, wallet, write_wallets
from bench.page import Place
from realtime_loadtest.wire import pack

ROUND = {"answers": 1_000, "seconds": 0.5, "p50_us": 10.0, "p99_us": 20.0}
UNTIL_MS = 1_790_000_000_000


def measured(cpu_us: float) -> Measured:
    one = Measured()
    one.add({**ROUND, "server_cpu_us": cpu_us * ROUND["answers"]})
    return one


def test_cpu_time_stands_beside_that_of_others() -> None:
    found = {"hub": measured(6), "bun": measured(4), "websockets": measured(30)}
    table = requests_table(SHAPES[0], found)
    assert table.rows[0] == ["hub", "2,000", "6.00", "1.50", "0.20", "-", "10", "20"]
    assert [goal.row[3] for goal in requests_goals({SHAPES[0]: found})] == ["NO", "yes"]


def test_a_rival_that_is_missing_is_not_judged() -> None:
    [to_bun, to_floor] = requests_goals({SHAPES[1]: {"hub": measured(6)}})
    assert to_bun.row[2:] == to_floor.row[2:] == ["-", "not measured"]
    assert (ratio(1, None), quotient(1, None)) == ("-", None)


@pytest.mark.parametrize(("value", "verdict"), [(3.0, "yes"), (3.01, "NO"), (None, "not measured")])
def test_a_goal_is_reached_up_to_its_bound(value: float | None, verdict: str) -> None:
    assert goals_table([Goal("drain", 3, "s", value)]).rows[0][3] == verdict


def test_a_table_is_aligned_markdown() -> None:
    assert Table("T", ["a", "bb"], [["1,000", "2"]]).as_markdown().splitlines() == [
        "**T**",
        "",
        "| a     | bb |",
        "|-------|----|",
        "| 1,000 | 2  |",
    ]


def test_replies_may_differ_in_their_times_only() -> None:
    reply = [0x52, 70_001, [[1, 80, 0, 0, 1, 5, UNTIL_MS]]]
    later = [0x52, 70_001, [[1, 80, 0, 0, 1, 900, UNTIL_MS + 1]]]
    other = [0x52, 70_001, [[1, 81, 0, 0, 1, 5, UNTIL_MS]]]
    wanted = Answers([], [without_times(pack(reply))])
    compare("rival", Answers([], [without_times(pack(later))]), wanted)
    with pytest.raises(BenchError, match="rival answers"):
        compare("rival", Answers([], [without_times(pack(other))]), wanted)


def test_a_reply_in_a_longer_form_than_need_be_is_refused() -> None:
    short = pack([0x52, 1, [[1, 80, 0, 0, 1, 5, UNTIL_MS]]])
    signed = short.replace(b"\xcf", b"\xd3")
    assert without_times(short) == without_times(signed)
    longer = short.replace(b"\x93\x52\x01", b"\x93\x52\xcc\x01")
    with pytest.raises(BenchError, match="longer form"):
        without_times(longer)


def test_the_generator_gets_a_record_of_fixed_size_for_each_wallet(tmp_path: Path) -> None:
    trust = [1, 80, 0, 0x1_0000, 1, 5, UNTIL_MS]
    write_wallets(tmp_path / "wallets", [trust, trust])
    header = Path(__file__).parents[4] / "loadtest/bench/hub/generator/message.h"
    sizes = dict(re.findall(r"(\w+) = (\d+)", header.read_text()))
    record = int(sizes["KEY_BYTES"]) + 1 + int(sizes["TRUST_BYTES_MAX"])
    written = (tmp_path / "wallets").read_bytes()
    assert len(written) == 2 * record
    steady = steady_part(trust)
    assert written[:32] == wallet(0).public_key
    assert written[32 : 33 + len(steady)] == bytes([len(steady)]) + steady
    assert pack([trust]).startswith(b"\x91" + steady)


def test_wallets_are_many_and_the_same_each_time() -> None:
    assert WALLETS == 10_000
    assert wallet(1).public_key != wallet(2).public_key
    assert wallet(1) == wallet(1)


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    place, page = Place("bench"), tmp_path / "page.md"
    page.write_text(f"a\n{place.begin}\nold\n{place.end}\nb\n")
    place.write(page, "new")
    assert page.read_text() == f"a\n{place.begin}\n\nnew\n\n{place.end}\nb\n"
