"""The one table of error codes and the one table of close codes.

A code says what the client should do. The JS constants and docs/reference/codes.md are made
from these tables by scripts/generate_tables.py.
"""

from collections.abc import Mapping
from enum import IntEnum


class ErrorCode(IntEnum):
    """Why a request was refused. The session itself goes on."""

    def __new__(cls, value: int, retryable: bool, advice: str) -> "ErrorCode":
        """Make the member for *value*, with whether and how to try again."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.retryable = retryable
        member.advice = advice
        return member

    retryable: bool
    """Whether the same request may succeed later, unchanged."""
    advice: str

    @property
    def wire_name(self) -> str:
        """The name as it stands in documents and JSON: lower case."""
        return self.name.lower()

    INTERNAL = 100, True, "The hub failed; try again, and report it if it stays."
    NOT_AUTHENTICATED = 101, False, "Log in first."
    FORBIDDEN_SCOPE = 102, False, "Log in with the scope that this request needs."
    BAD_MESSAGE = 103, False, "The body has the wrong form; mend the client."
    UNKNOWN_TYPE = 104, False, "This hub does not serve that request."
    TOO_LARGE = 105, False, "Send fewer or smaller items; the limits are in the challenge."
    RATE_LIMITED = 106, True, "Wait for retry_after_ms, then go slower."
    OVERLOADED = 107, True, "Wait for retry_after_ms, then try again."
    BACKBONE_UNAVAILABLE = 108, True, "The hub can't vouch for its data now; try again."
    CHALLENGE_EXPIRED = 200, False, "Ask for a new challenge and sign that."
    NONCE_UNKNOWN_OR_USED = 201, False, "Ask for a new challenge and sign that."
    DOMAIN_MISMATCH = 202, False, "The domain is not one that this hub or key serves."
    BAD_SIGNATURE = 204, False, "The signature is not this wallet's over this text; ask the user."
    UNSUPPORTED_SCHEME = 205, False, "Sign with one of the schemes wc, k12, raw."
    WALLET_BLOCKED = 206, False, "The wallet is blocked; only its administrator can change that."
    CLOCK_SKEW = 207, False, "Set the clock of the client; at most 30 s off are taken."
    RESUME_UNKNOWN = 208, False, "Log in again."
    RESUME_REUSED = 209, False, "Log in again; someone else may have used the token."
    RESUME_EXPIRED = 210, False, "Log in again."
    KEY_LIMIT = 211, False, "Revoke a key of this wallet, or log in without until."
    SUB_LIMIT = 220, False, "Unsubscribe from something first."
    UNKNOWN_CHANNEL = 221, False, "Subscribe to a channel that exists."
    POSITION_UNRECOVERABLE = 222, False, "Subscribe without a position and take the snapshot."
    NO_ROUTE = 300, False, "No route keeps the bounds; the detail names the one that blocks."
    QUOTE_EXPIRED = 301, False, "Ask for a new quote."
    FEE_ABOVE_MAX = 302, False, "Raise max_fee or wait for a cheaper route."
    IDEMPOTENCY_CONFLICT = 303, False, "That key belongs to another payment or attempt."
    TRUST_TOO_LOW = 304, False, "The payer's trust score is too low for this amount."
    TRUST_STALE = 305, True, "The payer's trust could not be read freshly; try again."
    TARGET_TICK_PASSED = 306, False, "Prepare again and sign for the new tick."
    TX_REJECTED = 307, False, "The transaction is not the one agreed; prepare again."
    INSUFFICIENT_BALANCE = 308, False, "The balance less what is held does not cover the amount."
    ROUTE_NOT_EXECUTABLE = 309, False, "Choose a route whose quote says executable."
    OUTCOME_UNKNOWN = 310, False, "Ask payment.get for the outcome; never send again."
    SPEND_LIMIT = 311, False, "Pay from the wallet, or have it sign for more or for longer."


class CloseCode(IntEnum):
    """Why the hub closes a connection. 4000-4499: come back. 4500-4999: don't."""

    def __new__(cls, value: int, advice: str) -> "CloseCode":
        """Make the member for *value*, with what to do about it."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.advice = advice
        return member

    advice: str

    @property
    def reconnect(self) -> bool:
        """Whether a client should come back by itself."""
        return self < 4500

    @property
    def wire_name(self) -> str:
        """The name that starts the close reason: lower case."""
        return self.name.lower()

    DRAINING = 4000, "Reconnect after a random pause."
    IDLE = 4001, "Reconnect when there is something to do."
    SLOW_CONSUMER = 4002, "Reconnect, ask for the state again, and read faster."
    POSITION_LOST = 4003, "Reconnect and subscribe without a position."
    OVERLOADED = 4004, "Reconnect after the retry time in the reason."
    SESSION_EXPIRED = 4005, "Reconnect and log in again."
    AUTH_TIMEOUT = 4006, "Reconnect; log in before the challenge expires."
    NO_PONG = 4007, "Reconnect; the network or the client stood still."
    RATE_LIMITED = 4008, "Reconnect after the retry time in the reason, and go slower."
    PROTOCOL_ERROR = 4500, "A bug in the client; report it."
    UNSUPPORTED_VERSION = 4501, "Update the client."
    AUTH_FAILED = 4502, "The signature doesn't match the identity; ask the user."
    WALLET_BLOCKED = 4503, "The wallet is blocked; only its administrator can change that."
    SESSION_REVOKED = 4504, "Log in again with the wallet."
    RESUME_REUSED = 4505, "Log in again; someone else may have used the token."
    ORIGIN_FORBIDDEN = 4506, "Serve the page from an allowed origin."
    BANNED = 4507, "Ask the operator."
    SUPERSEDED = 4508, "Another connection resumed this session."


CLOSE_REASON_BYTES_MAX = 123


def close_reason(
    code: CloseCode,
    *,
    retry_ms: int | None = None,
    reference: str = "",
    facts: Mapping[str, int] | None = None,
) -> str:
    """Build the close reason: ``name;retry=ms;ref=id;fact=number``, at most 123 bytes."""
    parts = [code.wire_name]
    if retry_ms is not None:
        parts.append(f"retry={retry_ms}")
    if reference:
        parts.append(f"ref={reference}")
    parts += [f"{name}={value}" for name, value in (facts or {}).items()]
    return ";".join(parts).encode()[:CLOSE_REASON_BYTES_MAX].decode(errors="ignore")
