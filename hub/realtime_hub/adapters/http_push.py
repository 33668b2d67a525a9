"""Hands SETs to a receiver over HTTP (RFC 8935), each in a request of its own."""

import asyncio
import http.client
import json
import ssl
from typing import Final
from urllib.parse import urlsplit

from realtime_hub.export.ports import Delivery, Outcome

TIMEOUT_S: Final = 10.0
_ANSWER_BYTES_MAX: Final = 4_096
_WHY_LETTERS_MAX: Final = 200
# Codes of RFC 8935, 2.4, that speak of this one event; the others speak of the stream.
_EVENTS_FAULT: Final = frozenset({"invalid_request"})


class HttpReceiver:
    """One endpoint. *token* is sent as a bearer token; redirects are not followed."""

    def __init__(self, url: str, token: str | None, *, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path + (f"?{parts.query}" if parts.query else "") or "/"
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/secevent+jwt", "Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._tls = ssl.create_default_context() if self._secure else None

    async def push(self, signed_event: str) -> Outcome:
        """Hand one SET over, away from the event loop."""
        return await asyncio.to_thread(self._push, signed_event.encode())

    def _push(self, body: bytes) -> Outcome:
        connection = self._connect()
        try:
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            answer = response.read(_ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException) as error:
            why = f"{self._host} can't be reached: {error or type(error).__name__}"
            return Outcome(Delivery.FAILED, why[:_WHY_LETTERS_MAX])
        finally:
            connection.close()
        if response.status == 202:
            return Outcome(Delivery.TAKEN)
        code = _error_code(answer)
        why = f"{self._host} answered {response.status} {code}".rstrip()
        refused = response.status == 400 and code in _EVENTS_FAULT
        return Outcome(Delivery.REFUSED if refused else Delivery.FAILED, why)

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=self._tls
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)


def _error_code(answer: bytes) -> str:
    try:
        code = json.loads(answer)["err"]
    except (ValueError, TypeError, KeyError):
        return ""
    return code[:32] if isinstance(code, str) and code.isprintable() else ""
