"""The two kinds of protocol fault: ours and the peer's."""

from collections.abc import Mapping

from realtime_protocol.codes import CloseCode, ErrorCode


class ProtocolError(Exception):
    """A rule of the session protocol was broken."""


class LocalProtocolError(ProtocolError):
    """This end was about to do what the protocol forbids: a bug in the caller."""


class RemoteProtocolError(ProtocolError):
    """The peer broke a rule so badly that the connection closes with *close_code*."""

    def __init__(self, close_code: CloseCode, detail: str) -> None:
        super().__init__(detail)
        self.close_code = close_code
        self.detail = detail


class RequestError(ProtocolError):
    """One request is refused with *code*; the session goes on.

    *message* goes to the client as it is: what happened, the values, what to try; never a secret.
    *fields* are further facts for programs. *retry_after_ms* is a duration.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str = "",
        *,
        retry_after_ms: int | None = None,
        fields: Mapping[str, int | str] | None = None,
    ) -> None:
        super().__init__(f"{int(code)} {code.wire_name}" + (f": {message}" if message else ""))
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.fields = dict(fields or {})

    @property
    def detail(self) -> dict[str, int | str] | None:
        """The detail map of the wire: ``message`` and the fields."""
        named: dict[str, int | str] = {"message": self.message} if self.message else {}
        return {**named, **self.fields} or None
