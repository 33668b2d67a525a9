"""What the session of a backend holds beside: its API key, and what it acknowledged."""

from collections.abc import Iterable
from typing import Final

from realtime_hub.apps.model import ApiKey
from realtime_hub.session.receipts import Receipts
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError

SERVICE_SCOPES: Final = ("service", "trust")
"""A backend reads trust and follows it; it has no wallet that could quote or pay."""


class ServiceSeat:
    """One backend's session."""

    __slots__ = ("_receipts", "key")

    def __init__(self, key: ApiKey) -> None:
        self.key = key
        self._receipts: dict[int, Receipts] = {}

    def follow(self, number: int) -> Receipts:
        """Keep receipts of a further subscription."""
        receipts = self._receipts[number] = Receipts()
        return receipts

    def forget(self, number: int) -> None:
        """The subscription ended."""
        self._receipts.pop(number, None)

    def acknowledge(self, number: int, offset: int) -> None:
        """Take a receipt; RequestError 103 for a subscription that isn't there."""
        receipts = self._receipts.get(number)
        if receipts is None:
            raise RequestError(ErrorCode.BAD_MESSAGE, f"there is no subscription {number}")
        receipts.acknowledge(offset)

    def has_all(self, offset: int) -> bool:
        """Whether everything up to *offset* that was sent was acknowledged."""
        return not any(receipts.lacks(offset) for receipts in self._receipts.values())

    def is_late(self, now_s: float) -> bool:
        """Whether a change has waited too long for its receipt."""
        # Each is asked, so that each notes what it waits for.
        return any(_late(self._receipts.values(), now_s))


def _late(receipts: Iterable[Receipts], now_s: float) -> list[bool]:
    return [each.is_late(now_s) for each in receipts]
