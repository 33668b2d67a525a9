"""Channels, and a session's subscriptions to them."""

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from realtime_hub.apps.model import App
from realtime_hub.session.outbox import Urgency
from realtime_hub.session.receipts import Receipts
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import INTEGER_MAX, Trust

WALLETS_MAX: Final = 256
HELD_MAX: Final = 4_096
UNPOSITIONED: Final = 0
_PAYMENT_ID: Final = re.compile(r"[0-9a-f]{32}")


class ChannelKind(Enum):
    """The channels that this hub serves; the value is the name on the wire."""

    TRUST_OWN = "trust:@me"
    TRUST = "trust"
    TRUST_ALL = "trust:*"
    PAY_OUT = "pay:@me"
    PAY_IN = "pay:in"
    PAY_ONE = "pay:<id>"

    @property
    def scope(self) -> str:
        """What a login must have granted."""
        if self is ChannelKind.TRUST_ALL:
            return "service"
        return "trust" if self.is_trust else "pay"

    @property
    def is_trust(self) -> bool:
        """Whether it brings changes of trust; else it brings payments."""
        return self in _TRUST_KINDS


_TRUST_KINDS: Final = frozenset({ChannelKind.TRUST_OWN, ChannelKind.TRUST, ChannelKind.TRUST_ALL})
_BY_NAME: Final = {kind.value: kind for kind in ChannelKind if kind is not ChannelKind.PAY_ONE}


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel; *payment_id* only where it follows one payment."""

    kind: ChannelKind
    payment_id: bytes = b""


def parse_channel(name: str) -> Channel:
    """Return the channel with this name; RequestError 221."""
    kind = _BY_NAME.get(name)
    if kind is not None:
        return Channel(kind)
    prefix, _, text = name.partition(":")
    if prefix == "pay" and _PAYMENT_ID.fullmatch(text):
        return Channel(ChannelKind.PAY_ONE, bytes.fromhex(text))
    names = ", ".join(each.value for each in ChannelKind)
    raise RequestError(
        ErrorCode.UNKNOWN_CHANNEL,
        f"channel {name[:40]!r} is none of {names} (id: 32 digits 0-9a-f)",
    )


Message = tuple[Hashable, bytes]
"""A frame, and the key under which a newer one of this subscription replaces it."""

Change = tuple[int, Urgency, tuple[Message, ...]]
"""What is sent for one offset of a stream."""


class Subscriber(Protocol):
    """The session that a subscription belongs to."""

    app: App | None
    """Whose users or backend it serves; None: the hub's own."""

    def push(self, urgency: Urgency, message: bytes, key: Hashable) -> None:
        """Send a message that nobody asked for just now."""
        ...

    def fail(self, code: CloseCode) -> None:
        """Close the connection."""
        ...


@dataclass(slots=True, eq=False)
class Subscription:
    """A place in a stream: only what lies above *since* is still to be sent.

    While it is held, changes wait, so that the reply that names it goes first.
    """

    session: Subscriber
    number: int
    channel: Channel
    wallets: frozenset[PublicKey]
    since: int = 0
    held: list[Change] | None = None
    receipts: Receipts | None = None
    """Of a backend, which says what it has dealt with."""

    def covers(self, wallet: PublicKey) -> bool:
        """Whether changes of this wallet's trust belong here."""
        return self.channel.kind is ChannelKind.TRUST_ALL or wallet in self.wallets

    def see(self, wallet: PublicKey, trust: Trust) -> Trust:
        """Return what the session's app is told of a wallet."""
        app = self.session.app
        return trust if app is None else app.see(wallet, trust)

    def hold(self) -> None:
        """Let changes wait until `release`."""
        self.held = []

    def silence(self) -> None:
        """Send and keep nothing until it is held and released again."""
        self.held = []
        self.since = INTEGER_MAX

    def offer(self, offset: int, urgency: Urgency, *messages: Message) -> None:
        """Send the messages of the change at *offset*, unless that has been sent.

        What has no position, an app's own block, comes at offset 0 and is always sent.
        """
        if UNPOSITIONED < offset <= self.since:
            return
        if self.held is None:
            if offset != UNPOSITIONED:
                self.since = offset
                if self.receipts is not None and not self.receipts.sent(offset):
                    self.session.fail(CloseCode.POSITION_LOST)
                    return
            for key, message in messages:
                self.session.push(urgency, message, (self.number, key))
        elif len(self.held) < HELD_MAX:
            self.held.append((offset, urgency, messages))
        else:
            self.session.fail(CloseCode.POSITION_LOST)

    def release(self, since: int, replay: Iterable[Change] = ()) -> None:
        """Send *replay* and then what was held, both above *since*; hold nothing from now on."""
        held, self.held = self.held or [], None
        self.since = since
        if self.receipts is not None:
            self.receipts.restart()
        for offset, urgency, messages in replay:
            self.offer(offset, urgency, *messages)
        for offset, urgency, messages in held:
            self.offer(offset, urgency, *messages)
