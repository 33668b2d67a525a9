"""The administrator's port of a hub with several workers: one door to all of them.

Each worker has an administration of its own on a loopback port that the system chose. What is
counted is shown for each worker; what is one of, such as trust, goes to any worker that answers.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx
import msgspec
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_hub.surfaces.admin import LOOPBACK_ONLY, page_of
from realtime_hub.surfaces.coverage_admin import add_up
from realtime_hub.surfaces.problems import (
    BODY_BYTES_MAX,
    ERROR_HANDLERS,
    json_response,
)
from realtime_hub.worker_metrics import merge_expositions
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError

WORKER_S_MAX: Final = 2.0
"""A worker that doesn't answer within this is left out."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as its supervisor sees it."""

    name: str
    admin_url: str | None
    """None while it doesn't run."""
    pid: int | None
    restarts: int
    """How often it was started again after it had died."""


@dataclass(frozen=True, slots=True)
class FleetContext:
    """What the port works with."""

    workers: Callable[[], Sequence[WorkerView]]
    restart: Callable[[], bool]
    """Begins to replace the workers one by one; False when that is under way."""


def build_fleet_admin_app(context: FleetContext, client: httpx.AsyncClient) -> Starlette:
    """Build the ASGI application; it reaches the workers through *client*."""
    routes = _FleetRoutes(context, client)
    return Starlette(
        routes=[
            Route("/metrics", routes.metrics, methods=["GET"]),
            Route("/readyz", routes.readiness, methods=["GET"]),
            Route("/admin/v1/workers", routes.workers, methods=["GET"]),
            Route("/admin/v1/restart", routes.restart, methods=["POST"]),
            Route("/admin/v1/sessions", routes.sessions, methods=["GET"]),
            Route("/admin/v1/sessions/{sid}", routes.find, methods=["GET"]),
            Route("/admin/v1/drain", routes.drain, methods=["POST"]),
            Route("/admin/v1/revocations/{log_seq}", routes.revocation, methods=["GET"]),
            Route("/admin/v1/{rest:path}", routes.forward, methods=["GET", "POST", "DELETE"]),
        ],
        exception_handlers=ERROR_HANDLERS,
        middleware=LOOPBACK_ONLY,
    )


class _FleetRoutes:
    """The endpoints."""

    def __init__(self, context: FleetContext, client: httpx.AsyncClient) -> None:
        self._context = context
        self._client = client

    async def metrics(self, _request: Request) -> Response:
        """Expose every worker's metrics, each sample with its worker's name."""
        answers = await self._ask_all("GET", "/metrics")
        views = self._context.workers()
        texts = {
            view.name: _of_supervisor(view, up=view.name in answers)
            + (answers[view.name].text if view.name in answers else "")
            for view in views
        }
        return Response(merge_expositions(texts), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def readiness(self, _request: Request) -> Response:
        """Say of each worker whether it is ready."""
        answers = await self._ask_all("GET", "/readyz")
        parts = {
            view.name: answers[view.name].json() if view.name in answers else {"ready": False}
            for view in self._context.workers()
        }
        ready = all(part["ready"] for part in parts.values())
        return json_response({"ready": ready, "workers": parts}, 200 if ready else 503)

    async def workers(self, _request: Request) -> Response:
        """List the workers."""
        return json_response(
            {"workers": [msgspec.to_builtins(view) for view in self._context.workers()]}
        )

    async def restart(self, _request: Request) -> Response:
        """Replace the workers one by one, as SIGHUP does."""
        begun = self._context.restart()
        return json_response({"begun": begun}, 202)

    async def sessions(self, request: Request) -> Response:
        """List the sessions of all workers, in the order of their ids, page by page."""
        limit, _ = page_of(request)
        answers = await self._ask_all("GET", f"/admin/v1/sessions?{request.url.query}")
        found: list[dict[str, Any]] = []
        for name, answer in answers.items():
            if answer.status_code != 200:
                return _passed_on(answer)
            found += [{**one, "worker": name} for one in answer.json()["sessions"]]
        found.sort(key=lambda one: one["sid"])
        page = found[:limit]
        more = len(found) > limit or any(one.json()["after"] for one in answers.values())
        after = page[-1]["sid"] if page and more else None
        return json_response({"sessions": page, "after": after})

    async def find(self, request: Request) -> Response:
        """Show one session."""
        answers = await self._ask_all("GET", request.url.path)
        for answer in answers.values():
            if answer.status_code == 200:
                return _passed_on(answer)
        raise HTTPException(404, "no session has this id")

    async def revocation(self, request: Request) -> Response:
        """Say how far a revocation has come, on all workers together."""
        answers = await self._ask_all("GET", request.url.path)
        parts = [answer.json() for answer in answers.values() if answer.status_code == 200]
        if not parts:
            raise HTTPException(404, "no worker remembers this revocation")
        return json_response({**add_up(parts), "workers": len(parts)})

    async def drain(self, request: Request) -> Response:
        """Drain every worker, or the one that `worker` names."""
        only = request.query_params.get("worker")
        answers = await self._ask_all("POST", "/admin/v1/drain", only=only)
        if not answers:
            raise HTTPException(404, "no such worker answers")
        return json_response({name: answer.json() for name, answer in answers.items()}, 202)

    async def forward(self, request: Request) -> Response:
        """Have any worker serve it."""
        body = await request.body() if request.method != "GET" else b""
        if len(body) > BODY_BYTES_MAX:
            raise RequestError(ErrorCode.TOO_LARGE, f"the body is over {BODY_BYTES_MAX} bytes")
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        kind = {"Content-Type": request.headers.get("content-type", "application/json")}
        for view in self._context.workers():
            answer = await self._ask(view, request.method, path, body, kind)
            if answer is not None:
                return _passed_on(answer)
        raise RequestError(ErrorCode.OVERLOADED, "no worker answers now", retry_after_ms=1_000)

    async def _ask_all(
        self, method: str, path: str, *, only: str | None = None
    ) -> dict[str, httpx.Response]:
        """Ask every worker at once; the answers by name, without those that gave none."""
        views = [view for view in self._context.workers() if only in (None, view.name)]
        answers = await asyncio.gather(*(self._ask(view, method, path) for view in views))
        return {
            view.name: answer
            for view, answer in zip(views, answers, strict=True)
            if answer is not None
        }

    async def _ask(
        self,
        view: WorkerView,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response | None:
        if view.admin_url is None:
            return None
        try:
            return await self._client.request(
                method, view.admin_url + path, content=body, headers=headers
            )
        except httpx.HTTPError:
            return None


def _of_supervisor(view: WorkerView, *, up: bool) -> str:
    return (
        "# HELP realtime_worker_up 1: the worker answers\n"
        "# TYPE realtime_worker_up gauge\n"
        f"realtime_worker_up {int(up)}\n"
        "# HELP realtime_worker_restarts_total Starts after the worker had died\n"
        "# TYPE realtime_worker_restarts_total counter\n"
        f"realtime_worker_restarts_total {view.restarts}\n"
    )


def _passed_on(answer: httpx.Response) -> Response:
    return Response(
        answer.content,
        status_code=answer.status_code,
        media_type=answer.headers.get("content-type", "application/json"),
    )
