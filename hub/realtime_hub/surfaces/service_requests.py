"""service, verify, ack: what only backends ask for."""

import logging
from collections.abc import Coroutine
from typing import Any, Final

from realtime_hub.apps.model import ApiKey, App, KeyScope
from realtime_hub.session.context import HubContext
from realtime_hub.session.service_seat import SERVICE_SCOPES
from realtime_hub.session.session import LiveSession
from realtime_hub.surfaces.answers import NO_ANSWER, Answer
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    AckRequest,
    LoginReply,
    Scheme,
    SignedText,
    Verdict,
)
from realtime_protocol.server import ServiceSent
from realtime_protocol.wallet_signatures import signed_message

logger = logging.getLogger(__name__)

_SID_BYTES: Final = 16


class ServiceRequests:
    """Opens the sessions of backends and serves what is theirs alone."""

    def __init__(self, context: HubContext) -> None:
        self._context = context

    def open(self, session: LiveSession, event: ServiceSent) -> None:
        """Check an API key and open the session."""
        try:
            if session.from_page:
                raise RequestError(
                    ErrorCode.FORBIDDEN_SCOPE,
                    "an API key must not be in a page: everybody could read it there",
                )
            key, app = self._context.apps.authenticate(event.api_key, KeyScope.SERVICE)
            session.take_seat(key, app)
        except RequestError as error:
            self._context.counters.login(error.code)
            session.send(session.machine.login_refused(event.id, error))
            session.follow_machine()
            return
        self._open(session, event, key, app)

    def _open(self, session: LiveSession, event: ServiceSent, key: ApiKey, app: App) -> None:
        context = self._context
        now_ms = context.clock.now_ms()
        ends_ms = now_ms + context.settings.service_ttl_ms
        if key.expires_ms is not None:
            ends_ms = min(ends_ms, key.expires_ms)
        sid = context.entropy.token(_SID_BYTES).hex()
        frame = session.machine.service_proven(
            event.id,
            LoginReply(sid, b"", 0, ends_ms, None, list(SERVICE_SCOPES)),
            scopes=frozenset(SERVICE_SCOPES),
            expires_s=context.clock.monotonic_s() + (ends_ms - now_ms) / 1_000,
            rate=context.apps.rate_of(key),
        )
        session.send(frame)
        context.counters.login(None)
        session.logged_in(sid)
        logger.info("service session of %s", app.name, extra={"key": key.key_id, "sid": sid})

    def ack(self, session: LiveSession, body: AckRequest) -> Answer:
        """Take a receipt; of other sessions it says nothing that the hub needs."""
        if session.seat is not None:
            session.seat.acknowledge(body.sub, body.offset)
            session.settle_owed()
        return NO_ANSWER

    def verify(self, session: LiveSession, texts: list[SignedText]) -> Coroutine[Any, Any, Answer]:
        """Check wallets' signatures, all of them together with everybody else's."""
        if any(text.scheme == Scheme.KEY for text in texts):
            raise RequestError(
                ErrorCode.UNSUPPORTED_SCHEME, "send scheme wc, k12 or raw; a key is no wallet"
            )
        return self._verify(session, texts)

    async def _verify(self, session: LiveSession, texts: list[SignedText]) -> Answer:
        context = self._context
        verdicts = await context.signatures.verify_all(
            [
                (text.wallet, signed_message(text.scheme, text.message), text.signature)
                for text in texts
            ]
        )
        wallets = [PublicKey(text.wallet) for text in texts]
        app = session.app
        if app is None or not any(wallet in app.blocked for wallet in wallets):
            ready = context.auth.peek_ready(wallets)
            if ready is not None:
                # Encoded with the answer, at once: what is ready changes with the next look.
                return Answer(list(zip(verdicts, ready, strict=True)))
        trusts = await context.auth.get(wallets)
        if app is not None:
            trusts = list(map(app.see, wallets, trusts))
        return Answer(list(map(Verdict, verdicts, trusts)))
