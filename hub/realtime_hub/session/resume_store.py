"""Where the families of resume tokens are kept, by whichever hub may be asked for them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from realtime_hub.session.resume import Family
from realtime_protocol.identity import PublicKey

HUB_ID_BYTES: Final = 8


class StoreUnavailable(Exception):  # noqa: N818 - names a state of the world, not a mistake
    """The store could not be reached in time; whether it did what was asked is not known."""


@dataclass(frozen=True, slots=True)
class Move:
    """A change of one family: from what was read to what follows; None is absence."""

    key: bytes
    before: Family | None
    after: Family | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the store has for a living session."""

    family: Family | None
    ended_ms: int
    """The wallet's sessions that were opened up to here are over; 0: none."""


class ResumeStore(Protocol):
    """Keeps a family for a while after it was written or renewed. Raises StoreUnavailable.

    Losing one is allowed: its client logs in again. Going back to an older one isn't.
    """

    @property
    def hub_id(self) -> bytes:
        """Names this hub in 8 bytes, with which the name of each of its connections begins."""
        ...

    async def load(self, key: bytes) -> Family | None:
        """Return a family."""
        ...

    async def swap(self, moves: Sequence[Move]) -> list[bool]:
        """Make each move in one step if the family is still what was read; tell which were made.

        When that takes a session from another hub's connection, that hub is told.
        """
        ...

    async def renew(self, held: Sequence[tuple[bytes, PublicKey]]) -> list[Standing]:
        """Keep these families, each with its wallet, for as long again; return what stands."""
        ...

    async def now_ms(self) -> int:
        """Return epoch ms by the one clock that all hubs of this store share."""
        ...

    async def ended_ms(self, wallet: PublicKey) -> int:
        """Return up to when this wallet's sessions are over; 0: none."""
        ...

    async def end_all(self, wallet: PublicKey) -> int:
        """Let all of a wallet's sessions be over, tell every hub, and return up to when."""
        ...

    async def follow(
        self,
        on_family: Callable[[bytes, Family | None], None],
        on_wallet: Callable[[PublicKey, int], None],
    ) -> None:
        """Tell for ever of families that were taken from this hub's connections, and of logouts.

        What is told may be lost; `renew` shows the same.
        """
        ...
