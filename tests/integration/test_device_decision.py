"""The C example for devices, compiled, on the golden decisions and on bent ones."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from realtime_protocol.decision import DecisionRefused, verify_decision
from realtime_protocol.decision_policy import device_time_ms, weigh

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "examples/devices/decision.c"
VECTORS = json.loads((ROOT / "protocol/vectors/decisions.json").read_text(encoding="ascii"))
KEYS = {bytes.fromhex(name): bytes.fromhex(key) for name, key in VECTORS["keys"].items()}
LINES_MAX = 200


@dataclass(frozen=True)
class Device:
    """The compiled example."""

    program: Path

    def answers(self, lines: list[str]) -> list[str]:
        done = subprocess.run(
            [self.program, *VECTORS["keys"].values()],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4_000:]
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Device:
    program = tmp_path_factory.mktemp("device") / "decision"
    strict = ("-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror")
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    done = subprocess.run(
        ["gcc", *strict, *sanitizers, "-o", str(program), str(SOURCE), "-lsodium"],
        capture_output=True,
        text=True,
        check=False,
    )
    hint = "is libsodium there? make tools, or: apt-get install libsodium-dev"
    assert done.returncode == 0, f"{done.stderr[-2_000:]}\n{hint}"
    return Device(program)


def line_of(case: dict[str, Any]) -> str:
    clock = "-" if case["clock_ms"] is None else case["clock_ms"]
    stale = int(case["stale_allowed"])
    return (
        f"judge {case['signed'] or '-'} {case['audience']} {case['nonce'] or '-'} {clock} "
        f"{case['newest_issued_ms']} {stale}"
    )


def expected(case: dict[str, Any]) -> str:
    expect = case["expect"]
    if "refused" in expect:
        return f"refused {expect['refused']}"
    return f"{expect['status']} {expect['score']} {expect['freshness']}"


def judged_in_python(case: dict[str, Any]) -> str:
    try:
        decision = verify_decision(
            bytes.fromhex(case["signed"]), KEYS, audience=case["audience"], nonce=case["nonce"]
        )
    except DecisionRefused as refused:
        return f"refused {refused.refusal}"
    now_ms = device_time_ms(case["clock_ms"], case["newest_issued_ms"])
    verdict = weigh(decision, now_ms=now_ms, stale_allowed=case["stale_allowed"])
    return f"{verdict.status.name} {verdict.score} {verdict.freshness}"


def bent() -> list[dict[str, Any]]:
    """Flip each bit that matters of a good decision, and cut it at each byte."""
    case = next(one for one in VECTORS["cases"] if one["name"] == "in answer to a nonce")
    good = bytes.fromhex(case["signed"])
    variants = [good[:size] for size in range(1, len(good))]
    variants += [
        good[:at] + bytes([good[at] ^ mask]) + good[at + 1 :]
        for at in range(len(good))
        for mask in (0x01, 0x10, 0x80, 0xFF)
    ]
    return [{**case, "signed": variant.hex()} for variant in variants]


def test_every_golden_decision_is_worth_what_the_vectors_say(device: Device) -> None:
    cases = VECTORS["cases"]
    found = device.answers([line_of(case) for case in cases])
    wrong = [
        (case["name"], answer)
        for case, answer in zip(cases, found, strict=True)
        if answer != expected(case)
    ]
    assert wrong == []


def test_of_two_decisions_the_one_that_the_vectors_name_wins(device: Device) -> None:
    pairs = VECTORS["orders"]
    found = device.answers([f"order {pair['held']} {pair['offered']}" for pair in pairs])
    assert found == [str(int(pair["wins"])) for pair in pairs]


def test_bent_and_cut_decisions_are_refused_for_the_same_reason_as_in_python(
    device: Device,
) -> None:
    cases = bent()
    found = device.answers([line_of(case) for case in cases])
    wrong = [
        (case["signed"], answer)
        for case, answer in zip(cases, found, strict=True)
        if answer != judged_in_python(case) or not answer.startswith("refused")
    ]
    assert wrong == []


def test_the_example_is_short_enough_to_read() -> None:
    assert len(SOURCE.read_text().splitlines()) < LINES_MAX
