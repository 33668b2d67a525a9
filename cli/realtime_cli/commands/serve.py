"""Run a hub: WebSocket and REST on one port, metrics and administration on another."""

import argparse
from typing import Any, Final

from realtime_cli.errors import CliError, UsageError
from realtime_cli.running import (
    add_process_options,
    announce,
    layers_of,
    run_server,
    start_log,
)
from realtime_cli.seeds import demo_identities

_OPTIONS: Final = ("host", "port", "admin_port", "state", "nodes", "admin", "redis_url")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, metavar="N", help="WebSocket and REST (8080)")
    parser.add_argument(
        "--admin-port", type=int, metavar="N", help="metrics, administration (8082)"
    )
    parser.add_argument("--state", metavar="DIR", help="journals (.realtime/hub)")
    parser.add_argument(
        "--node", dest="nodes", action="append", metavar="HOST:PORT", help="a Qubic node"
    )
    parser.add_argument("--admin", metavar="IDENTITY", help="who may change trust")
    parser.add_argument("--redis-url", metavar="URL", help="shared memory of several hubs")
    add_process_options(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    layers = layers_of(options)
    settings = layers.hub({name: getattr(options, name) for name in _OPTIONS})
    start_log(options, settings.log_level)

    from realtime_hub.config import SettingsError
    from realtime_hub.pay.ports import JournalLocked
    from realtime_hub.server import HubInfo, run_hub
    from realtime_protocol.registry import RegistryError

    def ready(info: HubInfo) -> None:
        announce(
            options,
            describe(info),
            f"hub   {info.url}\nrest  {info.rest_url}\nadmin {info.admin_url}",
        )

    try:
        hub = run_hub(settings, ready=ready, demo_identities=demo_identities(layers))
        return run_server(hub, options)
    except SettingsError as error:
        raise UsageError(str(error)) from error
    except JournalLocked as error:
        raise CliError(str(error)) from error
    except RegistryError as error:
        raise CliError(f"{error}; restore {settings.state}/registry.sqlite3 from a copy") from error


def describe(info: Any) -> dict[str, Any]:
    """Return what a parent wants to know."""
    return {"url": info.url, "rest_url": info.rest_url, "admin_url": info.admin_url}
