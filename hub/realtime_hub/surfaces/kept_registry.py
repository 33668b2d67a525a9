"""The registry that this hub keeps, for hubs that follow it."""

import base64
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.registry import Registry, RegistryEntry
from realtime_protocol.versions import REST_PREFIX

NUMBER_DIGITS_MAX: Final = 15


class KeptRegistry(Protocol):
    """What the route needs of the registry."""

    @property
    def table(self) -> Registry:
        """The table as far as it has been read."""
        ...

    async def entries_after(self, number: int) -> Sequence[RegistryEntry]:
        """Return up to 256 entries that follow the one with that number."""
        ...


def registry_route(registry: KeptRegistry) -> Route:
    """Return ``GET /api/v1/registry?after=N``: the entries after N, and where the chain ends.

    Public, as the contract's state would be. It needs no signature of this hub: each entry carries
    the administrator's.
    """

    async def page(request: Request) -> Response:
        after = _after(request.query_params.get("after", "0"))
        entries = await registry.entries_after(after)
        table = registry.table
        body = {
            "name": table.name,
            "number": table.number,
            "hash": table.hash.hex(),
            "entries": [_shown(entry) for entry in entries if entry.number <= table.number],
        }
        headers = {"Cache-Control": "no-store"}
        return Response(msgspec.json.encode(body), media_type="application/json", headers=headers)

    return Route(f"{REST_PREFIX}/registry", page, methods=["GET"])


def _after(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX):
        raise RequestError(ErrorCode.BAD_MESSAGE, "after: the number of an entry, 0 for all")
    return int(text)


def _shown(entry: RegistryEntry) -> dict[str, object]:
    return {
        "number": entry.number,
        "signed_tx": base64.b64encode(entry.signed_tx).decode(),
        "accepted_ms": entry.accepted_ms,
        "hash": entry.hash.hex(),
    }
