import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_protocol.login_resources import (
    SCOPES,
    KeyGrant,
    SpendGrant,
    encode_key,
    encode_scope,
    encode_spend,
    encode_time,
    parse_resource,
    parse_resources,
    parse_time,
)
from realtime_protocol.transaction import MAX_SUPPLY_QU

NOW_MS = 1_795_471_200_000
LATER_MS = NOW_MS + 60_000
SESSION_KEY = bytes(range(32))
KEY_LINE = encode_key(SESSION_KEY)
SPENDER = bytes.fromhex("36af16d5265b7443d798891122b91a74893752107fe0286c45856bd793e339ff")
SPEND_LINE = encode_spend(SPENDER, max_qu=1000, until_ms=LATER_MS)


def test_a_login_without_a_scope_line_has_every_scope() -> None:
    assert parse_resources([], now_ms=NOW_MS).scopes == SCOPES
    assert parse_resources([KEY_LINE], now_ms=NOW_MS).scopes == SCOPES


def test_a_login_with_scope_lines_has_these_only() -> None:
    granted = parse_resources([encode_scope("trust"), encode_scope("quote")], now_ms=NOW_MS)
    assert granted.scopes == ("trust", "quote")


def test_a_key_is_granted_for_the_session_or_until_its_time() -> None:
    assert parse_resources([KEY_LINE], now_ms=NOW_MS).key == KeyGrant(SESSION_KEY, None)
    longer = parse_resources([encode_key(SESSION_KEY, until_ms=LATER_MS)], now_ms=NOW_MS)
    assert longer.key == KeyGrant(SESSION_KEY, LATER_MS)


def test_a_spending_wallet_is_granted_with_its_bounds() -> None:
    granted = parse_resources([SPEND_LINE], now_ms=NOW_MS)
    assert granted.spends == (SpendGrant(granted.spends[0].wallet, 1000, LATER_MS),)
    assert granted.spends[0].wallet == SPENDER


@given(st.binary(min_size=32, max_size=32), st.none() | st.integers(0, 10**10))
@settings(max_examples=50)
def test_every_key_line_is_read_back(key: bytes, until_s: int | None) -> None:
    until_ms = None if until_s is None else until_s * 1000
    assert parse_resource(encode_key(key, until_ms=until_ms)) == KeyGrant(key, until_ms)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "urn:qubic:realtime:scope:",
        "urn:qubic:realtime:scope:admin",
        "urn:qubic:realtime:scope:service",
        "urn:qubic:realtime:scope:trust ",
        "urn:qubic:realtime:scope:trust\n",
        "URN:qubic:realtime:scope:trust",
        "xurn:qubic:realtime:scope:trust",
        "urn:qubic:other:scope:trust",
        "urn:qubic:realtime:key:x25519:" + "A" * 43,
        KEY_LINE + "=",
        KEY_LINE[:-1],
        KEY_LINE[:-1] + "9",  # other left-over bits of the same key
        KEY_LINE.replace(":AAEC", ":AA+C"),
        KEY_LINE + "?until=",
        KEY_LINE + "?until=2026-11-24T22:00:00",
        KEY_LINE + "?until=2026-11-24T24:00:00Z",
        KEY_LINE + "?until=2026-02-30T22:00:00Z",
        KEY_LINE + "?until=1969-11-24T22:00:00Z",
        KEY_LINE + "?until=2026-11-24T22:00:00Z&more=1",
        SPEND_LINE.replace("max=1000", "max=0"),
        SPEND_LINE.replace("max=1000", "max=01000"),
        SPEND_LINE.replace("max=1000", "max=-1"),
        SPEND_LINE.replace("max=1000", f"max={MAX_SUPPLY_QU + 1}"),
        SPEND_LINE.replace("max=1000", "max=٣"),
        SPEND_LINE.replace("SUZFF", "SUZFG"),
        SPEND_LINE.split("&until")[0],
    ],
)
def test_a_line_that_is_not_a_known_form_in_full_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_resource(line)
    with pytest.raises(ValueError, match=r"\w"):
        parse_resources([encode_scope("pay"), line], now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([encode_scope("pay")] * 2, "scope pay is listed twice"),
        ([KEY_LINE, encode_key(bytes(32))], "at most one key"),
        ([SPEND_LINE, SPEND_LINE.replace("max=1000", "max=9")], "wallet is listed twice"),
        ([encode_key(SESSION_KEY, until_ms=NOW_MS)], "has run out"),
        ([encode_spend(SPENDER, max_qu=1, until_ms=NOW_MS)], "has run out"),
    ],
)
def test_lines_that_contradict_or_have_run_out_are_refused(
    lines: list[str], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_resources(lines, now_ms=NOW_MS)


def test_lines_that_nobody_could_read_are_not_written() -> None:
    with pytest.raises(ValueError, match="unknown scope 'admin'"):
        encode_scope("admin")
    with pytest.raises(ValueError, match="32 bytes"):
        encode_key(bytes(31))
    with pytest.raises(ValueError, match="max of 0 QU"):
        encode_spend(SPENDER, max_qu=0, until_ms=LATER_MS)


@given(st.integers(0, 253_402_300_799))
def test_every_second_up_to_the_year_9999_is_read_back(second: int) -> None:
    assert parse_time(encode_time(second * 1000)) == second * 1000


def test_a_time_is_a_whole_number() -> None:
    with pytest.raises(TypeError, match="not float"):
        encode_time(1000.0)  # type: ignore[arg-type]  # the wrong type is the test
