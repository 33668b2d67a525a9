"""The administrator's view of apps: their keys and block lists. No secret passes here."""

from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import Meta, Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_hub.apps.model import ApiKey, App, AppBlock
from realtime_hub.apps.service import Apps
from realtime_hub.surfaces.problems import json_response, read_json
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, encode_identity, parse_identity


class BlockBody(Struct, forbid_unknown_fields=True):
    """POST /admin/v1/apps/{app}/blocks."""

    wallet: str
    reason: Annotated[int, Meta(ge=0, le=65_535)] = 0


def app_admin_routes(apps: Apps, keys: Callable[[], Sequence[ApiKey]]) -> list[Route]:
    """Return the routes; *keys* reads all of them, those included that are not good any more."""

    def require_app(request: Request) -> App:
        app = apps.named(request.path_params["app"])
        if app is None:
            raise HTTPException(404, "no app has this name; see [[hub.apps]] in the settings")
        return app

    async def list_apps(_request: Request) -> Response:
        return json_response({"apps": [_describe(app) for app in apps.all()]})

    async def list_keys(request: Request) -> Response:
        name = require_app(request).name
        return json_response({"keys": [describe_key(key) for key in keys() if key.app == name]})

    async def list_blocks(request: Request) -> Response:
        blocked = require_app(request).blocked.values()
        return json_response({"blocks": [_describe_block(block) for block in blocked]})

    async def block(request: Request) -> Response:
        app = require_app(request)
        body = await read_json(request, BlockBody)
        wallet = _parse_wallet(body.wallet)
        try:
            apps.block(app, wallet, reason=body.reason)
        except ValueError as error:
            raise RequestError(ErrorCode.TOO_LARGE, str(error)) from error
        return json_response(_describe_block(app.blocked[wallet]))

    async def unblock(request: Request) -> Response:
        app = require_app(request)
        if not apps.unblock(app, _parse_wallet(request.path_params["wallet"])):
            raise HTTPException(404, f"app {app.name} doesn't block this wallet")
        return json_response({"unblocked": True})

    path = "/admin/v1/apps"
    return [
        Route(path, list_apps, methods=["GET"]),
        Route(path + "/{app}/keys", list_keys, methods=["GET"]),
        Route(path + "/{app}/blocks", list_blocks, methods=["GET"]),
        Route(path + "/{app}/blocks", block, methods=["POST"]),
        Route(path + "/{app}/blocks/{wallet}", unblock, methods=["DELETE"]),
    ]


def describe_key(key: ApiKey) -> dict[str, object]:
    """Return what may be shown of a key: everything but what it is known by."""
    return {
        "key_id": key.key_id,
        "app": key.app,
        "scopes": sorted(key.scopes),
        "requests_per_s": key.requests_per_s,
        "sessions_max": key.sessions_max,
        "created_ms": key.created_ms,
        "expires_ms": key.expires_ms,
        "revoked_ms": key.revoked_ms,
    }


def _describe(app: App) -> dict[str, object]:
    return {"name": app.name, "domains": sorted(app.domains), "blocked": len(app.blocked)}


def _describe_block(block: AppBlock) -> dict[str, object]:
    return {
        "app": block.app,
        "wallet": encode_identity(block.wallet),
        "reason": block.reason,
        "at_ms": block.at_ms,
    }


def _parse_wallet(text: str) -> PublicKey:
    try:
        return parse_identity(text)
    except ValueError as error:
        raise RequestError(ErrorCode.BAD_MESSAGE, f"wallet: {error}") from error
