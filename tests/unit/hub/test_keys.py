"""Signing keys: which signs now, which are published, and how one takes another's place."""

import pytest

from realtime_hub.keys import KeyRing, KeyState, Purpose, SigningKey, first_keys
from realtime_protocol.session_key import Kind, verify_with_session_key

OVERLAP_MS = {Purpose.DECISION: 1_000, Purpose.QUOTE: 10, Purpose.EVENT: 5_000}
SEEDS = {purpose: bytes([number]) * 32 for number, purpose in enumerate(Purpose, 1)}
RING = first_keys(SEEDS, OVERLAP_MS, now_ms=100)
NEW_SEED = bytes([9]) * 32


def states(ring: KeyRing, now_ms: int) -> list[KeyState]:
    return [told.state for told in ring.describe(now_ms) if told.key.purpose is Purpose.DECISION]


def test_a_first_start_has_one_key_for_each_purpose() -> None:
    told = RING.published(100)
    assert [found.key.purpose for found in told] == list(Purpose)
    assert {found.state for found in told} == {KeyState.SIGNING}
    assert {found.published_until_ms for found in told} == {None}


def test_a_purpose_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="no key that signs a quote"):
        KeyRing([SigningKey(Purpose.DECISION, SEEDS[Purpose.DECISION], 0)], OVERLAP_MS)


def test_a_rotation_publishes_first_then_signs_then_retires() -> None:
    ring = RING.rotated(Purpose.DECISION, NEW_SEED, now_ms=200, lead_ms=50)
    old, new = RING.signing(Purpose.DECISION, 200), SigningKey(Purpose.DECISION, NEW_SEED, 250)
    assert states(ring, 200) == [KeyState.SIGNING, KeyState.NEXT]
    assert ring.signing(Purpose.DECISION, 249) == old
    assert ring.signing(Purpose.DECISION, 250) == new
    assert states(ring, 250) == [KeyState.RETIRED, KeyState.SIGNING]
    # The last decision of the old key, of 249 ms, is good for 1,000 ms.
    assert states(ring, 1_249) == [KeyState.RETIRED, KeyState.SIGNING]
    assert states(ring, 1_250) == [KeyState.GONE, KeyState.SIGNING]
    assert list(ring.public_keys(Purpose.DECISION, 1_249)) == [old.key_id, new.key_id]
    assert list(ring.public_keys(Purpose.DECISION, 1_250)) == [new.key_id]


def test_a_rotation_drops_what_is_published_no_longer() -> None:
    ring = RING.rotated(Purpose.DECISION, NEW_SEED, now_ms=200, lead_ms=0)
    again = ring.rotated(Purpose.DECISION, bytes(32), now_ms=1_200, lead_ms=0)
    assert states(again, 1_200) == [KeyState.RETIRED, KeyState.SIGNING]


def test_a_second_rotation_waits_for_the_first() -> None:
    ring = RING.rotated(Purpose.DECISION, NEW_SEED, now_ms=200, lead_ms=50)
    with pytest.raises(ValueError, match="hasn't taken effect yet"):
        ring.rotated(Purpose.DECISION, bytes(32), now_ms=249, lead_ms=50)
    ring.rotated(Purpose.QUOTE, bytes(32), now_ms=249, lead_ms=50)


def test_after_a_theft_the_old_key_is_gone_at_once() -> None:
    ring = RING.rotated(Purpose.DECISION, NEW_SEED, now_ms=200, lead_ms=50)
    safe = ring.rotated(Purpose.DECISION, bytes(32), now_ms=201, lead_ms=50, stolen=True)
    assert states(safe, 201) == [KeyState.SIGNING]
    assert safe.signing(Purpose.DECISION, 201).seed == bytes(32)
    assert safe.signing(Purpose.QUOTE, 201) == RING.signing(Purpose.QUOTE, 201)


def test_a_clock_before_the_first_key_still_has_one_that_signs() -> None:
    assert RING.signing(Purpose.EVENT, 0).seed == SEEDS[Purpose.EVENT]


def test_a_key_signs_behind_the_type_line_and_never_shows_its_seed() -> None:
    key = RING.signing(Purpose.QUOTE, 100)
    signature = key.sign(Kind.QUOTE, b"body")
    assert verify_with_session_key(key.public_key, Kind.QUOTE, b"body", signature)
    assert key.seed.hex() not in repr(key)
    assert repr(key.seed) not in repr(key)
