"""The vectors of protocol/vectors/qubic.json: made by one library, recomputed by three others."""

import json
from functools import cache
from pathlib import Path
from typing import Any

_PATH = Path(__file__).parents[1] / "protocol" / "vectors" / "qubic.json"


@cache
def qubic_vectors() -> dict[str, list[dict[str, Any]]]:
    """Return the lists by name; byte strings are lower-case hex in them."""
    vectors: dict[str, list[dict[str, Any]]] = json.loads(_PATH.read_text(encoding="utf-8"))
    return vectors
