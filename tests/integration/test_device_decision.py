"""The C example for devices, compiled, on the golden decisions and on bent ones."""

import json
import subprocess
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from realtime_protocol.decision import DecisionRefused, key_id_of, verify_decision
from realtime_protocol.decision_policy import device_time_ms, weigh
from realtime_protocol.session_key import session_public_key
from rest_wallet import KEY, OTHER_KEY, SEED, RestHub

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "examples/devices/decision.c"
VECTORS = json.loads((ROOT / "protocol/vectors/decisions.json").read_text(encoding="ascii"))
KEYS = {bytes.fromhex(name): bytes.fromhex(key) for name, key in VECTORS["keys"].items()}
KEYS_HEX = tuple(VECTORS["keys"].values())
LINES_MAX = 200


@dataclass(frozen=True)
class Device:
    """The compiled example."""

    program: Path

    def answers(self, lines: list[str], *, keys: Sequence[str] = KEYS_HEX) -> list[str]:
        done = subprocess.run(
            [self.program, *keys],
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


async def test_a_decision_that_names_a_key_over_rest_is_read_as_in_python(device: Device) -> None:
    async with RestHub().running() as hub:
        await hub.grant()
        wanted = {"audience": "door-7", "nonce": "n0nce"}
        proofs = [await hub.proof(seed=SEED), await hub.proof(key=KEY), await hub.proof()]
        answers = [(await hub.post("verify", {**proof, **wanted})).json() for proof in proofs]
        now_ms = hub.clock.now_ms()
    public_key = session_public_key(bytes(32))
    keys = {key_id_of(public_key): public_key}
    signed = [urlsafe_b64decode(answer["decision"] + "==") for answer in answers]
    read = [verify_decision(one, keys, audience="door-7", nonce="n0nce") for one in signed]
    assert [one.session_key for one in read] == [KEY, KEY, None]
    lines = [f"judge {one.hex()} door-7 n0nce {now_ms} 0 0" for one in signed]
    assert device.answers(lines, keys=[public_key.hex()]) == ["ACTIVE 80 fresh"] * 3
    forged = [one.replace(KEY, OTHER_KEY) for one in signed[:2]]
    lines = [f"judge {one.hex()} door-7 n0nce {now_ms} 0 0" for one in forged]
    assert device.answers(lines, keys=[public_key.hex()]) == ["refused bad_signature"] * 2


def test_the_example_is_short_enough_to_read() -> None:
    assert len(SOURCE.read_text().splitlines()) < LINES_MAX
