"""Errors over HTTP: RFC 9457 problem+json with the session protocol's codes."""

from typing import Any, Final, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError

HTTP_STATUS: Final[dict[ErrorCode, int]] = {
    ErrorCode.INTERNAL: 500,
    ErrorCode.NOT_AUTHENTICATED: 401,
    ErrorCode.FORBIDDEN_SCOPE: 403,
    ErrorCode.UNKNOWN_TYPE: 404,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.OVERLOADED: 503,
    ErrorCode.BACKBONE_UNAVAILABLE: 503,
    ErrorCode.CHALLENGE_EXPIRED: 401,
    ErrorCode.NONCE_UNKNOWN_OR_USED: 401,
    ErrorCode.DOMAIN_MISMATCH: 403,
    ErrorCode.BAD_SIGNATURE: 401,
    ErrorCode.WALLET_BLOCKED: 403,
    ErrorCode.TRUST_TOO_LOW: 403,
    ErrorCode.IDEMPOTENCY_CONFLICT: 409,
    ErrorCode.OUTCOME_UNKNOWN: 409,
}
"""Every code that isn't listed is the caller's mistake: 400."""


def problem_response(error: RequestError) -> Response:
    """Turn a refused request into its HTTP answer."""
    code = error.code
    status = HTTP_STATUS.get(code, 400)
    body: dict[str, object] = {
        "type": f"urn:qubic:realtime:error:{int(code)}",
        "title": code.wire_name,
        "status": status,
        "detail": error.message or code.advice,
        "code": int(code),
        "advice": code.advice,
        "retryable": code.retryable,
    }
    if error.fields:
        body["fields"] = error.fields
    headers = {}
    if error.retry_after_ms is not None:
        body["retry_after_ms"] = error.retry_after_ms
        headers["Retry-After"] = str(max(1, -(-error.retry_after_ms // 1000)))
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/problem+json",
        headers=headers,
    )


async def handle_request_error(_request: Request, error: Exception) -> Response:
    """Answer a RequestError raised by an endpoint."""
    if not isinstance(error, RequestError):
        raise error
    return problem_response(error)


async def handle_unexpected(_request: Request, _error: Exception) -> Response:
    """Answer a failure of ours without telling how we are built."""
    return problem_response(RequestError(ErrorCode.INTERNAL, "the hub failed; see its log"))


async def handle_http_error(_request: Request, error: Exception) -> Response:
    """Answer an unknown path or a wrong method."""
    status = getattr(error, "status_code", 500)
    title = "not_found" if status == 404 else "method_not_allowed" if status == 405 else "refused"
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": str(getattr(error, "detail", "")),
    }
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/problem+json",
        headers=getattr(error, "headers", None),
    )


# Starlette types handlers by Exception; each of ours says what it takes.
ERROR_HANDLERS: Final[Any] = {
    RequestError: handle_request_error,
    HTTPException: handle_http_error,
    Exception: handle_unexpected,
}
"""For each of the hub's applications."""


BODY_BYTES_MAX: Final = 16_384
T = TypeVar("T")


async def read_json(request: Request, form: type[T]) -> T:
    """Read a JSON body of at most BODY_BYTES_MAX bytes into *form*; RequestError 103 or 105."""
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in request.stream():
        size_bytes += len(chunk)
        if size_bytes > BODY_BYTES_MAX:
            raise RequestError(
                ErrorCode.TOO_LARGE, f"the body is over {BODY_BYTES_MAX} bytes; send less"
            )
        chunks.append(chunk)
    try:
        return msgspec.json.decode(b"".join(chunks), type=form)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RequestError(ErrorCode.BAD_MESSAGE, str(error)) from error


def json_response(body: object, status: int = 200) -> Response:
    """Answer with *body* as JSON that nobody may store."""
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
