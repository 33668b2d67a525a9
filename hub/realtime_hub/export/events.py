"""What a change of trust means to a receiver: CAEP events as signed SETs.

SET: RFC 8417. Subject "did": RFC 9493. Events: OpenID CAEP 1.0. Transmission: RFC 8935 and 8936.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from realtime_hub.auth.model import TrustChange
from realtime_hub.keys import SigningKey
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import Initiator, TrustStatus
from realtime_protocol.session_key import sign_bare

SESSION_REVOKED: Final = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
TOKEN_CLAIMS_CHANGE: Final = (
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change"  # noqa: S105  (a name)
)
EVENT_TYPES: Final = {
    "session-revoked": SESSION_REVOKED,
    "token-claims-change": TOKEN_CLAIMS_CHANGE,
}
_INITIATING_ENTITY: Final = {
    Initiator.ADMIN: "admin",
    Initiator.CHAIN: "policy",
    Initiator.SYSTEM: "system",
}
_JTI_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """One event, before it is addressed and signed. *jti* names it for ever."""

    jti: str
    type: str
    subject: Mapping[str, Any]
    details: Mapping[str, Any]


def wallet_did(chain: str, wallet: PublicKey) -> str:
    """Return the DID of a wallet, by CAIP-10 and did:pkh."""
    return f"did:pkh:qubic:{chain}:{encode_identity(wallet)}"


def events_of_change(change: TrustChange, *, epoch: bytes, chain: str) -> list[SecurityEvent]:
    """Return what a receiver should learn of an entry of the trust log with that *epoch*.

    The same entry gives the same events under the same names on every hub.
    """
    body = change.body
    subject = {"format": "did", "url": wallet_did(chain, PublicKey(body.wallet))}
    details: dict[str, Any] = {
        "event_timestamp": body.event_ms // 1_000,
        "initiating_entity": _INITIATING_ENTITY[body.initiator],
    }
    claims = {"trust_status": body.status.name, "trust_score": body.score}
    place = epoch + change.log_seq.to_bytes(8, "big")
    events = [_event(place, TOKEN_CLAIMS_CHANGE, subject, {**details, "claims": claims})]
    if body.status is TrustStatus.BLOCKED:
        reason = {"reason_admin": {"en": f"the wallet is blocked (reason {body.reason})"}}
        # First: whoever must end sessions shouldn't read of claims before.
        events.insert(0, _event(place, SESSION_REVOKED, subject, {**details, **reason}))
    return events


def event_of_session(
    sid: str, wallet: PublicKey, *, why: str, event_ms: int, chain: str
) -> SecurityEvent:
    """Return the event of one session that was revoked while its wallet is in good standing."""
    subject = {
        "format": "complex",
        "user": {"format": "did", "url": wallet_did(chain, wallet)},
        "session": {"format": "opaque", "id": sid},
    }
    details = {
        "event_timestamp": event_ms // 1_000,
        "initiating_entity": "user",
        "reason_admin": {"en": why},
    }
    return _event(b"session" + sid.encode(), SESSION_REVOKED, subject, details)


def encode_event(event: SecurityEvent) -> bytes:
    """Return the event as it waits in a queue."""
    return msgspec.json.encode(event)


def decode_event(data: bytes) -> SecurityEvent:
    """Return an event from a queue; msgspec.MsgspecError when it is none."""
    return msgspec.json.decode(data, type=SecurityEvent)


def sign_event(
    event: SecurityEvent, key: SigningKey, *, issuer: str, audience: str, now_ms: int
) -> str:
    """Return the event as a SET for *audience*: a JWS in compact form, EdDSA.

    It has no ``exp`` and no ``sub``, so that nobody takes it for a token.
    """
    header = {"alg": "EdDSA", "kid": key.key_id.hex(), "typ": "secevent+jwt"}
    claims = {
        "iss": issuer,
        "aud": audience,
        "iat": now_ms // 1_000,
        "jti": event.jti,
        "sub_id": event.subject,
        "events": {event.type: event.details},
    }
    signed = f"{_part(header)}.{_part(claims)}"
    return f"{signed}.{_base64url(sign_bare(key.seed, signed.encode()))}"


def _event(
    place: bytes, kind: str, subject: Mapping[str, Any], details: Mapping[str, Any]
) -> SecurityEvent:
    digest = hashlib.sha256(place + kind.encode()).digest()
    return SecurityEvent(_base64url(digest[:_JTI_BYTES]), kind, subject, details)


def _part(value: object) -> str:
    return _base64url(msgspec.json.encode(value))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
