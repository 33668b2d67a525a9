"""What somebody wants to pay, in the words of a program."""

from collections.abc import Sequence
from dataclasses import dataclass

from realtime_client.wallet import as_public_key
from realtime_protocol import messages
from realtime_protocol.messages import AMOUNT_QU_MAX, DeadlineOf, Priority


@dataclass(frozen=True, slots=True)
class Intent:
    """A wish to pay *amount_qu* to *destination* (60 letters or 32 bytes).

    *timeout_ms* limits the way to *deadline_of*. ValueError when a value is out of its bounds.
    """

    destination: bytes | str
    amount_qu: int
    priority: Priority = Priority.SPEED
    max_fee_qu: int = 0
    timeout_ms: int = 60_000
    deadline_of: DeadlineOf = DeadlineOf.ACCEPTED
    min_reliability_ppm: int | None = None
    exclude: Sequence[str] = ()
    max_hops: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "destination", as_public_key(self.destination))
        _require_whole("amount_qu", self.amount_qu, 1, AMOUNT_QU_MAX)
        _require_whole("max_fee_qu", self.max_fee_qu, 0, AMOUNT_QU_MAX)
        _require_whole("timeout_ms", self.timeout_ms, 1, 600_000)

    def wire(self, source: bytes) -> messages.Intent:
        """Return it as it goes to the hub, paid by *source*."""
        return messages.Intent(
            source,
            as_public_key(self.destination),
            self.amount_qu,
            self.priority,
            self.max_fee_qu,
            self.timeout_ms,
            self.deadline_of,
            self.min_reliability_ppm,
            list(self.exclude),
            self.max_hops,
        )


def _require_whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {type(value).__name__}")
    if not low <= value <= high:
        raise ValueError(f"{name} {value} is not in {low}..{high}")
