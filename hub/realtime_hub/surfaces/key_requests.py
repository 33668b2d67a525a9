"""keys.list, keys.revoke: which keys may log in for a wallet.

A session that a key opened sees and ends its own grant only: whoever stole one key must not learn
of the others, nor shut them out.
"""

from realtime_hub.auth.grants import Grant
from realtime_hub.session.context import HubContext
from realtime_hub.session.session import LiveSession
from realtime_hub.surfaces.answers import Answer
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import (
    GrantedKey,
    KeysListReply,
    KeysListRequest,
    KeysRevokeReply,
    KeysRevokeRequest,
    SpendTerms,
)


class KeyRequests:
    """Requests about the keys that a wallet lets log in."""

    def __init__(self, context: HubContext) -> None:
        self._grants = context.auth.delegation
        self._delegates = context.delegates

    async def list(self, session: LiveSession, _body: KeysListRequest) -> Answer:
        """Tell of the living grants."""
        grants = await self._grants.grants_of(session.wallet)
        own = session.grant if session.by_key else None
        return Answer(
            KeysListReply(
                [_describe(one) for one in grants if own is None or one.grant_id == own.grant_id]
            )
        )

    async def revoke(self, session: LiveSession, body: KeysRevokeRequest) -> Answer:
        """End a grant, or all of them, with their sessions on every hub."""
        own = session.grant
        if session.by_key and (own is None or body.key != own.terms.key):
            raise RequestError(
                ErrorCode.FORBIDDEN_SCOPE,
                "a session that a key opened revokes that key only; log in with the wallet",
            )
        if own is None or body.key not in (None, own.terms.key):
            return Answer(KeysRevokeReply(await self._grants.revoke(session.wallet, body.key)))
        # It ends with its own grant, but hears the reply first.
        self._delegates.leave(session, own)
        try:
            revoked = await self._grants.revoke(session.wallet, body.key)
        except RequestError:
            if not session.ended:
                self._delegates.hold(session, session.wallet, own)
            raise
        return Answer(
            KeysRevokeReply(revoked), then=lambda: session.fail(CloseCode.SESSION_REVOKED)
        )


def _describe(grant: Grant) -> GrantedKey:
    terms = grant.terms
    return GrantedKey(
        key=terms.key,
        scopes=list(terms.scopes),
        until_ms=terms.until_ms,
        domain=terms.domain,
        created_ms=grant.created_ms,
        last_used_ms=grant.last_used_ms,
        spends=[SpendTerms(one.wallet, one.max_qu, one.until_ms) for one in terms.spends],
    )
