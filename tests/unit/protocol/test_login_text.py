from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_protocol.login_resources import encode_key, encode_scope
from realtime_protocol.login_text import (
    RESOURCES_MAX,
    TEXT_BYTES_MAX,
    LoginChallenge,
    build_login_text,
    parse_login_text,
)

KEY = bytes.fromhex("36af16d5265b7443d798891122b91a74893752107fe0286c45856bd793e339ff")
CHALLENGE = LoginChallenge(
    nonce="4fZk0pQ2v8sT1mYb6cHdNw",
    issued_ms=1_795_471_200_000,
    expires_ms=1_795_471_500_000,
    domain="app.example.org",
    uri="wss://hub.example.org/v1",
    chain="mainnet",
    request_id="01JD8Z3K9QX5W7",
)
RESOURCES = (
    "urn:qubic:realtime:key:ed25519:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    "?until=2026-11-24T22:00:00Z",
    "urn:qubic:realtime:scope:trust",
    "urn:qubic:realtime:spend:SUZFFQSCVPHYYBDCQODEMFAOKRJDDDIRJFFIWFLRDDJQRPKMJNOCSSKHXHGK"
    "?max=1000&until=2026-11-23T23:00:00Z",
)
TEXT = b"""\
app.example.org wants you to sign in with your Qubic account:
SUZFFQSCVPHYYBDCQODEMFAOKRJDDDIRJFFIWFLRDDJQRPKMJNOCSSKHXHGK

Sign in to Realtime. This does not move any QU.

URI: wss://hub.example.org/v1
Version: 1
Chain ID: mainnet
Nonce: 4fZk0pQ2v8sT1mYb6cHdNw
Issued At: 2026-11-23T22:00:00Z
Expiration Time: 2026-11-23T22:05:00Z
Request ID: 01JD8Z3K9QX5W7"""
FULL_TEXT = TEXT + b"\nResources:\n- " + "\n- ".join(RESOURCES).encode()


def with_field(field: str, value: Any) -> LoginChallenge:
    return replace(CHALLENGE, **{field: value})


def test_the_text_is_the_documented_one_to_the_byte() -> None:
    assert build_login_text(CHALLENGE, KEY) == TEXT
    assert build_login_text(CHALLENGE, KEY, RESOURCES) == FULL_TEXT


def test_what_is_built_is_read_back() -> None:
    for resources in [(), RESOURCES]:
        parsed = parse_login_text(build_login_text(CHALLENGE, KEY, resources))
        assert (parsed.challenge, parsed.public_key, parsed.resources) == (
            CHALLENGE,
            KEY,
            resources,
        )


nonces = st.text("0123456789abcXYZ", min_size=22, max_size=22)


@given(nonces, st.integers(0, 10**9), st.integers(1, 300), st.binary(min_size=32, max_size=32))
@settings(max_examples=40, deadline=None)
def test_every_challenge_is_read_back(nonce: str, issued_s: int, ttl_s: int, wallet: bytes) -> None:
    issued_ms = issued_s * 1000
    challenge = replace(
        CHALLENGE, nonce=nonce, issued_ms=issued_ms, expires_ms=issued_ms + ttl_s * 1000
    )
    parsed = parse_login_text(build_login_text(challenge, wallet))
    assert parsed.challenge == challenge
    assert parsed.public_key == wallet


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nonce", "4fZk0pQ2v8sT1mYb6cHdN"),
        ("nonce", "4fZk0pQ2v8sT1mYb6cHdNww"),
        ("nonce", "4fZk0pQ2v8sT1mYb6cHdN-"),
        ("nonce", "4fZk0pQ2v8sT1mYb6cHdN\n"),
        ("nonce", "٤fZk0pQ2v8sT1mYb6cHdNw"),
        ("domain", ""),
        ("domain", "app.example.org\nURI: wss://evil.example/v1"),
        ("domain", "app example.org"),
        ("domain", "https://app.example.org"),
        ("domain", "user@app.example.org"),
        ("domain", "app..example.org"),
        ("domain", "-app.example.org"),
        ("domain", "app.example.org:"),
        ("domain", "app.example.org:0"),
        ("domain", "app.example.org:65536"),
        ("domain", "äpp.example.org"),
        ("uri", "hub.example.org/v1"),
        ("uri", "ftp://hub.example.org/v1"),
        ("uri", "wss://user@hub.example.org/v1"),
        ("uri", "wss://hub.example.org:70000/v1"),
        ("uri", "wss://hub.example.org/v1#there"),
        ("uri", "wss://hub.example.org/v 1"),
        ("uri", "wss://hub.example.org/v1\r"),
        ("chain", "Mainnet"),
        ("chain", ""),
        ("request_id", ""),
        ("request_id", "a b"),
        ("request_id", "a" * 65),
    ],
)
def test_a_field_that_could_bend_the_text_is_refused(field: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        with_field(field, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("domain", "localhost"),
        ("domain", "127.0.0.1:8080"),
        ("domain", "[::1]:8080"),
        ("uri", "ws://127.0.0.1:8080/v1"),
        ("uri", "ws://[::1]:8080/v1"),
        ("uri", "https://hub.example.org"),
        ("chain", "devnet"),
    ],
)
def test_usual_addresses_are_taken(field: str, value: str) -> None:
    challenge = with_field(field, value)
    assert parse_login_text(build_login_text(challenge, KEY)).challenge == challenge


