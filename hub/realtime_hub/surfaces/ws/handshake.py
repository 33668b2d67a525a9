"""Who may open a WebSocket connection, decided before anything of a session exists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Final

from websockets.datastructures import Headers

from realtime_hub.session.context import HubContext
from realtime_protocol.versions import WEBSOCKET_PATH

VERSION: Final = "13"
FULL_RETRY_S: Final = 5
"""What a client is told when there is no room for it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An upgrade that is answered with an HTTP error."""

    status: HTTPStatus
    text: str
    retry_after_s: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says beside its text."""
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status is HTTPStatus.UPGRADE_REQUIRED:
            headers |= {"Upgrade": "websocket", "Sec-WebSocket-Version": VERSION}
        return headers


def admit(
    context: HubContext, *, address: str, origins: Sequence[str], now_s: float
) -> str | Refusal:
    """Return the domain that the users of a client sign for, or why it isn't let in.

    *origins*: the Origin headers that it sent.
    """
    registry, settings = context.registry, context.settings
    wait_ms = registry.addresses.try_upgrade(address, now_s=now_s)
    return refuse_for_room(wait_ms=wait_ms, is_full=registry.is_full) or domain_of(
        origins, served=settings.origins, without_origin=context.domain_without_origin
    )


def refuse_for_room(*, wait_ms: int, is_full: bool) -> Refusal | None:
    """Refuse an address that comes too often, or everybody when the hub is full."""
    if wait_ms:
        return Refusal(
            HTTPStatus.TOO_MANY_REQUESTS,
            "Too many connections from this address in too short a time.\n",
            ceil(wait_ms / 1_000),
        )
    if is_full:
        return Refusal(
            HTTPStatus.SERVICE_UNAVAILABLE, "The hub takes no more connections now.\n", FULL_RETRY_S
        )
    return None


def refuse_for_path(path: str) -> Refusal | None:
    """Refuse every path but the one of sessions."""
    if path.partition("?")[0] == WEBSOCKET_PATH:
        return None
    return Refusal(HTTPStatus.NOT_FOUND, f"Sessions are at {WEBSOCKET_PATH}.\n")


def refuse_for_host(headers: Headers) -> Refusal | None:
    """Refuse a request that doesn't say, once, which host it means (RFC 9112, section 3.2)."""
    if len(headers.get_all("Host")) == 1:
        return None
    return Refusal(HTTPStatus.BAD_REQUEST, "Exactly one Host header is needed.\n")


def refuse_for_version(headers: Headers) -> Refusal | None:
    """Refuse another version of WebSocket than RFC 6455's."""
    versions = headers.get_all("Sec-WebSocket-Version")
    if not versions or VERSION in versions:
        return None
    return Refusal(HTTPStatus.UPGRADE_REQUIRED, f"WebSocket version {VERSION} is spoken here.\n")


def refuse_address() -> Refusal:
    """Refuse an address that has too many connections open."""
    return Refusal(
        HTTPStatus.TOO_MANY_REQUESTS,
        "This address has too many connections open.\n",
        FULL_RETRY_S,
    )


def refuse_for_subprotocols(served: Sequence[str], words: str = "") -> Refusal:
    """Refuse a client that offers none of those *served*, after *words* of what else is wrong."""
    return Refusal(HTTPStatus.BAD_REQUEST, f"{words}Subprotocols: {', '.join(served)}\n")


def domain_of(
    sent: Sequence[str], *, served: Mapping[str, str], without_origin: str | None
) -> str | Refusal:
    """Return the domain that this client's users sign for.

    A browser always sends its page's Origin, so a page can't pretend to be a native client; the
    origin ``null`` says nothing and is never let in.
    """
    if len(sent) > 1:
        return Refusal(HTTPStatus.BAD_REQUEST, "More than one Origin header.\n")
    if not sent:
        if without_origin is None:
            return Refusal(HTTPStatus.FORBIDDEN, "This hub serves no client without an Origin.\n")
        return without_origin
    domain = None if sent[0] == "null" else served.get(sent[0])
    if domain is None:
        return Refusal(HTTPStatus.FORBIDDEN, "This Origin is not served here.\n")
    return domain
