"""Time and randomness as ports, so that the domains take both as arguments."""

from typing import Protocol


class Clock(Protocol):
    """Tells the time. Deadlines within the process use the monotonic clock."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary point, never going back."""
        ...


class Entropy(Protocol):
    """Gives unpredictable bytes."""

    def token(self, size_bytes: int) -> bytes:
        """Return *size_bytes* random bytes."""
        ...
