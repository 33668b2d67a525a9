"""Where grants are kept, for whichever hub a key logs in at."""

from collections.abc import Callable, Sequence
from typing import Protocol

from realtime_hub.auth.grants import Grants
from realtime_protocol.identity import PublicKey


class GrantsUnavailable(Exception):  # noqa: N818 - names a state of the world, not a mistake
    """The store could not be reached in time; whether it did what was asked is not known."""


class GrantStore(Protocol):
    """Keeps each wallet's grants as one record. Raises GrantsUnavailable.

    Losing one is allowed: its key can't log in then. Bringing one back that was revoked isn't.
    """

    async def load(self, wallets: Sequence[PublicKey]) -> list[Grants]:
        """Return each wallet's grants, in the order asked; those that ran out may be among them."""
        ...

    async def swap(self, wallet: PublicKey, before: Grants, after: Grants) -> bool:
        """Put *after* in the place of *before* in one step; False when that isn't what is there."""
        ...

    async def tell(self, grant_ids: Sequence[bytes]) -> None:
        """Tell the other hubs that these grants were revoked. It may get lost."""
        ...

    async def follow(self, on_revoked: Callable[[bytes], None]) -> None:
        """Tell for ever of grants that another hub revoked."""
        ...
