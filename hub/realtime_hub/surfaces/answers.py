"""What a request's handler gives back."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from msgspec import Struct

from realtime_hub.session.outbox import Urgency
from realtime_hub.session.session import LiveSession


class Answer(Struct, frozen=True):
    """The body of the reply, and what is done once the reply is queued."""

    body: object
    urgency: Urgency = Urgency.REPLY
    """That of the pushes which the reply announces, so that none overtakes it."""
    then: Callable[[], None] | None = None


NO_ANSWER: Final = Answer(None)
"""To a request that gets no reply."""

Handler = Callable[[LiveSession, Any], Answer | Coroutine[Any, Any, Answer]]
"""Answers at once, or returns what has to be waited for; raises RequestError to refuse."""
