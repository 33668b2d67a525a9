"""Write protocol/vectors/decisions.json: signed decisions, good and bad, and what each is worth.

``--check`` writes nothing and fails when the file isn't what this program makes. A case of
``cases`` is judged by a reader that trusts ``keys``, is ``audience``, sent ``nonce`` (null: none),
whose clock shows ``clock_ms`` (null: it has none) and which saw ``newest_issued_ms`` before;
``stale_allowed`` says whether its policy lists the action. ``expect`` is ``{"refused": why}`` or
the verdict. ``orders`` holds pairs of good decisions on one wallet: does the offered one win?
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from msgspec import msgpack

from generated_files import ROOT, write_or_check
from realtime_protocol.decision import (
    Decision,
    encode_decision,
    key_id_of,
    sign_decision,
)
from realtime_protocol.messages import TrustStatus
from realtime_protocol.session_key import (
    SIGNATURE_BYTES,
    Kind,
    presence_body,
    session_public_key,
    sign_with_session_key,
)

PATH: Final = ROOT / "protocol/vectors/decisions.json"

SEED: Final = bytes(range(1, 33))
NEXT_SEED: Final = bytes(range(2, 34))
FOREIGN_SEED: Final = bytes(range(3, 35))
SESSION_SEED: Final = bytes(range(4, 36))
ISSUED_MS: Final = 1_790_000_000_000
FRESH_MS: Final = ISSUED_MS + 300_000
STALE_MS: Final = ISSUED_MS + 3_600_000
AUDIENCE: Final = "door-7.example.org"
NONCE: Final = "4fZk0pQ2v8sT1mYb6cHdNw"
# The order of Ed25519's group: S + L passes the equation too, and must not pass the check.
GROUP_ORDER: Final = 2**252 + 27742317777372353535851937790883648493

ACTIVE: Final = Decision(
    wallet=bytes(range(32)),
    status=TrustStatus.ACTIVE,
    score=80,
    seq=41,
    epoch=bytes.fromhex("00017f80ff10a5c3"),
    issued_ms=ISSUED_MS,
    fresh_until_ms=FRESH_MS,
    stale_until_ms=STALE_MS,
    audience=AUDIENCE,
    session_key=session_public_key(SESSION_SEED),
    key_id=key_id_of(session_public_key(SEED)),
)
BLOCKED: Final = replace(ACTIVE, status=TrustStatus.BLOCKED, score=0)
ANSWER: Final = replace(ACTIVE, nonce=NONCE)
Case = dict[str, Any]


def case(
    name: str,
    signed: bytes,
    expect: dict[str, Any],
    *,
    nonce: str | None = None,
    clock_ms: int | None = ISSUED_MS + 1_000,
    newest_issued_ms: int = 0,
    stale_allowed: bool = False,
) -> Case:
    """Describe one reader and what it must find."""
    return {
        "name": name,
        "signed": signed.hex(),
        "audience": AUDIENCE,
        "nonce": nonce,
        "clock_ms": clock_ms,
        "newest_issued_ms": newest_issued_ms,
        "stale_allowed": stale_allowed,
        "expect": expect,
    }


def verdict(status: str, score: int, freshness: str) -> dict[str, Any]:
    """Name what a good decision is worth."""
    return {"status": status, "score": score, "freshness": freshness}


def refused(why: str) -> dict[str, Any]:
    """Name why a bad one is refused."""
    return {"refused": why}


def signed_array(fields: list[Any], seed: bytes = SEED) -> bytes:
    """Sign an array that no decision would encode to."""
    return signed_body(msgpack.encode(fields), seed)


def signed_body(body: bytes, seed: bytes = SEED) -> bytes:
    """Sign any bytes as a decision."""
    return sign_with_session_key(seed, Kind.DECISION, body) + body


def good() -> Iterator[Case]:
    """Make decisions that their signature allows to be weighed."""
    signed = sign_decision(SEED, ACTIVE)
    active = verdict("ACTIVE", 80, "fresh")
    unknown = verdict("UNKNOWN", 0, "expired")
    yield case("active and fresh", signed, active)
    next_one = replace(ACTIVE, key_id=key_id_of(session_public_key(NEXT_SEED)))
    yield case("by the key that follows", sign_decision(NEXT_SEED, next_one), active)
    bare = replace(ACTIVE, session_key=None, seq=0, score=100)
    yield case("without a session key", sign_decision(SEED, bare), verdict("ACTIVE", 100, "fresh"))
    yield case("in answer to a nonce", sign_decision(SEED, ANSWER), active, nonce=NONCE)
    yield case("with a nonce that nobody asked for", sign_decision(SEED, ANSWER), active)
    unlisted = replace(ACTIVE, status=TrustStatus.UNKNOWN, score=0)
    yield case("unknown wallet", sign_decision(SEED, unlisted), verdict("UNKNOWN", 0, "fresh"))
    yield case("issued in the device's future", signed, active, clock_ms=ISSUED_MS - 1)
    yield case("last fresh millisecond", signed, active, clock_ms=FRESH_MS - 1)
    stale = verdict("UNKNOWN", 0, "stale")
    yield case("stale", signed, stale, clock_ms=FRESH_MS)
    stale = verdict("ACTIVE", 80, "stale")
    yield case("stale, listed", signed, stale, clock_ms=FRESH_MS, stale_allowed=True)
    yield case("last stale millisecond", signed, stale, clock_ms=STALE_MS - 1, stale_allowed=True)
    yield case("expired", signed, unknown, clock_ms=STALE_MS, stale_allowed=True)
    behind: dict[str, Any] = {"clock_ms": 0, "stale_allowed": True}
    yield case("clock set back", signed, unknown, newest_issued_ms=STALE_MS, **behind)
    yield case("clock set back a little", signed, stale, newest_issued_ms=FRESH_MS, **behind)
    no_clock = verdict("UNKNOWN", 0, "no_clock")
    yield case("no clock", signed, no_clock, clock_ms=None, stale_allowed=True)
    signed = sign_decision(SEED, BLOCKED)
    yield case("blocked", signed, verdict("BLOCKED", 0, "fresh"))
    yield case("blocked and stale", signed, verdict("BLOCKED", 0, "stale"), clock_ms=FRESH_MS)
    yield case("blocked and expired", signed, verdict("BLOCKED", 0, "expired"), clock_ms=STALE_MS)
    yield case("blocked, no clock", signed, verdict("BLOCKED", 0, "no_clock"), clock_ms=None)


def tampered() -> Iterator[Case]:
    """Change each field under the signature of another decision."""
    signature = sign_decision(SEED, ANSWER)[:SIGNATURE_BYTES]
    changes: dict[str, Any] = {
        "wallet": bytes(32),
        "status": TrustStatus.BLOCKED,
        "score": 81,
        "seq": 42,
        "epoch": bytes(8),
        "issued_ms": ISSUED_MS + 1,
        "fresh_until_ms": FRESH_MS + 1,
        "stale_until_ms": STALE_MS + 1,
        "audience": "door-8.example.org",
        "session_key": session_public_key(FOREIGN_SEED),
        "key_id": key_id_of(session_public_key(NEXT_SEED)),
        "nonce": "4fZk0pQ2v8sT1mYb6cHdNx",
    }
    for field, value in changes.items():
        body = encode_decision(replace(ANSWER, **{field: value}))
        yield case(f"{field} changed", signature + body, refused("bad_signature"), nonce=NONCE)
    bare = signature + encode_decision(replace(ANSWER, session_key=None))
    yield case("session key removed", bare, refused("bad_signature"), nonce=NONCE)
    bare = signature + encode_decision(ACTIVE)
    yield case("nonce removed", bare, refused("bad_signature"))
    signed = sign_decision(SEED, ACTIVE)
    for at in (0, 31, 32, 63):
        bent = bytearray(signed)
        bent[at] ^= 1
        yield case(f"byte {at} of the signature changed", bytes(bent), refused("bad_signature"))
    scalar = int.from_bytes(signed[32:64], "little") + GROUP_ORDER
    again = signed[:32] + scalar.to_bytes(32, "little") + signed[64:]
    yield case("signature with S + L", again, refused("bad_signature"))
    body = encode_decision(ACTIVE)
    quote = sign_with_session_key(SEED, Kind.QUOTE, body) + body
    yield case("signed as a quote", quote, refused("bad_signature"))
    foreign = sign_with_session_key(FOREIGN_SEED, Kind.DECISION, body) + body
    yield case("signed by a stranger under a known key's id", foreign, refused("bad_signature"))


def misplaced() -> Iterator[Case]:
    """Make decisions that are good elsewhere."""
    foreign = replace(ACTIVE, key_id=key_id_of(session_public_key(FOREIGN_SEED)))
    yield case("unknown key", sign_decision(FOREIGN_SEED, foreign), refused("unknown_key"))
    other = sign_decision(SEED, replace(ACTIVE, audience="door-8.example.org"))
    yield case("other audience", other, refused("other_audience"))
    longer = sign_decision(SEED, replace(ACTIVE, audience=AUDIENCE + ".evil"))
    yield case("an audience that begins alike", longer, refused("other_audience"))
    stray = sign_decision(SEED, replace(ACTIVE, nonce="another"))
    yield case("other nonce", stray, refused("other_nonce"), nonce=NONCE)
    yield case("no nonce", sign_decision(SEED, ACTIVE), refused("other_nonce"), nonce=NONCE)


def malformed() -> Iterator[Case]:
    """Sign what is no decision, or one in another form than the one."""
    signed = sign_decision(SEED, ACTIVE)
    array = msgpack.decode(encode_decision(ACTIVE))
    body = encode_decision(ACTIVE)
    bad = refused("malformed")

    def bent(name: str, position: int, value: Any) -> Case:
        return case(name, signed_array([*array[:position], value, *array[position + 1 :]]), bad)

    yield case("empty", b"", bad)
    yield case("a signature alone", signed[:SIGNATURE_BYTES], bad)
    yield case("cut short", signed[:-1], bad)
    yield case("a byte behind the array", signed_body(body + b"\x00"), bad)
    yield case("an element too few", signed_array(array[:-1]), bad)
    yield case("two elements too many", signed_array([*array, NONCE, 0]), bad)
    yield case("a nonce of nil", signed_array([*array, None]), bad)
    yield case("an empty nonce", signed_array([*array, ""]), bad)
    yield case("a nonce with a line feed", signed_array([*array, "a\n"]), bad)
    yield bent("version 2", 0, 2)
    yield bent("version 0", 0, 0)
    yield bent("a wallet of 31 bytes", 1, bytes(31))
    yield bent("a wallet as text", 1, "a" * 32)
    yield bent("status 3", 2, 3)
    yield bent("status true", 2, True)
    yield bent("score 101", 3, 101)
    yield bent("a negative score", 3, -1)
    yield bent("a score of 80.0", 3, 80.0)
    yield bent("seq 2^53", 4, 2**53)
    yield bent("an epoch of 7 bytes", 5, bytes(7))
    yield bent("fresh before it is issued", 7, ISSUED_MS - 1)
    yield bent("stale before it is fresh", 8, FRESH_MS - 1)
    yield bent("an empty audience", 9, "")
    yield bent("a space in the audience", 9, "door 7")
    yield bent("an audience beyond ASCII", 9, "dör-7")
    yield bent("a session key of 33 bytes", 10, bytes(33))
    yield bent("no key id", 11, None)
    yield case("a map", signed_body(b"\x80"), bad)
    yield case("an array of 12 with a long head", signed_body(b"\xdc\x00\x0c" + body[1:]), bad)
    yield case("version in two bytes", signed_body(b"\x9c\xcc\x01" + body[2:]), bad)
    wide = body.replace(b"\xc4\x20" + ACTIVE.wallet, b"\xc5\x00\x20" + ACTIVE.wallet, 1)
    yield case("a wallet with a long head", signed_body(wide), bad)
    head = bytes([0xA0 + len(AUDIENCE)])
    text = AUDIENCE.encode()
    wide = body.replace(head + text, b"\xd9" + bytes([len(text)]) + text, 1)
    yield case("an audience with a long head", signed_body(wide), bad)
    signed_time = body.replace(b"\xcf", b"\xd3", 1)
    yield case("a time as a signed integer", signed_body(signed_time), bad)
    yield case("256 bytes", signed_body(body + bytes(256 - SIGNATURE_BYTES - len(body))),
               refused("too_long"))  # fmt: skip
    yield case("300 zero bytes", bytes(300), refused("too_long"))


def orders() -> list[dict[str, Any]]:
    """Make pairs of decisions on one wallet."""
    later: dict[str, Any] = {"issued_ms": ISSUED_MS + 1}
    other_epoch: dict[str, Any] = {"epoch": bytes(8)}
    pairs: list[tuple[str, Decision, Decision, bool]] = [
        ("newer seq", ACTIVE, replace(ACTIVE, seq=42), True),
        ("older seq, issued later", ACTIVE, replace(ACTIVE, seq=40, **later), False),
        ("active of a newer seq ends a block", BLOCKED, replace(ACTIVE, seq=42), True),
        ("the same again", ACTIVE, ACTIVE, False),
        ("same seq, issued later", ACTIVE, replace(ACTIVE, **later), True),
        ("same seq, blocked, issued earlier", replace(ACTIVE, **later), BLOCKED, True),
        ("same seq, active, issued later", BLOCKED, replace(ACTIVE, **later), False),
        ("other epoch, issued later, lower seq", ACTIVE,
         replace(ACTIVE, seq=1, **other_epoch, **later), True),
        ("other epoch, issued earlier", replace(ACTIVE, **later),
         replace(ACTIVE, seq=99, **other_epoch), False),
    ]  # fmt: skip
    return [
        {
            "name": name,
            "held": sign_decision(SEED, held).hex(),
            "offered": sign_decision(SEED, offered).hex(),
            "wins": wins,
        }
        for name, held, offered, wins in pairs
    ]


def document() -> str:
    """Return the file's text."""
    presence = presence_body(audience=AUDIENCE, nonce=NONCE)
    content = {
        "decision_version": 1,
        "about": "Made by scripts/generate_decision_vectors.py; there stands how to read it.",
        "keys": {
            key_id_of(session_public_key(seed)).hex(): session_public_key(seed).hex()
            for seed in (SEED, NEXT_SEED)
        },
        "fields": {
            "wallet": ACTIVE.wallet.hex(),
            "status": "ACTIVE",
            "score": 80,
            "seq": ACTIVE.seq,
            "epoch": ACTIVE.epoch.hex(),
            "issued_ms": ISSUED_MS,
            "fresh_until_ms": FRESH_MS,
            "stale_until_ms": STALE_MS,
            "audience": AUDIENCE,
            "session_key": session_public_key(SESSION_SEED).hex(),
            "key_id": ACTIVE.key_id.hex(),
            "nonce": None,
        },
        "cases": [*good(), *tampered(), *misplaced(), *malformed()],
        "orders": orders(),
        "presence": {
            "audience": AUDIENCE,
            "nonce": NONCE,
            "session_key": session_public_key(SESSION_SEED).hex(),
            "signature": sign_with_session_key(SESSION_SEED, Kind.PRESENCE, presence).hex(),
        },
    }
    return json.dumps(content, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, {PATH: document}))
