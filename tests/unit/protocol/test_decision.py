"""Signed decisions: what the golden vectors say, and the bounds of what can be signed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_protocol.decision import (
    AUDIENCE_LETTERS_MAX,
    DECISION_BYTES_MAX,
    Decision,
    DecisionRefused,
    key_id_of,
    parse_decision,
    sign_decision,
    verify_decision,
)
from realtime_protocol.decision_policy import (
    DecisionKeeper,
    device_time_ms,
    supersedes,
    weigh,
)
from realtime_protocol.messages import INTEGER_MAX, TrustStatus
from realtime_protocol.session_key import (
    Kind,
    presence_body,
    session_public_key,
    verify_with_session_key,
)

VECTORS = json.loads(
    (Path(__file__).parents[3] / "protocol/vectors/decisions.json").read_text(encoding="ascii")
)
KEYS = {bytes.fromhex(name): bytes.fromhex(key) for name, key in VECTORS["keys"].items()}
SEED = bytes(range(1, 33))
DECISION = Decision(
    wallet=bytes(range(32)),
    status=TrustStatus.ACTIVE,
    score=80,
    seq=41,
    epoch=bytes(8),
    issued_ms=1_000,
    fresh_until_ms=2_000,
    stale_until_ms=3_000,
    audience="door",
    session_key=None,
    key_id=key_id_of(session_public_key(SEED)),
)


def judge(case: dict[str, Any]) -> dict[str, Any]:
    """Do what a device does with a decision that somebody shows."""
    try:
        decision = verify_decision(
            bytes.fromhex(case["signed"]), KEYS, audience=case["audience"], nonce=case["nonce"]
        )
    except DecisionRefused as refused:
        return {"refused": str(refused.refusal)}
    now_ms = device_time_ms(case["clock_ms"], case["newest_issued_ms"])
    verdict = weigh(decision, now_ms=now_ms, stale_allowed=case["stale_allowed"])
    return {
        "status": verdict.status.name,
        "score": verdict.score,
        "freshness": str(verdict.freshness),
    }


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_a_golden_decision_is_worth_what_the_vectors_say(case: dict[str, Any]) -> None:
    assert judge(case) == case["expect"]


@pytest.mark.parametrize("pair", VECTORS["orders"], ids=lambda pair: pair["name"])
def test_of_two_decisions_the_one_that_the_vectors_name_wins(pair: dict[str, Any]) -> None:
    held, offered = (parse_decision(bytes.fromhex(pair[name])) for name in ("held", "offered"))
    assert supersedes(offered, held) is pair["wins"]
    keeper = DecisionKeeper()
    keeper.take(held)
    assert keeper.take(offered) == (offered if pair["wins"] else held)


def test_the_first_vector_has_the_fields_that_the_file_names() -> None:
    decision = parse_decision(bytes.fromhex(VECTORS["cases"][0]["signed"]))
    told = VECTORS["fields"]
    for name, value in told.items():
        found = getattr(decision, name)
        if name == "status":
            found = found.name
        assert (found.hex() if isinstance(found, bytes) else found) == value


def test_the_golden_proof_of_presence_is_the_session_keys() -> None:
    told = VECTORS["presence"]
    body = presence_body(audience=told["audience"], nonce=told["nonce"])
    key, signature = bytes.fromhex(told["session_key"]), bytes.fromhex(told["signature"])
    assert verify_with_session_key(key, Kind.PRESENCE, body, signature)
    assert not verify_with_session_key(key, Kind.RESUME, body, signature)
    other = presence_body(audience="door-8.example.org", nonce=told["nonce"])
    assert not verify_with_session_key(key, Kind.PRESENCE, other, signature)


def test_a_proof_of_presence_cant_hide_a_line() -> None:
    with pytest.raises(ValueError, match="line feed"):
        presence_body(audience="door\nx", nonce="n")


def test_the_largest_decision_has_under_256_bytes() -> None:
    largest = replace(
        DECISION,
        seq=INTEGER_MAX,
        stale_until_ms=INTEGER_MAX,
        fresh_until_ms=INTEGER_MAX,
        issued_ms=INTEGER_MAX,
        audience="a" * AUDIENCE_LETTERS_MAX,
        session_key=bytes(32),
    )
    assert len(sign_decision(SEED, largest)) == DECISION_BYTES_MAX
    with pytest.raises(ValueError, match="too_long"):
        sign_decision(SEED, replace(largest, nonce="n"))
    with pytest.raises(ValueError, match="malformed"):
        sign_decision(SEED, replace(DECISION, audience="a" * (AUDIENCE_LETTERS_MAX + 1)))
    roomy = replace(largest, nonce="n" * 22, audience="a" * 38)
    assert len(sign_decision(SEED, roomy)) == DECISION_BYTES_MAX


def test_a_key_signs_only_under_its_own_id() -> None:
    with pytest.raises(ValueError, match="another key"):
        sign_decision(bytes(32), DECISION)


def test_a_key_under_a_wrong_id_is_no_known_key() -> None:
    keys = {DECISION.key_id: session_public_key(bytes(32))}
    with pytest.raises(DecisionRefused, match="unknown_key"):
        verify_decision(sign_decision(SEED, DECISION), keys, audience="door")


@pytest.mark.parametrize("changes", [{"fresh_until_ms": 999}, {"stale_until_ms": 1_999}])
def test_a_decision_is_issued_then_fresh_then_stale(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="issued, then fresh, then stale"):
        replace(DECISION, **changes)


def test_a_keepers_clock_never_falls_behind_what_it_has_seen() -> None:
    keeper = DecisionKeeper(newest_issued_ms=500)
    assert (keeper.time_ms(0), keeper.time_ms(501), keeper.time_ms(None)) == (500, 501, None)
    keeper.take(replace(DECISION, issued_ms=2_000))
    keeper.take(replace(DECISION, wallet=bytes(32)))
    assert keeper.time_ms(0) == 2_000


def test_a_full_keeper_lets_go_of_what_runs_out_first() -> None:
    keeper = DecisionKeeper(wallets_max=2)
    for number, stale_until_ms in enumerate((5_000, 3_000, 4_000)):
        keeper.take(replace(DECISION, wallet=bytes([number]) * 32, stale_until_ms=stale_until_ms))
    assert [keeper.find(bytes([number]) * 32) is not None for number in range(3)] == [
        True,
        False,
        True,
    ]


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    """Any decision that fits."""
    uints = st.integers(0, INTEGER_MAX)
    issued_ms, fresh_ms, stale_ms = sorted(draw(st.lists(uints, min_size=3, max_size=3)))
    letters = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
    return replace(
        DECISION,
        wallet=draw(st.binary(min_size=32, max_size=32)),
        status=draw(st.sampled_from(TrustStatus)),
        score=draw(st.integers(0, 100)),
        seq=draw(uints),
        epoch=draw(st.binary(min_size=8, max_size=8)),
        issued_ms=issued_ms,
        fresh_until_ms=fresh_ms,
        stale_until_ms=stale_ms,
        audience=draw(st.text(letters, min_size=1, max_size=38)),
        session_key=draw(st.none() | st.binary(min_size=32, max_size=32)),
        nonce=draw(st.none() | st.text(letters, min_size=1, max_size=22)),
    )


@given(decisions(), st.integers(0, 254), st.integers(1, 255))
def test_any_decision_comes_back_and_no_byte_of_it_can_be_changed(
    decision: Decision, at: int, mask: int
) -> None:
    signed = sign_decision(SEED, decision)
    keys = {decision.key_id: session_public_key(SEED)}
    assert verify_decision(signed, keys, audience=decision.audience) == decision
    at %= len(signed)
    bent = signed[:at] + bytes([signed[at] ^ mask]) + signed[at + 1 :]
    with pytest.raises(DecisionRefused):
        verify_decision(bent, keys, audience=decision.audience)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with pytest.raises(DecisionRefused):
        parse_decision(data)
