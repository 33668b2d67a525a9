"""The machine's clock and randomness."""

import secrets
import time


class SystemClock:
    """The clock of the machine."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary point, never going back."""
        return time.monotonic()


class SystemEntropy:
    """The randomness of the operating system."""

    def token(self, size_bytes: int) -> bytes:
        """Return *size_bytes* random bytes."""
        return secrets.token_bytes(size_bytes)
