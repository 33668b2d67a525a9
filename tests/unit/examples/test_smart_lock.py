"""The smart lock's rules, on virtual time: for whom it opens, and every way in which it doesn't."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from realtime_protocol.decision import Decision, key_id_of, sign_decision
from realtime_protocol.messages import TrustStatus
from realtime_protocol.session_key import (
    Kind,
    presence_body,
    session_public_key,
    sign_with_session_key,
)

HUB_SEED, PHONE_SEED, THIEF_SEED = (bytes([number]) * 32 for number in (1, 2, 3))
HUB_KEY = session_public_key(HUB_SEED)
KEYS = {key_id_of(HUB_KEY): HUB_KEY}
ISSUED_MS = 1_790_000_000_000
GOOD = Decision(
    wallet=bytes(range(32)),
    status=TrustStatus.ACTIVE,
    score=80,
    seq=5,
    epoch=bytes(8),
    issued_ms=ISSUED_MS,
    fresh_until_ms=ISSUED_MS + 300_000,
    stale_until_ms=ISSUED_MS + 3_600_000,
    audience="door-7",
    session_key=session_public_key(PHONE_SEED),
    key_id=key_id_of(HUB_KEY),
)


def load_example() -> ModuleType:
    path = Path(__file__).parents[3] / "examples/smart_lock.py"
    spec = importlib.util.spec_from_file_location("smart_lock", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # A dataclass looks its module up.
    spec.loader.exec_module(module)
    return module


EXAMPLE = load_example()


class Door:
    """A lock, and a phone that answers it."""

    def __init__(self, **options: Any) -> None:
        self.lock = EXAMPLE.SmartLock("door-7", KEYS, **options)

    def knock(
        self,
        decision: Decision = GOOD,
        *,
        seed: bytes = PHONE_SEED,
        signed_nonce: str = "n-1",
        took_s: float = 0.01,
        clock_ms: int = ISSUED_MS + 1_000,
    ) -> str | None:
        body = presence_body(audience="door-7", nonce=signed_nonce)
        why: str | None = self.lock.refusal(
            EXAMPLE.Question("n-1", 0.0),
            sign_decision(HUB_SEED, decision),
            sign_with_session_key(seed, Kind.PRESENCE, body),
            now_s=took_s,
            clock_ms=clock_ms,
        )
        return why


def test_it_opens_for_an_active_wallet_whose_phone_is_there() -> None:
    assert Door().knock() is None
    assert Door().knock(took_s=0.03) is None


@pytest.mark.parametrize(
    ("changes", "options", "why"),
    [
        ({"status": TrustStatus.BLOCKED, "score": 0}, {}, "BLOCKED"),
        ({"status": TrustStatus.UNKNOWN, "score": 0}, {}, "UNKNOWN"),
        ({"score": 79}, {}, "a score of 79; at least 80"),
        ({"session_key": None}, {}, "names no session key"),
        ({"audience": "door-8"}, {}, "other_audience"),
        ({}, {"seed": THIEF_SEED}, "didn't sign this nonce"),
        ({}, {"signed_nonce": "n-0"}, "didn't sign this nonce"),
        ({}, {"took_s": 0.031}, "took 31 ms; at most 30"),
        ({}, {"clock_ms": ISSUED_MS + 300_000}, "UNKNOWN (stale)"),
        ({}, {"clock_ms": ISSUED_MS + 3_600_000}, "UNKNOWN (expired)"),
    ],
)
def test_it_stays_closed_and_says_why(
    changes: dict[str, Any], options: dict[str, Any], why: str
) -> None:
    told = Door().knock(replace(GOOD, **changes), **options)
    assert told is not None
    assert why in told


def test_a_stranger_cant_sign_decisions() -> None:
    signed = sign_decision(
        THIEF_SEED, replace(GOOD, key_id=key_id_of(session_public_key(THIEF_SEED)))
    )
    why = Door().lock.refusal(
        EXAMPLE.Question("n-1", 0.0), signed, bytes(64), now_s=0.0, clock_ms=ISSUED_MS
    )
    assert "unknown_key" in why


def test_a_lock_whose_policy_lists_the_door_opens_on_a_stale_decision() -> None:
    door = Door(stale_allowed=True)
    assert door.knock(clock_ms=ISSUED_MS + 3_599_999) is None
    assert door.knock(clock_ms=ISSUED_MS + 3_600_000) is not None


def test_news_of_a_block_that_anybody_brought_closes_the_door_to_older_decisions() -> None:
    door = Door()
    assert door.knock() is None
    door.lock.learn(
        sign_decision(
            HUB_SEED,
            replace(GOOD, status=TrustStatus.BLOCKED, score=0, seq=6, session_key=None),
        )
    )
    assert "BLOCKED" in (door.knock() or "")
    assert door.knock(replace(GOOD, seq=7)) is None


def test_setting_the_clock_back_makes_nothing_fresh_again() -> None:
    door = Door()
    later = replace(GOOD, wallet=bytes(32), issued_ms=ISSUED_MS + 300_000,
                    fresh_until_ms=ISSUED_MS + 400_000)  # fmt: skip
    door.lock.learn(sign_decision(HUB_SEED, later))
    assert "UNKNOWN (stale)" in (door.knock(clock_ms=0) or "")


def test_two_phones_of_one_wallet_both_get_in() -> None:
    door = Door()
    other = replace(GOOD, session_key=session_public_key(THIEF_SEED), issued_ms=ISSUED_MS + 1)
    assert door.knock() is None
    assert door.knock(other, seed=THIEF_SEED) is None
    assert door.knock() is None


def test_after_a_loss_of_power_it_knows_what_it_knew(tmp_path: Path) -> None:
    door, memory = Door(), tmp_path / "lock.json"
    blocked = replace(GOOD, status=TrustStatus.BLOCKED, score=0, seq=6, issued_ms=ISSUED_MS + 9)
    door.lock.learn(sign_decision(HUB_SEED, blocked))
    EXAMPLE.remember(door.lock, memory)
    door.lock = EXAMPLE.wake("door-7", KEYS, memory, answer_ms_max=30)
    assert door.lock.keeper.newest_issued_ms == ISSUED_MS + 9
    assert "BLOCKED" in (door.knock() or "")
    assert EXAMPLE.wake("door-7", {}, memory, answer_ms_max=30).held == {}