@pytest.mark.parametrize(
    "times",
    [
        {"issued_ms": 1_795_471_200_001},
        {"expires_ms": 1_795_471_500_500},
        {"issued_ms": -1000},
        {"expires_ms": 253_402_300_800_000},
        {"expires_ms": CHALLENGE.issued_ms},
    ],
)
def test_times_that_the_text_can_not_say_are_refused(times: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"whole second|must expire after"):
        replace(CHALLENGE, **times)


def test_an_unknown_resource_is_not_written_into_a_text() -> None:
    with pytest.raises(ValueError, match="unknown resource"):
        build_login_text(CHALLENGE, KEY, ["urn:qubic:realtime:scope:everything"])


def test_more_resources_than_eight_are_refused() -> None:
    lines = [encode_key(bytes([i] * 32)) for i in range(RESOURCES_MAX + 1)]
    with pytest.raises(ValueError, match="9 resources; at most 8"):
        build_login_text(CHALLENGE, KEY, lines)


def test_a_text_above_a_kilobyte_is_refused() -> None:
    challenge = replace(CHALLENGE, uri="wss://hub.example.org/" + "v" * 600)
    assert len(build_login_text(challenge, KEY)) < TEXT_BYTES_MAX
    with pytest.raises(ValueError, match="at most 1024"):
        build_login_text(challenge, KEY, RESOURCES)
    with pytest.raises(ValueError, match="at most 1024"):
        parse_login_text(FULL_TEXT + bytes(1024))


@pytest.mark.parametrize(
    "changed",
    [
        b"",
        TEXT + b"\n",
        TEXT[:-1] + b"\n",
        b" " + TEXT,
        TEXT.replace(b"\n", b"\r\n"),
        TEXT.replace(b"Version: 1", b"Version: 2"),
        TEXT.replace(b"This does not move any QU.", b"This moves any QU."),
        TEXT.replace(b"your Qubic account", b"your account"),
        TEXT.replace(b"Nonce: ", b"nonce: "),
        TEXT.replace(b"22:05:00Z", b"22:05:00.000Z"),
        TEXT.replace(b"22:05:00Z", b"22:05:00+00:00"),
        TEXT.replace(b"2026-11-23T22:05", b"2026-13-23T22:05"),
        TEXT.replace(b"SUZFF", b"SUZFG"),
        TEXT.replace(b"Chain ID", b"Chain\xc3\x84ID"),
        TEXT + b"\nResources:",
        TEXT + b"\nresources:\n- " + encode_scope("pay").encode(),
        FULL_TEXT + b"\n- urn:qubic:realtime:scope:everything",
        FULL_TEXT + b"\nurn:qubic:realtime:scope:pay",
        TEXT.replace(b"\n\nSign", b"\nSign"),
    ],
)
def test_any_other_form_of_the_text_is_refused(changed: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_login_text(changed)


@given(st.integers(0, len(FULL_TEXT) - 1), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_changed_byte_never_reads_as_the_same_login(position: int, byte: int) -> None:
    changed = FULL_TEXT[:position] + bytes([byte]) + FULL_TEXT[position + 1 :]
    try:
        parsed = parse_login_text(changed)
    except ValueError:
        return
    again = build_login_text(parsed.challenge, parsed.public_key, parsed.resources)
    assert again == changed


def test_a_text_that_is_not_bytes_is_an_error_of_the_caller() -> None:
    with pytest.raises(TypeError, match="is bytes, not str"):
        parse_login_text(TEXT.decode())  # type: ignore[arg-type]  # the wrong type is the test
