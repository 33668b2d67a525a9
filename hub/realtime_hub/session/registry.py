"""Who is connected, who is logged in, and who watches what."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Final, Generic, TypeVar

from realtime_hub.session.addresses import AddressBook
from realtime_hub.session.shared_rates import SharedRate, SharedRates
from realtime_hub.session.subscriptions import ChannelKind, Subscription
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.limits import Limits

WALLET_FULL_RETRY_MS: Final = 15_000
"""A dead connection of the same wallet is found within this."""


_Session = TypeVar("_Session")
_Member = TypeVar("_Member")


class _Groups(Generic[_Member]):
    """Members by key, in the order in which they came; empty groups take no room."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, dict[_Member, None]] = {}

    def add(self, key: Hashable, member: _Member) -> None:
        self._groups.setdefault(key, {})[member] = None

    def discard(self, key: Hashable, member: _Member) -> None:
        group = self._groups.get(key)
        if group is not None:
            group.pop(member, None)
            if not group:
                del self._groups[key]

    def of(self, key: Hashable) -> Iterable[_Member]:
        return self._groups.get(key, ())

    def size(self, key: Hashable) -> int:
        return len(self._groups.get(key, ()))


class SessionRegistry(Generic[_Session]):
    """All connections of this process. Every method is synchronous."""

    def __init__(self, limits: Limits, *, connections_max: int) -> None:
        self.addresses = AddressBook(limits)
        self.connections: dict[_Session, None] = {}
        self.inbound_bytes = 0
        """Kept of messages that are not whole or wait for their turn, of all connections."""
        self._connections_max = connections_max
        self._limits = limits
        self._stopped = False
        self.shed_connections = False
        """Whether the load leaves no room for newcomers."""
        self._by_wallet: _Groups[_Session] = _Groups()
        self._wallet_rates = SharedRates(limits.requests_per_wallet_per_s, "this wallet")
        self._watchers: _Groups[Subscription] = _Groups()

    @property
    def is_full(self) -> bool:
        """Whether no further connection is taken."""
        closed = self._stopped or self.shed_connections
        return closed or len(self.connections) >= self._connections_max

    def stop_admitting(self) -> None:
        """Take no further connection: the hub is about to end."""
        self._stopped = True

    # Sessions -------------------------------------------------------------------------------

    def connect(self, session: _Session) -> None:
        """A connection is open."""
        self.connections[session] = None

    def disconnect(self, session: _Session) -> None:
        """A connection is gone."""
        self.connections.pop(session, None)

    def enter(self, wallet: PublicKey, session: _Session, *, replaces: bool = False) -> None:
        """Register a session under its wallet; RequestError 106 when it has too many.

        From now on every change of the wallet's trust reaches the session. One that *replaces*
        another, which is about to end, needs no place of its own.
        """
        sessions_max = self._limits.sessions_per_wallet_max
        if self._by_wallet.size(wallet) >= sessions_max + replaces:
            raise RequestError(
                ErrorCode.RATE_LIMITED,
                f"the wallet has {sessions_max} sessions; close one",
                retry_after_ms=WALLET_FULL_RETRY_MS,
            )
        self._by_wallet.add(wallet, session)

    def leave(self, wallet: PublicKey, session: _Session) -> None:
        """The session ended, or its login failed."""
        self._by_wallet.discard(wallet, session)
        if not self._by_wallet.size(wallet):
            self._wallet_rates.forget(wallet)

    def shared_rate(self, wallet: PublicKey, *, now_s: float) -> SharedRate | None:
        """Return what a session shares with the wallet's others; None for a lone one."""
        members = self._by_wallet.size(wallet)
        return self._wallet_rates.join(wallet, members=members, now_s=now_s)

    def sessions_of(self, wallet: PublicKey) -> list[_Session]:
        """Return the wallet's sessions, those included whose login is being checked."""
        return list(self._by_wallet.of(wallet))

    # Subscriptions --------------------------------------------------------------------------

    def watch(self, subscription: Subscription) -> None:
        """Let a subscription be found by what it watches."""
        for key in _keys(subscription):
            self._watchers.add(key, subscription)

    def unwatch(self, subscription: Subscription) -> None:
        """The subscription ended."""
        for key in _keys(subscription):
            self._watchers.discard(key, subscription)

    def trust_watchers(self, wallet: PublicKey) -> list[Subscription]:
        """Return who watches this wallet's trust, those who watch every wallet's last."""
        return [*self._watchers.of((_TRUST, wallet)), *self._watchers.of(_EVERY_WALLET)]

    def payment_watchers(
        self, payers: Sequence[PublicKey], payee: PublicKey, payment_id: bytes
    ) -> list[Subscription]:
        """Return who watches this payment, the channels of those whose money it is first."""
        return [
            *(one for payer in payers for one in self._watchers.of((ChannelKind.PAY_OUT, payer))),
            *self._watchers.of((ChannelKind.PAY_IN, payee)),
            *self._watchers.of((ChannelKind.PAY_ONE, payment_id)),
        ]


_TRUST: Final = "trust"
_EVERY_WALLET: Final = "trust:*"


def _keys(subscription: Subscription) -> Iterable[Hashable]:
    channel = subscription.channel
    if channel.kind is ChannelKind.PAY_ONE:
        return [(channel.kind, channel.payment_id)]
    if channel.kind is ChannelKind.TRUST_ALL:
        return [_EVERY_WALLET]
    kind = _TRUST if channel.kind.is_trust else channel.kind
    return [(kind, wallet) for wallet in subscription.wallets]
