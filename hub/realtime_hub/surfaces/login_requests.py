"""challenge, login, refresh: from a proof to an open session."""

import logging
from typing import Final

from realtime_hub.session.context import BACKENDS_ONLY, HubContext
from realtime_hub.session.ports import ProvenLogin
from realtime_hub.session.resumes import Opening
from realtime_hub.session.session import LiveSession
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.login_text import LoginChallenge
from realtime_protocol.messages import Challenge, LoginReply, Position, RequestType, Trust
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
            self._context.overload.require(RequestType.CHALLENGE)
            session.require_patience(event.ttl_ms)
            challenge = session.issue_challenge(event.ttl_ms)
        except RequestError as error:
            counters.refused(RequestType.CHALLENGE, error.code)
            session.send(machine.refuse(event.id, error))
            return
        counters.served[RequestType.CHALLENGE] += 1
        now_s = self._context.clock.monotonic_s()
        session.send(
            machine.answer_challenge(event.id, challenge, ttl_ms=event.ttl_ms, now_s=now_s)
        )

    async def check(self, session: LiveSession, event: LoginSent) -> None:
        """Check a proof and open or prolong the session."""
        seen = self._context.auth.position()
        try:
            _require_domain(session)
            proven = await self._context.auth.prove(_as_issued(event.challenge), event.proof)
            trust = await self._admit(session, proven)
            await self._stand_on(session, proven, seen)
            sid = session.sid or self._context.entropy.token(_SID_BYTES).hex()
            kept = await self._keep(session, sid, proven)
        except RequestError as error:
            self.refuse(session, event, error)
        except Exception:
            logger.exception("a login failed")
            failed = RequestError(ErrorCode.INTERNAL, "the hub failed to check this login")
            self.refuse(session, event, failed)
        else:
            if not session.ended:
                reply = LoginReply(
                    sid,
                    b"" if kept is None else kept,
                    0 if kept is None else self._context.resumes.within_ms,
                    proven.session_exp_ms,
                    trust,
                    list(proven.scopes),
                )
                self._open(session, event, proven, reply)
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
        session.require_not_barred()
        session.require_app_welcome(proven.wallet)
        return trust

    async def _stand_on(self, session: LiveSession, proven: ProvenLogin, seen: Position) -> None:
        """Let the session end with the grant that it makes, or that let it in."""
        grant = await self._context.auth.stand_on(proven, seen=seen)
        session.stand_on(grant, by_key=proven.by_key)
        session.require_not_barred()

    async def _keep(self, session: LiveSession, sid: str, proven: ProvenLogin) -> bytes | None:
        """Make the session resumable; return its token, or None where it can't be resumed."""
        if proven.session_key is None:
            session.keep(None)
            return None
        opening = Opening(
            sid=sid,
            wallet=proven.wallet,
            scopes=tuple(proven.scopes),
            session_key=proven.session_key,
            domain=session.domain,
            session_exp_ms=proven.session_exp_ms,
            grant_id=b"" if session.grant is None else session.grant.grant_id,
            by_key=session.by_key,
        )
        opened = await self._context.resumes.open(session, opening)
        session.keep(None if opened is None else opened[0])
        session.require_not_barred()
        return None if opened is None else opened[1]

    def _open(
        self, session: LiveSession, event: LoginSent, proven: ProvenLogin, reply: LoginReply
    ) -> None:
        context = self._context
        left_s = (proven.session_exp_ms - context.clock.now_ms()) / 1_000
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
            session.logged_in(reply.sid)


def _require_domain(session: LiveSession) -> None:
    if session.domain == BACKENDS_ONLY:
        raise RequestError(
            ErrorCode.DOMAIN_MISMATCH,
            "this hub logs in wallets of pages only; backends send an API key",
        )


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
