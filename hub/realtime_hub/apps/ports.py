"""What the apps need of their store."""

from collections.abc import Sequence
from typing import Protocol

from realtime_hub.apps.model import ApiKey, AppBlock


class StoreUnavailable(OSError):  # noqa: N818 - a state of the disk, not a mistake
    """The store can't be read or written now; what was read before stands."""


class AppStore(Protocol):
    """Keys and block lists, kept in a file that several processes may share.

    Every method may raise StoreUnavailable.
    """

    def version(self) -> int:
        """Return a number that changes when another process wrote."""
        ...

    def keys(self) -> Sequence[ApiKey]:
        """Return every key, those included that are not good any more."""
        ...

    def blocks(self) -> Sequence[AppBlock]:
        """Return every block of every app, and those that ended not long ago."""
        ...

    def put_block(self, block: AppBlock) -> None:
        """Keep a block; it replaces the one of the same app and wallet. ValueError when full."""
        ...

    def end_block(self, app: str, wallet: bytes, *, at_ms: int) -> bool:
        """Take a block back; False when there was none."""
        ...
