"""Run a hub: WebSocket and REST on one port, metrics and administration on another."""

import argparse
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from realtime_cli.errors import CliError, UsageError
from realtime_cli.running import (
    add_process_options,
    announce,
    layers_of,
    run_server,
    start_log,
)
from realtime_cli.seeds import demo_identities

if TYPE_CHECKING:
    from realtime_hub.config import HubSettings

_OPTIONS: Final = ("host", "port", "admin_port", "state", "nodes", "admin", "redis_url", "workers")


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
    parser.add_argument(
        "--workers",
        type=parse_workers,
        metavar="N",
        help="processes behind the port, or auto: one for each core (1)",
    )
    # One of several workers: the supervisor says so, and by which name.
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    add_process_options(parser)


def parse_workers(text: str) -> int:
    """Return the number of workers; 0 for auto."""
    if text == "auto":
        return 0
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither a number above 0 nor auto")


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    layers = layers_of(options)
    settings = layers.hub({name: getattr(options, name) for name in _OPTIONS})
    start_log(options, settings.log_level)

    from realtime_hub.config import SettingsError, check_settings, workers_of
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
        known = demo_identities(layers)
        count = workers_of(settings, cores=len(os.sched_getaffinity(0)))
        if count == 1 or options.worker is not None:
            shares_port = options.worker is not None
            hub = run_hub(settings, ready=ready, demo_identities=known, shares_port=shares_port)
            return run_server(hub, options)
        from realtime_cli.supervisor import run_workers

        check_settings(settings, demo_identities=known)
        return run_server(
            run_workers(settings, count, partial(worker_arguments, options), ready=ready), options
        )
    except SettingsError as error:
        raise UsageError(str(error)) from error
    except JournalLocked as error:
        raise CliError(str(error)) from error
    except RegistryError as error:
        raise CliError(f"{error}; restore {settings.state}/registry.sqlite3 from a copy") from error


def worker_arguments(options: argparse.Namespace, name: str, settings: "HubSettings") -> list[str]:
    """Return the options of one worker: those given here, behind the port that is shared."""
    words = ["--worker", name, "--port", str(settings.port), "--admin-port", "0"]
    for option in ("host", "state", "admin", "redis_url"):
        value = getattr(options, option)
        if value is not None:
            words += [f"--{option.replace('_', '-')}", str(value)]
    for node in options.nodes or ():
        words += ["--node", node]
    if options.config is not None:
        words += ["--config", str(options.config)]
    if options.log_file is not None:
        # Each turns its own file over when that is full.
        file = options.log_file.with_stem(f"{options.log_file.stem}-{name}")
        words += ["--log-file", str(file)]
    return words


def describe(info: Any) -> dict[str, Any]:
    """Return what a parent wants to know."""
    return {"url": info.url, "rest_url": info.rest_url, "admin_url": info.admin_url}
