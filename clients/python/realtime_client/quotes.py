"""A stream of quotes: only the newest counts."""

from realtime_client.streams import HubStream, Keeper
from realtime_protocol.codec import Push
from realtime_protocol.messages import (
    Intent,
    Quote,
    QuoteOpenReply,
    QuoteOpenRequest,
    RequestType,
)


class QuoteStream(HubStream[Quote]):
    """The best route for an intent, again whenever it changes. A slow reader skips old quotes."""

    def __init__(self, keeper: Keeper, intent: Intent) -> None:
        super().__init__(keeper, items_max=1)
        self.intent = intent
        self.latest: Quote | None = None

    def open_request(self) -> tuple[RequestType, QuoteOpenRequest]:
        """Return what asks for this stream."""
        return RequestType.QUOTE_OPEN, QuoteOpenRequest(self.intent)

    def on_opened(self, reply: QuoteOpenReply, _now_ms: int, /) -> None:
        """Take the reply: under which number the quotes come."""
        self.sub = reply.sub

    def on_push(self, push: Push, _now_ms: int, /) -> None:
        """Take a quote."""
        if isinstance(push.body, Quote):
            self.latest = push.body
            self._put(push.body)
