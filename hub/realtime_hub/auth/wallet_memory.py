"""L1: what this process remembers of wallets, bounded, and ready to be sent.

A crowd that asks for a million wallets once must not push out those that are asked for all the
time. So a wallet begins in a short queue; only one that is asked for again there, or that comes
back soon after it left, moves into the long queue. Both queues look at a wallet again before it
goes (S3-FIFO: FIFO queues are all you need for cache eviction, SOSP 2023).
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from realtime_hub.auth.standing import Standing
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Trust, TrustTier

SHORT_QUEUE_SHARE: Final = 10
"""The short queue has one place in so many."""
_NOT_ASKED: Final = -1


class _Ready(Struct, array_like=True, gc=False):
    """The 7-array of an answer from memory; only its age has to be set before it is sent.

    An age of -1 also tells that nobody asked since the wallet was last looked at.
    """

    status: int
    score: int
    seq: int
    reason: int
    tier: int
    age_ms: int
    use_until_ms: int


class WalletMemory:
    """Standings of at most *wallets_max* wallets, each good for *ttl_ms* after it was verified."""

    def __init__(self, *, wallets_max: int, ttl_ms: int) -> None:
        self._ttl_ms = ttl_ms
        self._short_max = max(1, wallets_max // SHORT_QUEUE_SHARE)
        self._wallets_max = wallets_max
        self._doubted_ms = 0
        self._standings: dict[PublicKey, Standing] = {}
        self._ready: dict[PublicKey, _Ready] = {}
        self._short: OrderedDict[PublicKey, None] = OrderedDict()
        self._long: OrderedDict[PublicKey, None] = OrderedDict()
        self._left: OrderedDict[PublicKey, None] = OrderedDict()
        """Wallets that left the short queue, by name only."""

    def __len__(self) -> int:
        return len(self._standings)

    def get(self, wallet: PublicKey) -> Standing | None:
        """Return what is remembered, however old."""
        return self._standings.get(wallet)

    def good(self, wallet: PublicKey, now_ms: int) -> bool:
        """Whether an answer may still be given from here."""
        ready = self._ready.get(wallet)
        return ready is not None and ready.use_until_ms > now_ms

    def asked(self, wallet: PublicKey) -> bool:
        """Whether somebody asked since the wallet was put here or looked at."""
        ready = self._ready.get(wallet)
        return ready is not None and ready.age_ms != _NOT_ASKED

    def ready(self, wallets: Sequence[PublicKey], now_ms: int) -> Sequence[_Ready] | None:
        """Return the answers as they are sent, or None when one isn't good any more.

        They are the memory's own and change with the next call: encode them at once.
        """
        offset_ms = now_ms + self._ttl_ms
        found: list[Any] = list(map(self._ready.get, wallets))
        for answer in found:
            if answer is None:
                return None
            use_until_ms = answer.use_until_ms
            if use_until_ms <= now_ms:
                return None
            answer.age_ms = offset_ms - use_until_ms
        return found

    def trusts(self, wallets: Sequence[PublicKey], now_ms: int) -> list[Trust] | None:
        """Return the same as values that may be kept."""
        found = self.ready(wallets, now_ms)
        if found is None:
            return None
        return [
            self._standings[wallet].answer(
                tier=TrustTier.L1, now_ms=now_ms, use_until_ms=answer.use_until_ms
            )
            for wallet, answer in zip(wallets, found, strict=True)
        ]

    def put(self, wallet: PublicKey, standing: Standing) -> None:
        """Remember a wallet; at the bound another one goes."""
        known, asked = wallet in self._standings, self.asked(wallet)
        effective = standing.effective()
        doubted = standing.verified_ms < self._doubted_ms
        self._standings[wallet] = standing
        self._ready[wallet] = _Ready(
            int(effective.status),
            effective.score,
            standing.log_seq,
            effective.reason,
            int(TrustTier.L1),
            _NOT_ASKED,
            0 if doubted else standing.verified_ms + self._ttl_ms,
        )
        if asked:
            self._keep_longer(wallet)
        elif not known:
            self._admit(wallet)

    def doubt_all(self, now_ms: int) -> None:
        """Let nothing be good that was verified before; what is known stays known."""
        self._doubted_ms = now_ms
        self._ready = {}

    def _admit(self, wallet: PublicKey) -> None:
        if wallet in self._left:
            del self._left[wallet]
            self._long[wallet] = None
        else:
            self._short[wallet] = None
        if len(self._standings) > self._wallets_max:
            self._let_one_go()

    def _keep_longer(self, wallet: PublicKey) -> None:
        self._short.pop(wallet, None)
        self._long[wallet] = None
        self._long.move_to_end(wallet)

    def _let_one_go(self) -> None:
        """Take one wallet out: the first in its queue that nobody asked for again."""
        while len(self._short) > self._short_max or not self._long:
            wallet = next(iter(self._short))
            if not self.asked(wallet):
                del self._short[wallet]
                self._left[wallet] = None
                if len(self._left) > self._wallets_max:
                    self._left.popitem(last=False)
                self._forget(wallet)
                return
            self._look_again(wallet)
        while True:
            wallet = next(iter(self._long))
            if not self.asked(wallet):
                del self._long[wallet]
                self._forget(wallet)
                return
            self._look_again(wallet)

    def _look_again(self, wallet: PublicKey) -> None:
        self._ready[wallet].age_ms = _NOT_ASKED
        self._keep_longer(wallet)

    def _forget(self, wallet: PublicKey) -> None:
        del self._standings[wallet]
        self._ready.pop(wallet, None)
