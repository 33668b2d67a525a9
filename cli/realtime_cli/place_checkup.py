"""What a hub needs of the place where it is to run: settings, ports, Redis, files, packages."""

import asyncio
import errno
import json
import resource
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import urlsplit

from realtime_cli.errors import UsageError
from realtime_cli.findings import Finding, fine, hint, wrong
from realtime_cli.seeds import demo_identities
from realtime_cli.settings import Layers
from realtime_hub.config import HubSettings, SettingsError, check_settings

PACKAGES: Final = ("msgspec", "pynacl", "websockets")
HUB_PACKAGES: Final = ("uvloop", "uvicorn", "httptools", "starlette", "redis")
PROBE_S_MAX: Final = 2.0
ANSWER_BYTES_MAX: Final = 1 << 20
FILES_BESIDE_SESSIONS: Final = 256
"""Listeners, journals, Redis, nodes, and connections that are just being accepted."""
_ANYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def check_packages() -> Iterator[Finding]:
    """Tell the versions of what does the work; a client needs no hub package."""
    found = {name: _version_of(name) for name in (*PACKAGES, *HUB_PACKAGES)}
    text = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    yield fine("packages", text, **found)
    missing = [name for name in HUB_PACKAGES if found[name] is None]
    if missing:
        yield hint(
            "hub packages",
            f"not installed: {', '.join(missing)}; no hub can run here",
            "pip install 'qubic-realtime[hub]'",
        )


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def check_settings_of(read_layers: Callable[[], Layers]) -> tuple[Finding, HubSettings | None]:
    """Read and check all settings; return the hub's when they can be used."""
    name = "settings"
    try:
        layers = read_layers()
        settings = layers.hub()
        layers.devnet()
        check_settings(settings, demo_identities=demo_identities(layers))
    except (UsageError, SettingsError) as error:
        return wrong(name, str(error), "mend that setting (docs/reference/settings.md)"), None
    return fine(name, f"chain {settings.chain}, hub at {settings.uri}"), settings


def check_ports(settings: HubSettings) -> Iterator[Finding]:
    """Tell whether the hub's two ports are free, or a hub is there already and ready."""
    yield _check_port("port", settings.host, settings.port, _trouble_of_hub)
    yield _check_port("admin_port", settings.admin_host, settings.admin_port, _trouble_of_admin)


def _check_port(key: str, host: str, port: int, trouble_of: Callable[[str], str | None]) -> Finding:
    name, variable = f"hub.{key}", f"REALTIME_HUB_{key.upper()}"
    if port == 0:
        return fine(name, "the system chooses one")
    problem = _try_to_listen(host, port)
    if problem is None:
        return fine(name, f"{host}:{port} is free", state="free")
    move = f"set {name} ({variable}) to another port"
    if problem.errno != errno.EADDRINUSE:
        return wrong(name, f"can't listen on {host}:{port}: {problem.strerror}", move)
    near = _ANYWHERE.get(host, host)
    try:
        trouble = trouble_of(f"http://{f'[{near}]' if ':' in near else near}:{port}")
    except (OSError, ValueError):
        return wrong(
            name, f"{host}:{port} is taken, and not by a hub", f"{move}, or stop what is there"
        )
    if trouble is not None:
        return wrong(
            name, f"the hub on {host}:{port} isn't ready: {trouble}", "see its log", state="hub"
        )
    return fine(name, f"a hub runs on {host}:{port}", state="hub")


def _try_to_listen(host: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError as error:
            return error
    return None


def _trouble_of_hub(url: str) -> str | None:
    """Say what isn't ready; OSError or ValueError when no hub answers."""
    readiness = json.loads(_get(f"{url}/readyz"))
    if not isinstance(readiness, dict) or not isinstance(readiness.get("parts"), dict):
        raise ValueError("no hub's answer")
    parts = [f"{part}: {state}" for part, state in readiness["parts"].items() if state != "ok"]
    return None if readiness.get("ready") is True else "; ".join(parts)


def _trouble_of_admin(url: str) -> None:
    if b"realtime_sessions" not in _get(f"{url}/metrics"):
        raise ValueError("no hub's answer")


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=PROBE_S_MAX) as answer:  # noqa: S310  (http)
            content: bytes = answer.read(ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as error:
        with error:
            content = error.read(ANSWER_BYTES_MAX)
    return content


def check_redis(url: str | None) -> Finding:
    """Tell whether the Redis that the settings name answers."""
    name = "redis"
    if url is None:
        return fine(name, "none is set: one hub alone needs none")
    parts = urlsplit(url)  # The URL itself may hold a password.
    place = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
    try:
        from realtime_hub.adapters.redis_servers import trouble_at
    except ModuleNotFoundError as error:
        return wrong(name, f"needs {error.name}", "pip install 'qubic-realtime[hub]'")
    trouble = asyncio.run(trouble_at(url))
    if trouble is not None:
        remedy = "start it, or change hub.redis_url (REALTIME_HUB_REDIS_URL)"
        return wrong(name, f"{place} doesn't answer: {trouble}", remedy)
    return fine(name, f"{place} answers")


def check_file_limit(settings: HubSettings, *, limit: int | None = None) -> Finding:
    """Tell whether the process may open a file for each session that the settings allow."""
    name = "open files"
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = settings.sessions_max + FILES_BESIDE_SESSIONS
    if limit == resource.RLIM_INFINITY or limit >= needed:
        return fine(name, f"limit {limit:,}, {needed:,} needed", limit=limit, needed=needed)
    return hint(
        name,
        f"limit {limit:,}: enough for {max(0, limit - FILES_BESIDE_SESSIONS):,} of "
        f"{settings.sessions_max:,} sessions",
        f"ulimit -n {needed} before the start, or lower hub.sessions_max",
        limit=limit,
        needed=needed,
    )
