"""The devnet's demo wallets and its administrator, whose seeds it writes to a file."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from realtime_protocol.schnorrq import KeyPair, keypair

DEMO_FILE: Final = Path(".realtime/devnet/demo.json")
DEMO_FILE_VARIABLE: Final = "REALTIME_LOADTEST_DEMO_FILE"


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who may change trust on the devnet, and through which contract."""

    keys: KeyPair
    contract_index: int


def read_demo_wallets(path: Path | None = None) -> list[KeyPair]:
    """Return the keys of the demo wallets; FileNotFoundError or ValueError say what to do."""
    path, demo = _read(path)
    try:
        seeds = [wallet["seed"] for wallet in demo["wallets"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold a devnet's demo wallets") from error
    if not seeds:
        raise ValueError(f"{path} lists no wallets")
    return [keypair(seed) for seed in seeds]


def read_administrator(path: Path | None = None) -> Administrator:
    """Return the devnet's administrator; FileNotFoundError or ValueError say what to do."""
    path, demo = _read(path)
    try:
        return Administrator(keypair(demo["admin_seed"]), int(demo["contract_index"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not hold a devnet's administrator") from error


def _read(path: Path | None) -> tuple[Path, Any]:
    path = path or Path(os.environ.get(DEMO_FILE_VARIABLE, DEMO_FILE))
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: start the product first (make run)")
    try:
        return path, json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} does not hold a devnet's demo wallets") from error
