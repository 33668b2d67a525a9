"""Tokens and their families: each token is used once, and an old one ends the family."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_hub.session.resume import (
    FAMILY_BYTES,
    MOVES,
    REPEAT_WITHIN_MS,
    TOKEN_BYTES,
    Family,
    FamilyState,
    Presented,
    family_key,
    following_token,
    left,
    present,
    resumed,
    reused,
    token_hash,
)
from realtime_protocol.errors import LocalProtocolError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position

NOW_MS = 1_764_000_000_000
WITHIN_MS = 120_000
SEEN = Position(b"epoch--1", 7)
FIRST = bytes(range(TOKEN_BYTES))


def token(number: int) -> bytes:
    return following_token(FIRST, bytes([number]) * (TOKEN_BYTES - FAMILY_BYTES))


def family() -> Family:
    return Family(
        sid="s-1",
        wallet=PublicKey(b"\x0a" * 32),
        scopes=("trust",),
        session_key=bytes(32),
        domain="app.example",
        session_exp_ms=NOW_MS + 3_600_000,
        opened_ms=NOW_MS,
        seen=SEEN,
        holder=b"first",
        token_hash=token_hash(FIRST),
    )


def shown(kept: Family, what: bytes, *, after_ms: int = 0) -> Presented:
    return present(kept, what, now_ms=NOW_MS + after_ms, within_ms=WITHIN_MS)


def take(kept: Family, what: bytes, following: bytes, *, after_ms: int = 0) -> Family:
    presented = shown(kept, what, after_ms=after_ms)
    assert presented in (Presented.CURRENT, Presented.REPEATED)
    return resumed(
        kept, presented, token=following, holder=b"next", seen=SEEN, now_ms=NOW_MS + after_ms
    )


def test_only_hashes_of_a_token_are_kept() -> None:
    kept = take(family(), FIRST, token(1))
    for secret in (FIRST, FIRST[FAMILY_BYTES:], token(1)[FAMILY_BYTES:], FIRST[:FAMILY_BYTES]):
        assert secret not in repr(kept).encode()
        assert secret not in b"".join((kept.token_hash, kept.previous_hash, family_key(FIRST)))


def test_every_token_of_a_family_finds_it() -> None:
    assert family_key(token(1)) == family_key(token(2)) == family_key(FIRST)


def test_a_token_is_taken_once_and_its_successor_then() -> None:
    second = take(family(), FIRST, token(1))
    third = take(second, token(1), token(2))
    assert shown(third, token(2)) is Presented.CURRENT


@pytest.mark.parametrize(
    ("after_ms", "expected"),
    [(REPEAT_WITHIN_MS - 1, Presented.REPEATED), (REPEAT_WITHIN_MS, Presented.REUSED)],
)
def test_the_token_before_is_taken_again_within_10_s(after_ms: int, expected: Presented) -> None:
    assert shown(take(family(), FIRST, token(1)), FIRST, after_ms=after_ms) is expected


def test_the_token_before_kills_the_one_that_it_had_produced_and_is_not_taken_a_third_time() -> (
    None
):
    again = take(take(family(), FIRST, token(1)), FIRST, token(2), after_ms=5)
    assert shown(again, token(1), after_ms=6) is Presented.REUSED
    assert shown(again, FIRST, after_ms=6) is Presented.REUSED
    assert shown(again, token(2), after_ms=6) is Presented.CURRENT


def test_an_older_token_ends_the_family_for_every_token() -> None:
    third = take(take(family(), FIRST, token(1)), token(1), token(2))
    assert shown(third, FIRST) is Presented.REUSED
    dead = reused(third)
    for one in (FIRST, token(1), token(2), token(3)):
        assert shown(dead, one) is Presented.REUSED
    with pytest.raises(LocalProtocolError):
        resumed(dead, Presented.CURRENT, token=FIRST, holder=b"", seen=SEEN, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("after_ms", "expected"),
    [(WITHIN_MS - 1, Presented.CURRENT), (WITHIN_MS, Presented.EXPIRED)],
)
def test_a_session_can_be_resumed_120_s_after_its_connection_was_lost(
    after_ms: int, expected: Presented
) -> None:
    away = left(family(), seen=SEEN, now_ms=NOW_MS)
    assert away.state is FamilyState.AWAY
    assert shown(away, FIRST, after_ms=after_ms) is expected


def test_time_is_not_counted_while_the_connection_lives() -> None:
    assert shown(family(), FIRST, after_ms=10 * WITHIN_MS) is Presented.CURRENT


def test_a_session_that_ran_out_is_not_resumed() -> None:
    assert shown(family(), FIRST, after_ms=3_600_000) is Presented.EXPIRED
    late = take(family(), FIRST, token(1), after_ms=3_599_999)
    assert shown(late, FIRST, after_ms=3_600_000) is Presented.REUSED


def test_whoever_left_can_be_resumed_and_a_revoked_one_can_not_leave() -> None:
    away = left(family(), seen=Position(b"epoch--1", 9), now_ms=NOW_MS)
    assert away.seen.offset == 9
    back = take(away, FIRST, token(1), after_ms=1_000)
    assert (back.state, back.away_since_ms) == (FamilyState.HELD, 0)
    with pytest.raises(LocalProtocolError):
        left(reused(back), seen=SEEN, now_ms=NOW_MS)


def test_a_second_half_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        following_token(FIRST, b"short")


def test_each_state_has_a_way_out_or_is_the_end() -> None:
    assert {state for state, _ in MOVES} == set(FamilyState)
    assert {after for (before, _), after in MOVES.items() if before is FamilyState.REVOKED} == {
        FamilyState.REVOKED
    }


@given(st.lists(st.integers(0, 6), max_size=12))
def test_of_all_tokens_ever_made_at_most_two_open_anything(uses: list[int]) -> None:
    """Whatever is shown in whatever order: the newest one, and for a while the one before."""
    made, kept, revoked = [FIRST], family(), False
    for turn, index in enumerate(uses):
        one = made[index % len(made)]
        verdict = shown(kept, one, after_ms=turn)
        if verdict is Presented.REUSED:
            kept, revoked = reused(kept), True
        else:
            assert not revoked
            following = token(turn + 1)
            kept = resumed(
                kept, verdict, token=following, holder=b"x", seen=SEEN, now_ms=NOW_MS + turn
            )
            made.append(following)
        usable = [t for t in made if shown(kept, t, after_ms=turn) is not Presented.REUSED]
        assert len(usable) <= 2
        assert revoked or made[-1] in usable


def test_a_family_of_another_wallet_is_another_value() -> None:
    assert replace(family(), wallet=PublicKey(bytes(32))) != family()
