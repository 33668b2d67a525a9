"""The administrator's port, loopback only: metrics, trust changes, sessions."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_hub.readiness import Readiness
from realtime_hub.session.directory import PAGE_MAX
from realtime_hub.surfaces.problems import (
    ERROR_HANDLERS,
    json_response,
    read_json,
)
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import TrustSetReply

PAGE_DEFAULT: Final = 100


class TrustAdministration(Protocol):
    """What the administrator's port needs of TurboAuth."""

    async def set_trust(self, signed_tx: bytes, *, admin: None = None) -> TrustSetReply:
        """Take an administrator's signed transaction; raise RequestError."""
        ...


class SessionPages(Protocol):
    """The living sessions of this process."""

    def page(self, *, limit: int, after: str = "") -> list[dict[str, object]]:
        """Return up to *limit* sessions whose ids follow *after*, in their order."""
        ...

    def find(self, sid: str) -> dict[str, object] | None:
        """Return one session."""
        ...


@dataclass(frozen=True, slots=True)
class AdminContext:
    """What the administrator's port works with."""

    trust: TrustAdministration
    metrics_text: Callable[[], tuple[bytes, str]]
    """The exposition and its content type."""
    sessions: SessionPages
    readiness: Callable[[], Readiness]
    drain: Callable[[], None]
    """Begins to send every session elsewhere; a second call changes nothing."""
    further: Sequence[Route] = field(default=())
    """Routes of other parts on the same port."""


# A page elsewhere must not reach this port by a name that it points at 127.0.0.1.
LOOPBACK_ONLY: Final = [
    Middleware(
        TrustedHostMiddleware,
        allowed_hosts=["127.0.0.1", "localhost", "[::1]"],
        www_redirect=False,
    )
]


def page_of(request: Request) -> tuple[int, str]:
    """Return the page that is asked for: how many, and the id that it follows."""
    text = request.query_params.get("limit", str(PAGE_DEFAULT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= PAGE_MAX):
        raise RequestError(ErrorCode.BAD_MESSAGE, f"limit must be 1 to {PAGE_MAX}")
    return int(text), request.query_params.get("after", "")


class TrustSetBody(Struct, forbid_unknown_fields=True):
    """POST /admin/v1/trust: a signed TurboAuth transaction, base64."""

    signed_tx: Annotated[str, Meta(max_length=2048)]


def build_admin_app(context: AdminContext) -> Starlette:
    """Build the ASGI application of the administrator's port."""
    routes = _AdminRoutes(context)
    return Starlette(
        routes=[
            Route("/metrics", routes.metrics, methods=["GET"]),
            Route("/admin/v1/trust", routes.trust_set, methods=["POST"]),
            Route("/admin/v1/sessions", routes.sessions, methods=["GET"]),
            Route("/admin/v1/sessions/{sid}", routes.session, methods=["GET"]),
            Route("/admin/v1/drain", routes.drain, methods=["POST"]),
            *context.further,
            Route("/readyz", routes.ready, methods=["GET"]),
        ],
        exception_handlers=ERROR_HANDLERS,
        middleware=LOOPBACK_ONLY,
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

    async def sessions(self, request: Request) -> Response:
        """List the living sessions in the order of their ids, page by page."""
        limit, after = page_of(request)
        found = self._context.sessions.page(limit=limit, after=after)
        return json_response(
            {"sessions": found, "after": found[-1]["sid"] if len(found) == limit else None}
        )

    async def session(self, request: Request) -> Response:
        """Show one session."""
        found = self._context.sessions.find(request.path_params["sid"])
        if found is None:
            raise HTTPException(404, "no session has this id")
        return json_response(found)

    async def drain(self, _request: Request) -> Response:
        """Send every session elsewhere and let nobody in any more."""
        self._context.drain()
        return json_response({"draining": True}, 202)

    async def ready(self, _request: Request) -> Response:
        """Say whether this very process can serve; behind a shared port others may answer."""
        readiness = self._context.readiness()
        body = {"ready": readiness.ready, "parts": dict(readiness.parts)}
        return json_response(body, 200 if readiness.ready else 503)
