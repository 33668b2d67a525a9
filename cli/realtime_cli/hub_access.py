"""How the client commands reach a hub, and what its errors look like to people."""

import argparse
import asyncio
import base64
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from realtime_cli.errors import CliError
from realtime_cli.seeds import find_seed
from realtime_cli.settings import Layers
from realtime_client import (
    ConnectionLostError,
    HubError,
    OutcomeUnknownError,
    RealtimeError,
    Wallet,
    connect,
)
from realtime_protocol.identity import PublicKey, parse_identity
from realtime_protocol.versions import REST_PREFIX

HTTP_TIMEOUT_S: Final = 10
ANSWER_BYTES_MAX: Final = 1 << 20
ORDER_TRIES_MAX: Final = 10
ORDER_PAUSE_MS: Final = 1_000
Result = TypeVar("Result")


class NotThereError(CliError):
    """The hub has nothing under that path; the text says what, if it told."""


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where a hub is, and the domain that its native clients sign for."""

    url: str
    domain: str

    @property
    def rest_url(self) -> str:
        """Where its REST surface is."""
        parts = urlsplit(self.url)
        scheme = "https" if parts.scheme == "wss" else "http"
        return f"{scheme}://{parts.netloc}{REST_PREFIX}"


def add_hub_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which hub."""
    parser.add_argument("--url", help="the hub (default: the one of the settings)")
    parser.add_argument("--domain", help="the domain in the login text (default: the hub's host)")


def find_hub(options: argparse.Namespace, layers: Layers) -> HubAddress:
    """Return the hub that the options or the settings name."""
    if options.url is not None:
        return HubAddress(options.url, options.domain or urlsplit(options.url).netloc)
    hub = layers.hub()
    return HubAddress(hub.uri, options.domain or hub.domain_without_origin or "")


def find_wallet(options: argparse.Namespace, layers: Layers) -> Wallet:
    """Return the wallet that the options name."""
    return Wallet.from_seed(find_seed(options, layers, os.environ))


def open_session(hub: HubAddress, wallet: Wallet, **options: Any) -> connect:
    """Return the session's context."""
    return connect(hub.url, wallet, domain=hub.domain, **options)


def parse_wallet(text: str) -> PublicKey:
    """Return the key of 60 letters; CliError (2) when they are none."""
    try:
        return parse_identity(text)
    except ValueError as error:
        raise CliError(f"{text[:80]!r}: {error}", status=2) from error


def run_plain(ask: Callable[[], Result]) -> Result:
    """Ask over HTTP; a refusal becomes one line."""
    try:
        return ask()
    except HubError as error:
        raise CliError(describe(error)) from error


def run_client(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a client command; the client's errors become one line."""
    try:
        return asyncio.run(work)
    except HubError as error:
        raise CliError(describe(error)) from error
    except OutcomeUnknownError as error:
        raise CliError(f"{error} (txid {error.txid.hex()}, idem {error.idem.hex()})") from error
    except ConnectionLostError as error:
        raise CliError(f"{error}; is a hub running there? (realtime dev)") from error
    except RealtimeError as error:
        raise CliError(str(error)) from error
    except ValueError as error:
        raise CliError(str(error), status=2) from error


def describe(error: HubError) -> str:
    """Return a refusal as people read it: code, what happened, what to do."""
    message = error.message or error.advice
    advice = "" if message == error.advice else f" ({error.advice})"
    return f"{int(error.code)} {error.name}: {message}{advice}"


def get_json(url: str) -> Any:
    """Return the JSON behind *url*; a problem+json becomes a HubError."""
    return _exchange(urllib.request.Request(url))  # noqa: S310  (http or https by construction)


def post_json(url: str, body: object = None) -> Any:
    """Post *body* as JSON and return the answer's; a problem+json becomes a HubError."""
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    return _exchange(
        urllib.request.Request(url, data=data, headers=headers)  # noqa: S310  (http or https)
    )


def add_admin_options(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the administrator's port is."""
    parser.add_argument(
        "--admin-url", metavar="URL", help="the administrator's port (default: of the settings)"
    )


def find_admin_url(options: argparse.Namespace, layers: Layers) -> str:
    """Return where the administrator's port is."""
    if options.admin_url is not None:
        return str(options.admin_url).rstrip("/")
    hub = layers.hub()
    return f"http://{hub.admin_host}:{hub.admin_port}"


def post_trust(admin_url: str, signed_tx: bytes) -> dict[str, Any]:
    """Hand an administrator's signed transaction to the hub's administration port."""
    body = {"signed_tx": base64.b64encode(signed_tx).decode()}
    answer: dict[str, Any] = post_json(f"{admin_url}/admin/v1/trust", body)
    return answer


def hand_in_order(
    admin_url: str, signed_tx: bytes, *, pause: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """Hand an order in as :func:`post_trust` does; the same bytes again while the hub asks for it.

    Each order counts once, so this also tells what became of one whose answer was lost. HubError
    after ORDER_TRIES_MAX.
    """
    for _ in range(ORDER_TRIES_MAX - 1):
        try:
            return post_trust(admin_url, signed_tx)
        except HubError as error:
            if not error.retryable:
                raise
            pause((error.retry_after_ms or ORDER_PAUSE_MS) / 1_000)
    return post_trust(admin_url, signed_tx)


def _exchange(request: urllib.request.Request) -> Any:
    try:
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:  # noqa: S310  (see above)
            return json.loads(answer.read(ANSWER_BYTES_MAX))
    except urllib.error.HTTPError as error:
        with error:
            raise _problem(error.code, error.read(ANSWER_BYTES_MAX)) from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise CliError(
            f"can't reach {request.full_url}: {reason}; is a hub running there? (realtime dev)"
        ) from error
    except ValueError as error:
        raise CliError(f"{request.full_url} didn't answer with JSON") from error


def _problem(status: int, content: bytes) -> Exception:
    try:
        problem = json.loads(content)
        return HubError(
            int(problem["code"]),
            str(problem.get("detail", "")),
            retry_after_ms=problem.get("retry_after_ms"),
            fields=problem.get("fields"),
        )
    except (ValueError, KeyError, TypeError):
        return _problem_without_code(status, content)


def _problem_without_code(status: int, content: bytes) -> CliError:
    try:
        text = str(json.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        text = content[:200].decode(errors="replace")
    return NotThereError(text) if status == HTTPStatus.NOT_FOUND else CliError(f"{status}: {text}")
