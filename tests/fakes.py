"""Clock and randomness that tests steer."""

import random
from dataclasses import dataclass


@dataclass
class FakeClock:
    """A clock that stands still until it is moved."""

    epoch_ms: int = 1_764_000_000_000
    seconds: float = 1_000.0

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self.epoch_ms

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary start."""
        return self.seconds

    def advance_ms(self, milliseconds: int) -> None:
        """Move both clocks on."""
        self.epoch_ms += milliseconds
        self.seconds += milliseconds / 1000


class SeededEntropy:
    """Bytes that a seed decides."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def token(self, size_bytes: int) -> bytes:
        """Return the next *size_bytes* bytes."""
        return self._random.randbytes(size_bytes)
