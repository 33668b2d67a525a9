"""The machine's clock and randomness."""

import secrets
from time import monotonic, time_ns


class SystemClock:
    """The clock of the machine."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return time_ns() // 1_000_000

    monotonic_s = staticmethod(monotonic)
    """Seconds from an arbitrary point, never going back."""


class SystemEntropy:
    """The randomness of the operating system."""

    def token(self, size_bytes: int) -> bytes:
        """Return *size_bytes* random bytes."""
        return secrets.token_bytes(size_bytes)
