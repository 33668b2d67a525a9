"""Trust of wallets: asked for once, or watched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from realtime_client.streams import HubStream, Keeper
from realtime_client.wallet import as_public_key
from realtime_protocol.codec import Push, decode_trust_snapshot
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import (
    Gap,
    Head,
    Initiator,
    Position,
    RequestType,
    ResumedSub,
    ResumeOutcome,
    SubscribeReply,
    SubscribeRequest,
    Trust,
    TrustChanged,
    TrustStatus,
    WalletTrust,
)

if TYPE_CHECKING:
    from realtime_client.session import Session

WALLETS_A_REQUEST_MAX: Final = 64
WALLETS_A_WATCH_MAX: Final = 256
CHANGES_QUEUED_MAX: Final = 512
UNPOSITIONED: Final = 0


@dataclass(frozen=True, slots=True)
class TrustChange:
    """A wallet's trust is now this.

    *pending*: an administrator signed it and the chain doesn't have it yet. *initiator* and
    *event_ms* are None for what was read from a snapshot after the connection had been away.
    *received_ms* is this machine's clock when the frame was read.
    """

    wallet: PublicKey
    status: TrustStatus
    score: int
    reason: int
    seq: int
    use_until_ms: int
    received_ms: int
    pending: bool = False
    initiator: Initiator | None = None
    event_ms: int | None = None

    @property
    def identity(self) -> str:
        """The wallet's 60 letters."""
        return encode_identity(self.wallet)


class TrustWatch(HubStream[TrustChange]):
    """The changes of some wallets' trust; `current` holds what each one is now.

    Use it with ``async with``, or ``await`` it, or go straight to ``async for``. When the reader is
    so slow that the queue is full, older changes of a wallet give way to its newer ones: the newest
    of each is never lost.
    """

    def __init__(self, keeper: Keeper, wallets: Sequence[PublicKey] | None) -> None:
        if wallets is not None and not 1 <= len(wallets) <= WALLETS_A_WATCH_MAX:
            raise ValueError(f"a watch has 1 to {WALLETS_A_WATCH_MAX} wallets, not {len(wallets)}")
        super().__init__(keeper, CHANGES_QUEUED_MAX)
        self._wallets: list[bytes] | None = None if wallets is None else list(wallets)
        self._position: Position | None = None
        self._seen_at_head: set[bytes] = set()
        self._state_at: int | None = None
        """Behind a gap, what stands comes as changes at this offset."""
        self.current: dict[PublicKey, Trust | TrustChange] = {}
        self.gaps = 0
        """How often the hub said that changes were lost; a snapshot made up for each."""

    def open_request(self) -> tuple[RequestType, SubscribeRequest]:
        """Return what asks for this stream, from where it stands."""
        channel = "trust:@me" if self._wallets is None else "trust"
        return RequestType.SUBSCRIBE, SubscribeRequest(channel, self._position, self._wallets)

    def on_opened(self, reply: SubscribeReply, now_ms: int, /) -> None:
        """Take the reply: the state now, or the word that nothing was missed."""
        self.sub = reply.sub
        if reply.snapshot is not None:
            first = self._position is None
            for entry in decode_trust_snapshot(reply.snapshot):
                self._take_entry(entry, now_ms, tell=not first)
        if not reply.recovered:
            # What is replayed after a recovery lies between our position and the head.
            self._stand_at(reply.epoch, reply.head)
        elif self._position is None or self._position.epoch != reply.epoch:
            self._stand_at(reply.epoch, reply.head)

    def on_resumed(self, row: ResumedSub, /) -> None:
        """Stand where the hub says, unless it replays up to there."""
        if row.outcome is ResumeOutcome.GAP:
            self._stand_at(row.epoch, 0)
        elif row.outcome is ResumeOutcome.CAUGHT_UP:
            self._reach(row.epoch, row.head)

    def on_head(self, head: Head, /) -> None:
        """Stand further on: nothing up to there is still to come."""
        self._reach(head.epoch, head.head)

    def on_push(self, push: Push, now_ms: int, /) -> None:
        """Take a change or the word of a gap."""
        match push.body:
            case TrustChanged() as body:
                self._take_change(body, push.offset, now_ms)
            case Gap(_, _, last):
                self.gaps += 1
                self._state_at = last
                if self._position is not None:
                    self._stand_at(self._position.epoch, 0)
            case _:
                return

    def _take_change(self, body: TrustChanged, offset: int, now_ms: int) -> None:
        position = self._position
        # What an app's own list says has no place in the shared log.
        if position is not None and offset != UNPOSITIONED:
            if offset < position.offset:
                return
            if offset == position.offset and body.wallet in self._seen_at_head:
                return
            if offset > position.offset:
                self._stand_at(position.epoch, offset)
        if offset != UNPOSITIONED:
            self._seen_at_head.add(body.wallet)
        state = offset == self._state_at and body.initiator is Initiator.SYSTEM
        before = self.current.get(PublicKey(body.wallet))
        change = TrustChange(
            PublicKey(body.wallet),
            body.status,
            body.score,
            body.reason,
            offset,
            body.use_until_ms,
            now_ms,
            body.pending,
            None if state else body.initiator,
            None if state else body.event_ms,
        )
        self.current[change.wallet] = change
        if not state or before is None or _looks_other(before, change):
            self._put(change)

    def _take_entry(self, entry: WalletTrust, now_ms: int, *, tell: bool) -> None:
        wallet, trust = PublicKey(entry.wallet), entry.trust
        before = self.current.get(wallet)
        self.current[wallet] = trust
        if tell and (before is None or _differs(before, trust)):
            self._put(
                TrustChange(
                    wallet,
                    trust.status,
                    trust.score,
                    trust.reason,
                    trust.seq,
                    trust.use_until_ms,
                    now_ms,
                )
            )

    def _reach(self, epoch: bytes, offset: int) -> None:
        here = self._position
        if here is None or here.epoch != epoch or here.offset < offset:
            self._stand_at(epoch, offset)

    def _stand_at(self, epoch: bytes, offset: int) -> None:
        self._position = Position(epoch, offset)
        self._seen_at_head.clear()

    def _make_room(self) -> None:
        seen: set[bytes] = set()
        for index in range(len(self._items) - 1, -1, -1):
            if self._items[index].wallet in seen:
                del self._items[index]
                return
            seen.add(self._items[index].wallet)
        self._items.popleft()  # Never: a watch has fewer wallets than the queue has places.


def _looks_other(before: "Trust | TrustChange", now: TrustChange) -> bool:
    return (before.status, before.score, before.reason) != (now.status, now.score, now.reason)


def _differs(before: "Trust | TrustChange", now: Trust) -> bool:
    return (before.status, before.score, before.reason, before.seq) != (
        now.status,
        now.score,
        now.reason,
        now.seq,
    )


class TrustApi:
    """``session.trust``."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def subscribe(self, wallets: Sequence[bytes | str] | None = None) -> TrustWatch:
        """Return a watch on the session's own wallet, or on up to 256 others."""
        keys = None if wallets is None else [as_public_key(wallet) for wallet in wallets]
        return TrustWatch(self._session, keys)

    async def get(self, wallets: Sequence[bytes | str]) -> list[Trust]:
        """Return the trust of each wallet, in order."""
        keys = [as_public_key(wallet) for wallet in wallets]
        answers: list[Trust] = []
        for start in range(0, len(keys), WALLETS_A_REQUEST_MAX):
            asked = keys[start : start + WALLETS_A_REQUEST_MAX]
            answers += await self._session.request(RequestType.TRUST_GET, asked)
        return answers
