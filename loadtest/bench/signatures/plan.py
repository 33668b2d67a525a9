"""What is measured of each engine, and how often in one round."""

from typing import Final

from bench.signatures.engines import PURE
from realtime_protocol.schnorrq import Engine
from realtime_protocol.signature_timing import SignatureWorks, Work

BATCH_SIZES: Final = (1, 8, 64, 1_024)

NEW_KEY: Final = "verify, new key"
KNOWN_KEY: Final = "verify, known key"
SIGN: Final = "sign"
KEYGEN: Final = "public key"
HASH: Final = "k12 of 64 bytes"
REFUSE: Final = "verify, refused for its length"


def new_keys(size: int) -> str:
    """Name the work."""
    return f"batches of {size:,}, new keys"


def known_keys(size: int) -> str:
    """Name the work."""
    return f"batches of {size:,}, known keys"


def plan_works(name: str, engine: Engine) -> dict[str, Work]:
    """Return the works of one engine. Pure Python does less of each: it takes milliseconds."""
    works, is_quick = SignatureWorks(engine), name != PURE
    times, often = (64, 2_000) if is_quick else (2, 20)
    plan = {NEW_KEY: works.verify_cold(times), KNOWN_KEY: works.verify_cached(times)}
    # It has no lanes: a batch is as quick as its parts.
    sizes = BATCH_SIZES if is_quick else BATCH_SIZES[:2]
    for size in sizes:
        batches = max(1, times // size)
        plan[new_keys(size)] = works.batch_cold(size, batches=batches)
        plan[known_keys(size)] = works.batch_cached(size, batches=batches)
    plan[SIGN] = works.sign(times)
    plan[KEYGEN] = works.keygen(times)
    plan[HASH] = works.hash_short(often)
    plan[REFUSE] = works.refuse(often)
    return plan
