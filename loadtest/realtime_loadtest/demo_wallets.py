"""The devnet's demo wallets, whose seeds it writes to a file."""

import json
import os
from pathlib import Path
from typing import Final

from realtime_protocol.schnorrq import KeyPair, keypair

DEMO_FILE: Final = Path(".realtime/devnet/demo.json")
DEMO_FILE_VARIABLE: Final = "REALTIME_LOADTEST_DEMO_FILE"


def read_demo_wallets(path: Path | None = None) -> list[KeyPair]:
    """Return the keys of the demo wallets; FileNotFoundError or ValueError say what to do."""
    path = path or Path(os.environ.get(DEMO_FILE_VARIABLE, DEMO_FILE))
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: start the product first (make run)")
    try:
        seeds = [wallet["seed"] for wallet in json.loads(path.read_bytes())["wallets"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold a devnet's demo wallets") from error
    if not seeds:
        raise ValueError(f"{path} lists no wallets")
    return [keypair(seed) for seed in seeds]
