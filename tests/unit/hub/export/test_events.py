"""SETs: read by an independent JOSE library, and in the forms of RFC 8417, 9493 and CAEP."""

import base64
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import OKPKey

from realtime_hub.auth.model import TrustChange
from realtime_hub.export.events import (
    SESSION_REVOKED,
    TOKEN_CLAIMS_CHANGE,
    SecurityEvent,
    decode_event,
    encode_event,
    event_of_session,
    events_of_change,
    sign_event,
    wallet_did,
)
from realtime_hub.keys import Purpose, SigningKey
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import Initiator, TrustChanged, TrustStatus

# RFC 9864 wants "Ed25519"; the libraries of most receivers know "EdDSA" only.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

WALLET = PublicKey(bytes(range(32)))
DID = f"did:pkh:qubic:devnet:{encode_identity(WALLET)}"
EPOCH = bytes(range(8))
KEY = SigningKey(Purpose.EVENT, bytes([7]) * 32, 0)
NOW_MS = 1_790_000_001_234


def change(
    status: TrustStatus, *, log_seq: int = 7, initiator: Initiator = Initiator.ADMIN
) -> TrustChange:
    body = TrustChanged(WALLET, status, 5, 3, initiator, NOW_MS, NOW_MS, False)
    return TrustChange(log_seq, body)


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Verify as a receiver does, with a library that isn't ours."""
    key = OKPKey.import_key(
        {"kty": "OKP", "crv": "Ed25519", "x": jwk_x(KEY.public_key), "kid": KEY.key_id.hex()}
    )
    found = jws.deserialize_compact(token, key, algorithms=["EdDSA", "Ed25519"])
    return found.headers(), json.loads(found.payload)


def jwk_x(public_key: bytes) -> str:
    return base64.urlsafe_b64encode(public_key).decode().rstrip("=")


def sign(event: SecurityEvent) -> str:
    return sign_event(
        event, KEY, issuer="https://hub.example", audience="https://app.example", now_ms=NOW_MS
    )


def test_a_block_revokes_the_sessions_first_and_then_changes_the_claims() -> None:
    revoked, claims = events_of_change(change(TrustStatus.BLOCKED), epoch=EPOCH, chain="devnet")
    assert (revoked.type, claims.type) == (SESSION_REVOKED, TOKEN_CLAIMS_CHANGE)
    assert revoked.subject == claims.subject == {"format": "did", "url": DID}
    assert claims.details == {
        "event_timestamp": NOW_MS // 1_000,
        "initiating_entity": "admin",
        "claims": {"trust_status": "BLOCKED", "trust_score": 5},
    }
    assert revoked.details["reason_admin"] == {"en": "the wallet is blocked (reason 3)"}


def test_another_change_tells_its_claims_alone() -> None:
    [event] = events_of_change(
        change(TrustStatus.ACTIVE, initiator=Initiator.CHAIN), epoch=EPOCH, chain="devnet"
    )
    assert event.type == TOKEN_CLAIMS_CHANGE
    assert event.details["initiating_entity"] == "policy"


def test_every_hub_gives_an_entry_of_the_log_the_same_name() -> None:
    def names(epoch: bytes, log_seq: int) -> list[str]:
        changed = change(TrustStatus.BLOCKED, log_seq=log_seq)
        return [event.jti for event in events_of_change(changed, epoch=epoch, chain="devnet")]

    assert names(EPOCH, 7) == names(EPOCH, 7)
    different = [*names(EPOCH, 7), *names(EPOCH, 8), *names(bytes(8), 7)]
    assert len(set(different)) == len(different)


def test_a_set_is_a_jws_that_another_library_verifies() -> None:
    [event] = events_of_change(change(TrustStatus.ACTIVE), epoch=EPOCH, chain="devnet")
    header, claims = read(sign(event))
    assert header == {"alg": "EdDSA", "kid": KEY.key_id.hex(), "typ": "secevent+jwt"}
    assert claims == {
        "iss": "https://hub.example",
        "aud": "https://app.example",
        "iat": NOW_MS // 1_000,
        "jti": event.jti,
        "sub_id": {"format": "did", "url": DID},
        "events": {TOKEN_CLAIMS_CHANGE: dict(event.details)},
    }


def test_a_bent_set_is_refused_by_the_other_library() -> None:
    [event] = events_of_change(change(TrustStatus.ACTIVE), epoch=EPOCH, chain="devnet")
    header, claims, signature = sign(event).split(".")
    other = sign(SecurityEvent("x", event.type, event.subject, event.details)).split(".")[1]
    with pytest.raises(BadSignatureError):
        read(f"{header}.{other}.{signature}")
    read(f"{header}.{claims}.{signature}")


def test_a_single_session_is_named_beside_its_wallet() -> None:
    event = event_of_session("s1", WALLET, why="logout", event_ms=NOW_MS, chain="devnet")
    assert event.subject == {
        "format": "complex",
        "user": {"format": "did", "url": DID},
        "session": {"format": "opaque", "id": "s1"},
    }
    assert event.type == SESSION_REVOKED


def test_an_event_comes_out_of_a_queue_as_it_went_in() -> None:
    for event in events_of_change(change(TrustStatus.BLOCKED), epoch=EPOCH, chain="devnet"):
        assert decode_event(encode_event(event)) == event


def test_the_did_names_the_chain() -> None:
    assert wallet_did("mainnet", WALLET) == DID.replace("devnet", "mainnet")
