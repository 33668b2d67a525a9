"""A challenge that somebody sees becomes the line that logs in, and nothing else is signed."""

import pytest

from realtime_cli.errors import UsageError
from realtime_cli.login_line import answer_challenge
from realtime_protocol.codec import decode_request, decode_request_body, encode_push, encode_reply
from realtime_protocol.json_codec import decode_json, encode_json
from realtime_protocol.messages import (
    Challenge,
    Goaway,
    GoawayCause,
    LoginRequest,
    PingReply,
    PushType,
    RequestType,
)
from realtime_protocol.schnorrq import keypair
from realtime_protocol.wallet_signatures import verify_login_signature

KEYS = keypair("s" * 55)
URL = "ws://127.0.0.1:8080/v1"
DOMAIN = "127.0.0.1:8080"
NOW_MS = 1_790_000_000_000
CHALLENGE = Challenge(
    "4fZk0pQ2v8sT1mYb6cHdNw", NOW_MS, NOW_MS + 10_000, DOMAIN, URL, "devnet", "request", NOW_MS,
    {}, bytes(8),
)  # fmt: skip
FIRST = encode_json(encode_push(PushType.CHALLENGE, 0, 0, CHALLENGE))
FURTHER = encode_json(encode_reply(RequestType.CHALLENGE, 1, CHALLENGE))


def answer(line: bytes, *, url: str = URL, domain: str = DOMAIN) -> tuple[str, str]:
    return answer_challenge(line, KEYS, url=url, domain=domain, scopes=["trust"], now_ms=NOW_MS)


@pytest.mark.parametrize("line", [FIRST, FURTHER, FIRST + b"\n"])
def test_the_line_is_a_login_over_the_text_that_is_shown(line: bytes) -> None:
    text, login = answer(line)
    assert text.startswith(f"{DOMAIN} wants you to sign in")
    assert f"Nonce: {CHALLENGE.nonce}\n" in text
    body = decode_request_body(decode_request(decode_json(login.encode())))
    assert isinstance(body, LoginRequest)
    assert body.wallet == KEYS.public_key
    assert body.resources == ["urn:qubic:realtime:scope:trust"]
    assert verify_login_signature(body.scheme, body.wallet, text.encode(), body.signature)


def test_a_challenge_for_another_hub_or_domain_is_not_signed() -> None:
    with pytest.raises(UsageError, match="was opened"):
        answer(FIRST, url="wss://hub.example/v1")
    with pytest.raises(UsageError, match="for the domain"):
        answer(FIRST, domain="app.example")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"[1,1,[1000]]",
        encode_json(
            encode_push(PushType.GOAWAY, 0, 0, Goaway(0, 1, GoawayCause.DRAINING, resume_ok=True))
        ),
        encode_json(encode_reply(RequestType.PING, 1, PingReply(1, 2, [], backbone_ok=True))),
    ],
)
def test_what_is_no_challenge_is_not_signed(line: bytes) -> None:
    with pytest.raises(UsageError):
        answer(line)
