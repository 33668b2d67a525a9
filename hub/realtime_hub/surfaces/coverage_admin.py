"""How far revocations have come, on the administrator's port."""

from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_hub.session.coverage import REVOCATIONS_MAX, Coverage
from realtime_hub.surfaces.problems import json_response
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError

PATH: Final = "/admin/v1/revocations"
PAGE_MAX: Final = 100


def coverage_routes(coverage: Coverage) -> list[Route]:
    """Return the routes."""

    async def newest(_request: Request) -> Response:
        return json_response({"revocations": coverage.page(limit=PAGE_MAX)})

    async def one(request: Request) -> Response:
        found = coverage.describe(parse_log_seq(request))
        if found is None:
            raise HTTPException(
                404,
                "not a block, or not among the newest "
                f"{REVOCATIONS_MAX} since this process follows the log",
            )
        return json_response(found)

    return [
        Route(PATH, newest, methods=["GET"]),
        Route(PATH + "/{log_seq}", one, methods=["GET"]),
    ]


def parse_log_seq(request: Request) -> int:
    """Return the place in the log that is asked for; RequestError 103."""
    text = request.path_params["log_seq"]
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise RequestError(ErrorCode.BAD_MESSAGE, "log_seq is a place in the trust log, digits")
    return int(text)


def add_up(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one answer for what several processes say of the same revocation."""
    whole = dict(parts[0])
    for part in parts[1:]:
        for name in ("owed", "seen", "closed", "waiting", "waiting_sessions"):
            whole[name] += part[name]
        whole["at_ms"] = min(whole["at_ms"], part["at_ms"])
    return whole
