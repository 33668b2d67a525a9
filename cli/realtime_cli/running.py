"""Runs a server as a program: signals, readiness, logs, and errors in one line."""

import argparse
import asyncio
import contextlib
import json
import logging
import logging.handlers
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from realtime_cli.errors import CliError
from realtime_cli.settings import Layers

LOG_BYTES_MAX: Final = 10_000_000
"""A log file that grows beyond is set aside once, replacing what was set aside before."""
STARTING_S: Final = 3.0
"""So long only errors reach the terminal; the file has everything."""


def add_process_options(parser: argparse.ArgumentParser) -> None:
    """Add what `realtime dev` tells the servers that it starts."""
    parser.add_argument("--log-file", type=Path, metavar="FILE", help="write the log there")
    # A parent reads one line of JSON from this descriptor once the ports answer.
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    # A child whose parent was killed must not live on: its standard input ends then.
    parser.add_argument("--ends-with-stdin", action="store_true", help=argparse.SUPPRESS)


def layers_of(options: argparse.Namespace) -> Layers:
    """Return the settings that file and environment give."""
    return Layers(Path(options.config) if options.config else None, os.environ)


def start_log(options: argparse.Namespace, level: str) -> None:
    """Write the log to its file, with warnings on standard error too; or all to the latter."""
    from realtime_hub.log import FloodFilter, JsonFormatter, start_logging

    if options.log_file is None:
        start_logging(level, time.monotonic)
        return
    options.log_file.parent.mkdir(parents=True, exist_ok=True)
    file = logging.handlers.RotatingFileHandler(
        options.log_file, maxBytes=LOG_BYTES_MAX, backupCount=1, encoding="utf-8"
    )
    file.setFormatter(JsonFormatter())
    file.addFilter(FloodFilter(time.monotonic))
    people = logging.StreamHandler(sys.stderr)
    people.setLevel(logging.WARNING)
    people.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    people.addFilter(FloodFilter(time.monotonic))
    people.addFilter(_quiet_until(time.monotonic() + STARTING_S))
    root = logging.getLogger()
    root.handlers[:] = [file, people]
    root.setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _quiet_until(end_s: float) -> Callable[[logging.LogRecord], bool]:
    """Return a filter that keeps what is usual while parts find each other off the terminal."""
    return lambda record: record.levelno >= logging.ERROR or time.monotonic() >= end_s


def announce(options: argparse.Namespace, facts: dict[str, Any], text: str) -> None:
    """Tell a parent, or the terminal, that the ports answer."""
    if options.ready_fd is None:
        print(text, flush=True)
        return
    with os.fdopen(options.ready_fd, "w", encoding="utf-8") as pipe:
        pipe.write(json.dumps(facts) + "\n")


def run_server(server: Coroutine[Any, Any, None], options: argparse.Namespace) -> int:
    """Run *server* until SIGINT or SIGTERM; errors for people become CliError."""
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signal(server, options.ends_with_stdin))
    except OSError as error:
        raise CliError(error.strerror or str(error)) from error
    return 0


async def _until_signal(server: Coroutine[Any, Any, None], ends_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    task = loop.create_task(server)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop_once, task)
    if ends_with_stdin:
        loop.add_reader(sys.stdin.fileno(), _stop_at_end, loop, task)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _stop_once(task: asyncio.Task[None]) -> None:
    """Begin to end. Told again, it goes on ending: the goodbyes aren't cut short."""
    if not task.cancelling():
        task.cancel()


def _stop_at_end(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        _stop_once(task)
