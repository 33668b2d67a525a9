"""The `realtime` command. Each command's module is imported only when it is called."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from realtime_cli.errors import CliError

COMMANDS: Final = {
    "serve": "run a hub",
    "dev": "run hub and simulated Qubic network together (make run)",
    "devnet": "run the simulated Qubic network alone",
    "demo": "run the whole story: log in, pay, be blocked, with times",
    "doctor": "check installation, speed and settings; say what to do (--json)",
    "wallet": "make a wallet, show it, sign a text; keys that log in for it (new, keys, ...)",
    "login": "log in and show the session; --watch follows trust changes",
    "status": "show what a hub knows of a wallet",
    "quote": "ask for a quote; --watch follows it",
    "pay": "pay, and follow the payment to its end",
    "keys": "show a hub's keys, or put a new one in the place of an old one (list, rotate)",
    "apps": "apps that a hub serves: API keys, block lists (list, key, block, ...)",
    "trust": "orders of the administrator, and who has seen a block (set, coverage, ...)",
    "sessions": "list a hub's sessions, or show one",
    "workers": "list a hub's workers, replace them one by one, or drain (list, restart, drain)",
    "audit": "show and check what administrators did (verify, show, registry)",
}
_EXTRA: Final = {
    "serve": "hub",
    "keys": "hub",
    "audit": "hub",
    "apps": "hub",
    "dev": "hub,devnet",
    "devnet": "devnet",
    "demo": "hub,devnet",
}


class Command(Protocol):
    """What a module of `realtime_cli.commands` has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what the command takes."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Do it and return the exit status; CliError ends it with one line."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0 if given else 2
    name = given[0]
    if name == "--version":
        return _print_version()
    if name not in COMMANDS:
        return _fail(f"unknown command {name[:40]!r}; realtime --help lists them", 2)
    try:
        return _run(name, given[1:])
    except CliError as error:
        return _fail(str(error), error.status)
    except ModuleNotFoundError as error:
        if name not in _EXTRA or (error.name or "").startswith("realtime_"):
            raise
        return _fail(
            f"{name} needs {error.name}; install it with: pip install 'qubic-realtime"
            f"[{_EXTRA[name]}]'",
            1,
        )
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # Whoever read our output is gone; say nothing more.
        return 1


def _run(name: str, arguments: Sequence[str]) -> int:
    from realtime_cli.seeds import refuse_seed_arguments

    refuse_seed_arguments(arguments)
    command: Command = importlib.import_module(f"realtime_cli.commands.{name}")
    parser = argparse.ArgumentParser(
        prog=f"realtime {name}", description=(command.__doc__ or "").strip()
    )
    parser.add_argument("--config", metavar="FILE", help="settings (default: ./realtime.toml)")
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


def _overview() -> str:
    lines = ["usage: realtime COMMAND [options]", "", "Identity and value movement for Qubic.", ""]
    lines += [f"  {name:<8} {text}" for name, text in COMMANDS.items()]
    return "\n".join([*lines, "", "realtime COMMAND --help says more of each."])


def _print_version() -> int:
    from importlib.metadata import version

    print(version("qubic-realtime"))
    return 0


def _fail(message: str, status: int) -> int:
    if message:
        print(f"realtime: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
