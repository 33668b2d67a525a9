"""Serves what the session machine let through: one table from request type to handler.

A handler that can answer at once does so in the read callback; one that has to wait returns a
coroutine, which runs as a task of its session.
"""

import logging
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from realtime_hub.session.context import HubContext
from realtime_hub.session.session import LiveSession
from realtime_hub.surfaces.admin_requests import AdminRequests
from realtime_hub.surfaces.answers import NO_ANSWER, Answer, Handler
from realtime_hub.surfaces.key_requests import KeyRequests
from realtime_hub.surfaces.login_requests import LoginRequests
from realtime_hub.surfaces.resume_requests import ResumeRequests
from realtime_hub.surfaces.service_requests import ServiceRequests
from realtime_hub.surfaces.session_requests import SessionRequests
from realtime_hub.surfaces.subscription_requests import SubscriptionRequests
from realtime_hub.surfaces.value_requests import ValueRequests
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import RequestType
from realtime_protocol.server import (
    ChallengeWanted,
    Event,
    LoginSent,
    RequestSent,
    ResumeSent,
    ServiceSent,
)

logger = logging.getLogger(__name__)

# Rule: these cause pushes of their own before they are answered; the pushes wait for the reply.
_CAUSES_STATES: Final = frozenset({RequestType.PAY})


class Dispatcher:
    """The way from requests to services. Stateless: one serves all sessions."""

    def __init__(self, context: HubContext) -> None:
        self._counters = context.counters
        self._served = context.counters.served
        self._overload = context.overload
        self._logins = LoginRequests(context)
        self._resumes = ResumeRequests(context)
        self._services = ServiceRequests(context)
        subscriptions = SubscriptionRequests(context)
        values = ValueRequests(context)
        sessions = SessionRequests(context)
        administration = AdminRequests(context)
        keys = KeyRequests(context)
        self._handlers: Mapping[RequestType, Handler] = {
            RequestType.LOGOUT: sessions.logout,
            RequestType.PING: sessions.ping,
            RequestType.SUBSCRIBE: subscriptions.subscribe,
            RequestType.UNSUBSCRIBE: subscriptions.unsubscribe,
            RequestType.TRUST_GET: sessions.trust_get,
            RequestType.VERIFY: self._services.verify,
            RequestType.ACK: self._services.ack,
            RequestType.DECISION_GET: sessions.decision_get,
            RequestType.TRUST_SET: sessions.trust_set,
            RequestType.SESSIONS_LIST: administration.sessions_list,
            RequestType.DRAIN: administration.drain,
            RequestType.KEYS_LIST: keys.list,
            RequestType.KEYS_REVOKE: keys.revoke,
            RequestType.QUOTE_OPEN: values.quote_open,
            RequestType.QUOTE_CLOSE: values.quote_close,
            RequestType.PAY_PREPARE: values.prepare,
            RequestType.PAY: values.pay,
            RequestType.PAYMENT_GET: values.payment_get,
            RequestType.SPEND_GET: values.spend_get,
        }

    def serve(self, session: LiveSession, event: Event) -> None:
        """Serve one event of a session's machine."""
        if not isinstance(event, RequestSent):
            self._serve_stranger(session, event)
            return
        kind = event.kind
        held = session.begin_pay() if kind in _CAUSES_STATES else None
        try:
            if self._overload.level:
                self._overload.require(kind)
            if session.rates:
                session.require_rate(kind)
            outcome = self._handlers[kind](session, event.body)
            if not isinstance(outcome, Answer):
                session.spawn(self._wait(session, event, outcome, held), awaits=outcome)
                return
        except RequestError as error:
            self._refuse(session, event, error)
        except Exception:
            self._refuse(session, event, self._unexpected(event))
        else:
            self._answer(session, event, outcome)
        if held is not None:
            session.end_pay(held)

    def _serve_stranger(self, session: LiveSession, event: Event) -> None:
        """Serve what belongs to a login."""
        if isinstance(event, ChallengeWanted):
            self._logins.challenge(session, event)
        elif isinstance(event, LoginSent):
            try:
                self._overload.require(RequestType.LOGIN)
                session.require_rate(RequestType.LOGIN)
                session.spawn(self._logins.check(session, event))
            except RequestError as error:
                self._logins.refuse(session, event, error)
        elif isinstance(event, ServiceSent):
            self._services.open(session, event)
        elif isinstance(event, ResumeSent):
            try:
                session.spawn(self._resumes.check(session, event))
            except RequestError as error:
                self._resumes.refuse(session, event, error)

    async def _wait(
        self,
        session: LiveSession,
        event: RequestSent[Any],
        work: Coroutine[Any, Any, Answer],
        held: int | None,
    ) -> None:
        try:
            answer = await work
        except RequestError as error:
            self._refuse(session, event, error)
        except Exception:
            self._refuse(session, event, self._unexpected(event))
        else:
            self._answer(session, event, answer)
        if held is not None:
            session.end_pay(held)
        session.flush()

    def _answer(self, session: LiveSession, event: RequestSent[Any], answer: Answer) -> None:
        if session.ended:
            return
        self._served[event.kind] += 1
        if answer is NO_ANSWER:
            session.machine.settle(event.id)
            return
        session.send(session.machine.answer(event.id, answer.body), answer.urgency)
        if answer.then is not None:
            answer.then()

    def _refuse(self, session: LiveSession, event: RequestSent[Any], error: RequestError) -> None:
        if session.ended:
            return
        self._counters.refused(event.kind, error.code)
        session.send(session.machine.refuse(event.id, error))

    def _unexpected(self, event: RequestSent[Any]) -> RequestError:
        logger.exception("request %s failed", event.kind.name.lower())
        return RequestError(ErrorCode.INTERNAL, "the hub failed to serve this request")
