"""Signed quotes: every field is covered, and only a quote key's word counts."""

from typing import Any

import pytest
from msgspec import msgpack, structs

from realtime_protocol.decision import key_id_of
from realtime_protocol.messages import Alternative, Quote, Route
from realtime_protocol.quote_signature import quote_body, sign_quote, verify_quote
from realtime_protocol.session_key import Kind, session_public_key, sign_with_session_key

SEED = bytes(range(32))
KEY = session_public_key(SEED)
KEYS = {key_id_of(KEY): KEY}
ROUTE = Route("direct", "direct", [bytes(32), bytes(range(32))])
QUOTE = Quote(
    bytes(16), 7, ROUTE, [Alternative(ROUTE, 3, 40, False)], 0, 5_000, 1_000_128, True, False, None
)
CHANGES: dict[str, Any] = {
    "quote_id": bytes(15) + b"\x01",
    "graph_version": 8,
    "route": None,
    "alternatives": [],
    "fee_qu": 1,
    "est_ms": 5_001,
    "valid_until_tick": 1_000_129,
    "executable": False,
    "partial": True,
}


def test_a_signed_quote_verifies_and_travels() -> None:
    signed = sign_quote(SEED, QUOTE)
    assert verify_quote(signed, KEYS)
    assert verify_quote(msgpack.decode(msgpack.encode(signed), type=Quote), KEYS)
    assert structs.replace(signed, hub_signature=None) == QUOTE


@pytest.mark.parametrize("field", CHANGES)
def test_no_field_can_be_changed(field: str) -> None:
    signed = sign_quote(SEED, QUOTE)
    assert not verify_quote(structs.replace(signed, **{field: CHANGES[field]}), KEYS)


def test_every_field_is_covered() -> None:
    assert [*CHANGES, "hub_signature"] == [field.name for field in structs.fields(Quote)]


def test_no_signature_another_key_and_another_kind_dont_count() -> None:
    assert not verify_quote(QUOTE, KEYS)
    assert not verify_quote(sign_quote(bytes(32), QUOTE), KEYS)
    decided = sign_with_session_key(SEED, Kind.DECISION, quote_body(QUOTE))
    assert not verify_quote(structs.replace(QUOTE, hub_signature=decided), KEYS)
