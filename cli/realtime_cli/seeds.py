"""Where a command takes a seed from: a file, the environment, or the devnet's demo wallets.

Never from an argument: those stand in the shell's history and in every process list.
"""

import argparse
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from realtime_cli.errors import UsageError
from realtime_cli.settings import SEED_VARIABLE, Layers

_SEED: Final = re.compile(r"[a-z]{55}")
_FILE_BYTES_MAX: Final = 1 << 16
ADMIN: Final = "admin"


@dataclass(frozen=True, slots=True)
class DemoSeeds:
    """The devnet's demo.json."""

    path: Path
    admin_seed: str = field(repr=False)
    wallet_seeds: tuple[str, ...] = field(repr=False)
    identities: tuple[str, ...]
    contract_index: int

    def seed(self, which: str) -> str:
        """Return the seed of wallet *which*, a number, or of the administrator."""
        if which == ADMIN:
            return self.admin_seed
        if which.isascii() and which.isdigit() and int(which) < len(self.wallet_seeds):
            return self.wallet_seeds[int(which)]
        last = len(self.wallet_seeds) - 1
        raise UsageError(f"--demo {which}: there are the demo wallets 0 to {last}, and admin")


def add_seed_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the seed is."""
    group = parser.add_argument_group(f"the wallet (or its seed in {SEED_VARIABLE})")
    group.add_argument("--seed-file", type=Path, metavar="FILE", help="a file that only you read")
    group.add_argument("--demo", metavar="N", help="demo wallet N of the devnet (or: admin)")
    group.add_argument("--demo-file", type=Path, metavar="FILE", help="another demo.json")


def refuse_seed_arguments(arguments: Sequence[str]) -> None:
    """Raise UsageError when an argument is a seed: it should have stayed out of the history."""
    for argument in arguments:
        if _SEED.fullmatch(argument.rpartition("=")[2]):
            raise UsageError(
                "a seed doesn't belong on the command line, where the shell's history keeps it; "
                f"use --seed-file or {SEED_VARIABLE}, and clear that history entry"
            )


def find_seed(options: argparse.Namespace, layers: Layers, environ: Mapping[str, str]) -> str:
    """Return the seed that the options name; UsageError when there is none, or not one."""
    if options.seed_file is not None and options.demo is not None:
        raise UsageError("give one of --seed-file and --demo")
    if options.seed_file is not None:
        return _checked(read_private(options.seed_file).strip(), str(options.seed_file))
    if options.demo is not None:
        return load_demo(options, layers).seed(options.demo)
    if SEED_VARIABLE in environ:
        return _checked(environ[SEED_VARIABLE].strip(), SEED_VARIABLE)
    raise UsageError(
        f"no wallet: give --demo 0 (on a devnet), --seed-file FILE, or set {SEED_VARIABLE}"
    )


def load_demo(options: argparse.Namespace, layers: Layers) -> DemoSeeds:
    """Return the demo wallets that the options or the devnet's settings name."""
    path = options.demo_file or layers.devnet().state_path / "demo.json"
    return read_demo(path)


def read_demo(path: Path) -> DemoSeeds:
    """Read a demo.json; UsageError says why not."""
    try:
        demo = json.loads(read_private(path))
        return DemoSeeds(
            path,
            demo["admin_seed"],
            tuple(wallet["seed"] for wallet in demo["wallets"]),
            tuple(wallet["identity"] for wallet in demo["wallets"]),
            int(demo["contract_index"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a devnet's demo.json") from error


def demo_identities(layers: Layers) -> frozenset[str]:
    """Return whose seeds lie in the devnet's demo file, the administrator's included."""
    from realtime_protocol.identity import encode_identity
    from realtime_protocol.schnorrq import keypair

    path = layers.devnet().state_path / "demo.json"
    if not path.exists():
        return frozenset()
    demo = read_demo(path)
    return frozenset({*demo.identities, encode_identity(keypair(demo.admin_seed).public_key)})


def read_private(path: Path) -> str:
    """Return a small file's text; UsageError when others may read it."""
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise UsageError(f"{path} can be read by others; run: chmod 600 {path}")
            return file.read(_FILE_BYTES_MAX).decode("ascii")
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not ASCII") from error


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read; UsageError when it is there already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already; a seed is never overwritten") from error
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def _checked(seed: str, source: str) -> str:
    if not _SEED.fullmatch(seed):
        raise UsageError(f"{source} doesn't hold a seed: 55 letters a to z")
    return seed
