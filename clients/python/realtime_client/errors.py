"""What can go wrong, by type: catch what you can mend, let the rest tell its own story."""

from typing import Final

from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.messages import ErrorBody, PaymentState, PaymentStatus

_ERROR_CODES: Final = {int(code): code for code in ErrorCode}
_REFUSALS: Final = frozenset({1002, 1003, 1007, 1008, 1009, 1010})
_CLOSE_CODES: Final = {int(code): code for code in CloseCode}


class RealtimeError(Exception):
    """Anything that this client raises."""


class HubError(RealtimeError):
    """The hub refused a request; the session goes on.

    *code* is an `ErrorCode` where this version knows it, else a plain int.
    """

    def __init__(
        self,
        code: int,
        message: str = "",
        *,
        retry_after_ms: int | None = None,
        fields: dict[str, int | str] | None = None,
    ) -> None:
        known = _ERROR_CODES.get(code)
        self.code: ErrorCode | int = code if known is None else known
        self.name = "unknown_error" if known is None else known.wire_name
        self.message = message
        self.retryable = False if known is None else known.retryable
        self.retry_after_ms = retry_after_ms
        self.advice = "Update the client." if known is None else known.advice
        self.fields = dict(fields or {})
        super().__init__(f"{int(code)} {self.name}: {message or self.advice}")


class LoginError(HubError):
    """The hub refused the login."""


class WalletBlockedError(LoginError):
    """The wallet is blocked: only its administrator can change that (206)."""


def hub_error(body: ErrorBody, *, login: bool = False) -> HubError:
    """Return the typed error of an error reply."""
    fields = dict(body.detail or {})
    message = str(fields.pop("message", ""))
    kind: type[HubError] = LoginError if login else HubError
    if login and body.code == ErrorCode.WALLET_BLOCKED:
        kind = WalletBlockedError
    return kind(body.code, message, retry_after_ms=body.retry_after_ms, fields=fields)


class ConnectionLostError(RealtimeError):
    """The connection broke while something waited on it; whether the hub did it is not known."""


class RequestTimeoutError(ConnectionLostError):
    """No reply came in time; whether the hub did it is not known."""


class ConnectionRefusedByHubError(RealtimeError):
    """The hub, or something before it, refused the upgrade with an HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text[:300]}" if text else f"HTTP {status}")
        self.status = status


class ConnectionClosedError(RealtimeError):
    """The session has ended for good.

    *code* is a `CloseCode` where this version knows it; None when no close frame came.
    """

    def __init__(self, code: int | None, reason: str = "", *, cause: str = "") -> None:
        known = None if code is None else _CLOSE_CODES.get(code)
        self.code: CloseCode | int | None = code if known is None else known
        self.reason = reason
        self.advice = "" if known is None else known.advice
        parts = [str(code) if code is not None else "no close frame", reason, cause, self.advice]
        super().__init__("connection closed: " + "; ".join(part for part in parts if part))

    @property
    def comes_back(self) -> bool:
        """Whether a new connection may be tried: 4500 and above say no, and RFC 6455's refusals."""
        return self.code is None or not (4500 <= self.code < 5000 or self.code in _REFUSALS)

    @property
    def retry_ms(self) -> int:
        """The pause that the hub asks for in its reason; 0 when it names none."""
        for part in self.reason.split(";"):
            name, _, value = part.partition("=")
            if name == "retry" and value.isascii() and value.isdigit():
                return int(value)
        return 0


class HubMistrustedError(RealtimeError):
    """The hub asked for a signature over, or told, something else than was agreed.

    Nothing was signed. The hub is broken, hostile, or not the one you meant.
    """


class QuoteUnusableError(RealtimeError):
    """The quote can't be paid: not executable, too dear, or without a route."""


class SpendLimitError(RealtimeError):
    """A spending wallet may not pay that; nothing was signed."""


class PaymentFailedError(RealtimeError):
    """The payment has ended otherwise than settled; *status* is the last one."""

    def __init__(self, status: PaymentStatus) -> None:
        super().__init__(f"payment {status.payment_id.hex()}: {_MEANING[status.state]}")
        self.status = status


class OutcomeUnknownError(RealtimeError):
    """Whether the hub took the payment isn't known; never pay again before it is.

    *txid* is the digest under which the network would show it.
    """

    def __init__(self, idem: bytes, txid: bytes, cause: str) -> None:
        super().__init__(
            f"it isn't known whether the payment was taken ({cause}); look for the transaction "
            "before you pay again"
        )
        self.idem = idem
        self.txid = txid


_MEANING: Final = {
    PaymentState.NOT_MOVED: "included, but no money moved: the balance didn't cover it",
    PaymentState.MISSED: "its tick passed without it",
    PaymentState.REJECTED: "refused before anything was broadcast",
    PaymentState.EXPIRED: "its time is over and nothing moved",
    PaymentState.ACCEPTED: "accepted",
    PaymentState.BROADCAST: "broadcast",
    PaymentState.INCLUDED: "included",
    PaymentState.SETTLED: "settled",
    PaymentState.UNKNOWN: "its tick is past but not proven; ask again",
}
