"""The administrator's port, loopback only: metrics, trust changes, sessions."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_hub.surfaces.problems import (
    handle_http_error,
    handle_request_error,
    handle_unexpected,
    json_response,
    read_json,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import TrustSetReply


class TrustAdministration(Protocol):
    """What the administrator's port needs of TurboAuth."""

    async def set_trust(self, signed_tx: bytes, *, admin: None = None) -> TrustSetReply:
        """Take an administrator's signed transaction; raise RequestError."""
        ...


@dataclass(frozen=True, slots=True)
class AdminContext:
    """What the administrator's port works with."""

    trust: TrustAdministration
    metrics_text: Callable[[], tuple[bytes, str]]
    """The exposition and its content type."""
    sessions: Callable[[], list[dict[str, object]]]


class TrustSetBody(Struct, forbid_unknown_fields=True):
    """POST /admin/v1/trust: a signed TurboAuth transaction, base64."""

    signed_tx: Annotated[str, Meta(max_length=2048)]


def build_admin_app(context: AdminContext) -> Starlette:
    """Build the ASGI application of the administrator's port."""
    routes = _AdminRoutes(context)
    # Starlette types handlers by Exception; each of ours says what it takes.
    handlers: Any = {
        RequestError: handle_request_error,
        HTTPException: handle_http_error,
        Exception: handle_unexpected,
    }
    return Starlette(
        routes=[
            Route("/metrics", routes.metrics, methods=["GET"]),
            Route("/admin/v1/trust", routes.trust_set, methods=["POST"]),
            Route("/admin/v1/sessions", routes.sessions, methods=["GET"]),
        ],
        exception_handlers=handlers,
        # A page elsewhere must not reach this port by a name that it points at 127.0.0.1.
        middleware=[
            Middleware(
                TrustedHostMiddleware,
                allowed_hosts=["127.0.0.1", "localhost", "[::1]"],
                www_redirect=False,
            )
        ],
    )


class _AdminRoutes:
    """The endpoints."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    async def metrics(self, _request: Request) -> Response:
        """Expose the metrics to Prometheus."""
        text, media_type = self._context.metrics_text()
        return Response(text, headers={"Content-Type": media_type})

    async def trust_set(self, request: Request) -> Response:
        """Take a trust change; its signature is the login."""
        body = await read_json(request, TrustSetBody)
        try:
            signed_tx = base64.b64decode(body.signed_tx, validate=True)
        except binascii.Error as error:
            raise RequestError(ErrorCode.BAD_MESSAGE, f"signed_tx: {error}") from error
        reply = await self._context.trust.set_trust(signed_tx)
        return json_response({"log_seq": reply.log_seq, "state": reply.state.name.lower()})

    async def sessions(self, _request: Request) -> Response:
        """List the living sessions."""
        return json_response({"sessions": self._context.sessions()})
