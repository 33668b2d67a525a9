"""What a hub needs of the place where it is to run: settings, ports, Redis, files, packages."""

import asyncio
import errno
import json
import resource
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import urlsplit

from realtime_cli.errors import UsageError
from realtime_cli.findings import Finding, fine, hint, wrong
from realtime_cli.seeds import demo_identities
from realtime_cli.settings import Layers
from realtime_devnet.settings import DevnetSettings
from realtime_hub.config import DEVNET_CHAIN, HubSettings, SettingsError, check_settings

PACKAGES: Final = ("msgspec", "pynacl", "websockets")
HUB_PACKAGES: Final = ("uvloop", "uvicorn", "httptools", "starlette", "redis")
PROBE_S_MAX: Final = 2.0
ANSWER_BYTES_MAX: Final = 1 << 20
FILES_BESIDE_SESSIONS: Final = 256
"""Listeners, journals, Redis, nodes, and connections that are just being accepted."""
_ANYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (asked, not bound)


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


@dataclass(frozen=True, slots=True)
class Settings:
    """What was read; *devnet* is None where the hub belongs to another chain."""

    hub: HubSettings
    devnet: DevnetSettings | None


def check_settings_of(read_layers: Callable[[], Layers]) -> tuple[Finding, Settings | None]:
    """Read and check all settings; return them when they can be used."""
    name = "settings"
    try:
        layers = read_layers()
        hub, devnet = layers.hub(), layers.devnet()
        check_settings(hub, demo_identities=demo_identities(layers))
    except (UsageError, SettingsError) as error:
        return wrong(name, str(error), "mend that setting (docs/reference/settings.md)"), None
    found = Settings(hub, devnet if hub.chain == DEVNET_CHAIN else None)
    return fine(name, f"chain {hub.chain}, hub at {hub.uri}"), found


@dataclass(frozen=True, slots=True)
class _Port:
    """A port that a setting names, and how its owner is known when it is there already."""

    setting: str
    host: str
    number: int
    owner: str
    trouble_at: Callable[[str], str | None]
    """Gets the port's URL; OSError, ValueError or HTTPException when the owner doesn't answer."""

    @property
    def url(self) -> str:
        """Where the owner would be reached from here."""
        near = _ANYWHERE.get(self.host, self.host)
        return f"http://{f'[{near}]' if ':' in near else near}:{self.number}"


def check_ports(settings: HubSettings) -> Iterator[Finding]:
    """Tell whether the hub's two ports are free, or a hub is there already and ready."""
    public = _Port("hub.port", settings.host, settings.port, "hub", _trouble_of_hub)
    yield _check_port(public)
    host, number = settings.admin_host, settings.admin_port
    yield _check_port(_Port("hub.admin_port", host, number, "hub", _trouble_of_admin))


def check_devnet_ports(settings: DevnetSettings) -> Iterator[Finding]:
    """Tell it of the devnet's ports. Its node is taken at the word of its HTTP API."""
    host = settings.host
    http = _Port("devnet.http_port", host, settings.http_port, "devnet", _trouble_of_devnet)
    yield _check_port(http)
    node = _Port(
        "devnet.node_port",
        host,
        settings.node_port,
        "devnet",
        lambda _: _trouble_of_devnet(http.url),
    )
    yield _check_port(node)


def _check_port(port: _Port) -> Finding:
    name, place, owner = port.setting, f"{port.host}:{port.number}", port.owner
    if port.number == 0:
        return fine(name, "the system chooses one")
    problem = _try_to_listen(port.host, port.number)
    if problem is None:
        return fine(name, f"{place} is free", state="free")
    move = f"set {name} (REALTIME_{name.upper().replace('.', '_')}) to another port"
    if problem.errno != errno.EADDRINUSE:
        return wrong(name, f"can't listen on {place}: {problem.strerror}", move)
    try:
        trouble = port.trouble_at(port.url)
    except (OSError, ValueError, HTTPException):
        return wrong(
            name, f"{place} is taken, and not by a {owner}", f"{move}, or stop what is there"
        )
    if trouble is not None:
        return wrong(name, f"the {owner} on {place} isn't ready: {trouble}", "see its log")
    return fine(name, f"a {owner} runs on {place}", state=owner)


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


def _trouble_of_devnet(url: str) -> None:
    if b"tickInfo" not in _get(f"{url}/live/v1/tick-info"):
        raise ValueError("no devnet's answer")


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
    place = urlsplit(url).netloc.rpartition("@")[2]  # Before it there may be a password.
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
