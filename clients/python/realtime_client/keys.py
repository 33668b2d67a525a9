"""The keys that may log in for a wallet: looked at, and revoked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from realtime_protocol.messages import (
    GrantedKey,
    KeysListReply,
    KeysListRequest,
    KeysRevokeReply,
    KeysRevokeRequest,
    RequestType,
)

if TYPE_CHECKING:
    from realtime_client.session import Session


class KeysApi:
    """``session.keys``. A session that a key opened sees and revokes that key only."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    async def list(self) -> Sequence[GrantedKey]:
        """Return the living grants of the session's wallet, the oldest first."""
        reply: KeysListReply = await self._session.request(RequestType.KEYS_LIST, KeysListRequest())
        return reply.keys

    async def revoke(self, key: bytes | None = None) -> int:
        """End the grant of *key*, or without one all; return how many that were.

        Their sessions close 4504 on every hub, this one too if it stands on such a key.
        """
        body = KeysRevokeRequest(key)
        reply: KeysRevokeReply = await self._session.request(RequestType.KEYS_REVOKE, body)
        return reply.revoked
