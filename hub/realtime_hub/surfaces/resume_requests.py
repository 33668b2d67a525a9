"""resume: from a token and its key's proof to the session as it was, without hole or repetition.

Order: token, session alive, registration, trust read again, next token, subscriptions registered
with their changes held, what was missed, reply. A block that comes at any point of it is seen: by
the read, or, from the registration on, by the session itself.
"""

import logging
from collections.abc import Sequence
from typing import Final

from realtime_hub.session.context import HubContext
from realtime_hub.session.outbox import Urgency
from realtime_hub.session.resume import Family
from realtime_hub.session.resumes import Proof
from realtime_hub.session.session import LiveSession
from realtime_hub.session.subscriptions import Subscription, parse_channel
from realtime_hub.surfaces.stream_starts import Replay, State, StreamStarts
from realtime_hub.surfaces.subscription_requests import watched
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import (
    Position,
    ResumedSub,
    ResumeOutcome,
    ResumeReply,
    ResumeSub,
    Trust,
)
from realtime_protocol.server import ResumeSent

logger = logging.getLogger(__name__)

_CLOSED_WITH: Final = {
    ErrorCode.WALLET_BLOCKED: CloseCode.WALLET_BLOCKED,
    ErrorCode.RESUME_REUSED: CloseCode.RESUME_REUSED,
}

_Start = tuple[Subscription, Position, Replay | State]
"""A subscription, where its client stands, and what it begins with."""


class ResumeRequests:
    """Takes sessions up again."""

    def __init__(self, context: HubContext) -> None:
        self._context = context
        self._starts = StreamStarts(context)

    async def check(self, session: LiveSession, event: ResumeSent) -> None:
        """Check a resume and go on with its session on this connection."""
        try:
            family, trust, token = await self._take(session, event)
            starts = await self._restore(session, family, event.body.subs)
            session.require_not_barred()
        except RequestError as error:
            self.refuse(session, event, error)
        except Exception:
            logger.exception("a resume failed")
            failed = RequestError(ErrorCode.INTERNAL, "the hub failed to check this resume")
            self.refuse(session, event, failed)
        else:
            if not session.ended:
                self._go_on(session, event, family, trust, token, starts)
        session.flush()

    def refuse(self, session: LiveSession, event: ResumeSent, error: RequestError) -> None:
        """Refuse a resume; a blocked wallet and a stolen token are closed as well."""
        if session.ended:
            return
        self._context.counters.resume(error.code)
        session.leave()
        for number in list(session.subscriptions):
            session.remove_subscription(number)
        session.send(session.machine.login_refused(event.id, error))
        close_code = _CLOSED_WITH.get(error.code)
        if close_code is None:
            session.follow_machine()
        else:
            session.fail(close_code)

    async def _take(self, session: LiveSession, event: ResumeSent) -> tuple[Family, Trust, bytes]:
        """Return the session, its wallet's trust and its next token."""
        auth, resumes, shown = self._context.auth, self._context.resumes, event.body.token
        challenge = event.challenge
        proof = Proof(
            signature=event.body.proof,
            domain=challenge.domain,
            uri=challenge.uri,
            nonce=challenge.nonce,
        )
        family = await resumes.find(shown, proof)
        self._require_possible(family, event.body.subs)
        session.enter(family.wallet, replaces=resumes.session_of(shown) is not None)
        trust = await auth.readmit(family.wallet, seen=family.seen)
        session.require_not_barred()
        await self._stand_on(session, family)
        session.require_app_welcome(family.wallet)
        place, token = await resumes.take(session, shown, family)
        session.keep(place)
        session.require_not_barred()
        return place.family, trust, token

    async def _stand_on(self, session: LiveSession, family: Family) -> None:
        """Let the session end with the grant on which it stands; RequestError 208 when that has."""
        if not family.grant_id:
            return
        grant = await self._context.auth.delegation.resume(family.wallet, family.grant_id)
        try:
            if grant is not None:
                session.stand_on(grant, by_key=family.by_key)
                return
        except RequestError:  # Just now: it says so as one that was gone before.
            logger.info("a key was revoked while its session resumed")
        raise RequestError(ErrorCode.RESUME_UNKNOWN, "the key on which it stands was revoked")

    def _require_possible(self, family: Family, rows: Sequence[ResumeSub]) -> None:
        """Refuse what can't be meant, before the token is used up: 102, 103, 220 or 221."""
        limit = self._context.limits.subscriptions_max
        if len(rows) > limit:
            raise RequestError(ErrorCode.SUB_LIMIT, f"{len(rows)} subscriptions; at most {limit}")
        if len({row.sub for row in rows}) != len(rows):
            raise RequestError(ErrorCode.BAD_MESSAGE, "a subscription's number stands twice")
        for row in rows:
            channel = parse_channel(row.channel)
            watched(family.wallet, channel, row.wallets)
            if channel.kind.scope not in family.scopes:
                granted = ", ".join(sorted(family.scopes))
                raise RequestError(
                    ErrorCode.FORBIDDEN_SCOPE,
                    f"{row.channel} needs scope {channel.kind.scope}; this session has {granted}",
                )

    async def _restore(
        self, session: LiveSession, family: Family, rows: Sequence[ResumeSub]
    ) -> list[_Start]:
        """Register the subscriptions, then read what each of them missed."""
        restored = []
        for row in rows:
            channel = parse_channel(row.channel)
            wallets = watched(family.wallet, channel, row.wallets)
            subscription = Subscription(session, row.sub, channel, wallets)
            subscription.hold()
            session.go_on_from(row.sub)
            session.add_subscription(subscription)
            restored.append((subscription, Position(row.epoch, row.offset)))
        starts = []
        for subscription, since in restored:
            try:
                start = await self._starts.read(subscription, family.wallet, since)
            except RequestError as error:
                # It is left out of the reply, and its client subscribes to it anew.
                logger.info("a subscription wasn't resumed: %s", error)
                session.remove_subscription(subscription.number)
            else:
                starts.append((subscription, since, start))
        return starts

    def _go_on(
        self,
        session: LiveSession,
        event: ResumeSent,
        family: Family,
        trust: Trust,
        token: bytes,
        starts: Sequence[_Start],
    ) -> None:
        """Reply, send what was missed, and be live."""
        context = self._context
        left_s = (family.session_exp_ms - context.clock.now_ms()) / 1_000
        subs = [_describe(subscription, start) for subscription, _, start in starts]
        reply = ResumeReply(family.sid, token, trust, subs)
        frame = session.machine.login_proven(
            event.id,
            reply,
            wallet=family.wallet,
            scopes=frozenset(family.scopes),
            expires_s=context.clock.monotonic_s() + left_s,
        )
        # In the most urgent class: nothing of what it announces may overtake it.
        session.send(frame, Urgency.REVOCATION)
        session.logged_in(family.sid)
        context.counters.resume(None)
        for subscription, since, start in starts:
            if isinstance(start, Replay):
                subscription.release(start.since, start.changes)
            else:
                self._starts.send_state(subscription, start, since)


def _describe(subscription: Subscription, start: Replay | State) -> ResumedSub:
    if isinstance(start, State):
        outcome = ResumeOutcome.GAP
    else:
        outcome = ResumeOutcome.REPLAYING if start.changes else ResumeOutcome.CAUGHT_UP
    return ResumedSub(subscription.number, outcome, start.head.epoch, start.head.offset)
