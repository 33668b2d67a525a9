"""challenge, login, refresh: from a proof to an open session."""

import logging
from typing import Final

from realtime_hub.session.context import HubContext
from realtime_hub.session.ports import ProvenLogin
from realtime_hub.session.session import LiveSession
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.login_text import LoginChallenge
from realtime_protocol.messages import Challenge, LoginReply, RequestType, Trust
from realtime_protocol.server import ChallengeWanted, LoginSent

logger = logging.getLogger(__name__)

_SID_BYTES: Final = 16


class LoginRequests:
    """Opens sessions. Order: proof, registration, trust; so no block can slip in between."""

    def __init__(self, context: HubContext) -> None:
        self._context = context

    def challenge(self, session: LiveSession, event: ChallengeWanted) -> None:
        """Issue a further challenge, for a time that the client chose."""
        machine, counters = session.machine, self._context.counters
        try:
            session.require_patience(event.ttl_ms)
            challenge = session.issue_challenge(event.ttl_ms)
        except RequestError as error:
            counters.request(RequestType.CHALLENGE, error.code)
            session.send(machine.refuse(event.id, error))
            return
        counters.request(RequestType.CHALLENGE, None)
        now_s = self._context.clock.monotonic_s()
        session.send(
            machine.answer_challenge(event.id, challenge, ttl_ms=event.ttl_ms, now_s=now_s)
        )

    async def check(self, session: LiveSession, event: LoginSent) -> None:
        """Check a proof and open or prolong the session."""
        try:
            proven = await self._context.auth.prove(_as_issued(event.challenge), event.proof)
            trust = await self._admit(session, proven)
        except RequestError as error:
            self.refuse(session, event, error)
        except Exception:
            logger.exception("a login failed")
            failed = RequestError(ErrorCode.INTERNAL, "the hub failed to check this login")
            self.refuse(session, event, failed)
        else:
            if not session.ended:
                self._open(session, event, proven, trust)
        session.flush()

    def refuse(self, session: LiveSession, event: LoginSent, error: RequestError) -> None:
        """Refuse a login; the third one closes."""
        if session.ended:
            return
        self._context.counters.login(error.code)
        if not event.refresh:
            session.leave()
        session.send(session.machine.login_refused(event.id, error))
        if event.refresh and error.code is ErrorCode.WALLET_BLOCKED:
            session.flush()
            session.block()
        session.follow_machine()

    async def _admit(self, session: LiveSession, proven: ProvenLogin) -> Trust:
        session.enter(proven.wallet)
        trust = await self._context.auth.admit(proven.wallet)
        if session.barred:
            raise RequestError(ErrorCode.WALLET_BLOCKED, "the wallet was blocked just now")
        return trust

    def _open(
        self, session: LiveSession, event: LoginSent, proven: ProvenLogin, trust: Trust
    ) -> None:
        context = self._context
        sid = session.sid or context.entropy.token(_SID_BYTES).hex()
        left_s = (proven.session_exp_ms - context.clock.now_ms()) / 1_000
        # Empty token, ttl 0: this hub does not resume sessions.
        reply = LoginReply(sid, b"", 0, proven.session_exp_ms, trust, list(proven.scopes))
        frame = session.machine.login_proven(
            event.id,
            reply,
            wallet=proven.wallet,
            scopes=frozenset(proven.scopes),
            expires_s=context.clock.monotonic_s() + left_s,
        )
        session.send(frame)
        context.counters.login(None)
        if event.refresh:
            session.drop_beyond_scopes()
        else:
            session.logged_in(sid)


def _as_issued(challenge: Challenge) -> LoginChallenge:
    return LoginChallenge(
        nonce=challenge.nonce,
        issued_ms=challenge.issued_ms,
        expires_ms=challenge.expires_ms,
        domain=challenge.domain,
        uri=challenge.uri,
        chain=challenge.chain,
        request_id=challenge.request_id,
    )
