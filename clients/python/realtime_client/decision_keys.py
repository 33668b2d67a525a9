"""The public keys with which a hub signs decisions, kept up to date."""

import asyncio
import json
import urllib.request
from collections.abc import Mapping
from typing import Final

REFRESH_S: Final = 300.0
"""A hub publishes a new key for at least so long before it signs."""
RETRY_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 65_536
TIMEOUT_S: Final = 10.0


class DecisionKeys:
    """Fetches ``/api/v1/keys`` of the hub at *url* (https) and again every REFRESH_S.

    Use it with ``async with``, and call it for the keys by key id. What it knows stays when the hub
    can't be reached; who must not depend on that pins the keys instead.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith(("https://", "http://")):
            raise ValueError(f"{url!r} is not like https://hub.example.org/api/v1")
        self._url = f"{url.rstrip('/')}/keys"
        self._keys: Mapping[bytes, bytes] = {}
        self._running: asyncio.Task[None] | None = None

    def __call__(self) -> Mapping[bytes, bytes]:
        """Return the keys that are published now."""
        return self._keys

    async def __aenter__(self) -> "DecisionKeys":
        await self._fetch()
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _run(self) -> None:
        pause_s = REFRESH_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self._fetch()
            except (OSError, ValueError, KeyError, TypeError):
                pause_s = RETRY_S
            else:
                pause_s = REFRESH_S

    async def _fetch(self) -> None:
        content = await asyncio.to_thread(_get, self._url)
        self._keys = parse_decision_keys(content)


def parse_decision_keys(content: bytes) -> dict[bytes, bytes]:
    """Return the decision keys in an answer of ``/api/v1/keys``; ValueError, KeyError."""
    return {
        bytes.fromhex(key["key_id"]): bytes.fromhex(key["public_key"])
        for key in json.loads(content)["keys"]
        if key["purpose"] == "decision"
    }


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  (http, https)
        content: bytes = answer.read(ANSWER_BYTES_MAX)
    return content
