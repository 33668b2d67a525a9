"""ping, logout, trust.get, trust.set."""

from collections.abc import Coroutine
from typing import Any, Final

from realtime_hub.apps.model import App
from realtime_hub.session.context import HubContext
from realtime_hub.session.session import NORMAL_CLOSURE, LiveSession
from realtime_hub.surfaces.answers import Answer
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    DecisionReply,
    DecisionRequest,
    Empty,
    LogoutRequest,
    PingReply,
    PingRequest,
    TrustSetRequest,
)

_EMPTY: Final = Empty()


class SessionRequests:
    """Requests about the session itself and about trust."""

    def __init__(self, context: HubContext) -> None:
        self._context = context
        self._peek = context.auth.peek_ready

    def ping(self, session: LiveSession, body: PingRequest) -> Answer:
        """Give a sign of life, with heads."""
        context = self._context
        session.heard()
        return Answer(
            PingReply(
                body.client_ms,
                context.clock.now_ms(),
                session.heads(),
                context.auth.backbone_ok,
            )
        )

    async def logout(self, session: LiveSession, body: LogoutRequest) -> Answer:
        """End this session, or all of the wallet's on every hub."""
        await session.give_up_place()
        if body.everywhere and session.seat is None:
            wallet = session.wallet
            session.leave()  # It ends with its reply, not as the others do.
            await self._context.resumes.end_all(wallet)
        return Answer(_EMPTY, then=lambda: session.end(NORMAL_CLOSURE, "logout"))

    def trust_get(
        self, session: LiveSession, wallets: list[PublicKey]
    ) -> Answer | Coroutine[Any, Any, Answer]:
        """Tell what is known of wallets: at once where memory knows."""
        app = session.app
        if app is not None and not app.blocked.keys().isdisjoint(wallets):
            return self._look_up(wallets, app)
        known = self._peek(wallets)
        return self._look_up(wallets, None) if known is None else Answer(known)

    async def _look_up(self, wallets: list[PublicKey], app: App | None) -> Answer:
        self._context.overload.require_reading()
        trusts = await self._context.auth.get(wallets)
        return Answer(trusts if app is None else list(map(app.see, wallets, trusts)))

    async def decision_get(self, session: LiveSession, body: DecisionRequest) -> Answer:
        """Sign what is known of the session's wallet, with the key that stands for it."""
        key, until_ms = session.delegate or (None, None)
        issued = await self._context.decisions.issue(
            session.wallet,
            audience=body.audience,
            nonce=body.nonce,
            session_key=key,
            session_key_until_ms=until_ms,
        )
        return Answer(DecisionReply(issued.signed))

    async def trust_set(self, session: LiveSession, body: TrustSetRequest) -> Answer:
        """Take an administrator's signed transaction."""
        return Answer(await self._context.auth.set_trust(body.signed_tx, admin=session.wallet))
