"""Delegation: keys that log in for a wallet without its prompt, until they are revoked.

A revocation is in the store before it is answered, then every hub is told, and each looks again
from time to time for what it was not told. A block of the wallet counts in the same instant on
each hub that hears of it: from then on nothing that was granted before it is taken, whatever the
store says, and whether it was written there yet or not.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, TypeVar

from realtime_hub.auth.grant_store import GrantStore, GrantsUnavailable
from realtime_hub.auth.grants import (
    ID_BYTES,
    Block,
    Grant,
    Grants,
    GrantTerms,
    after_block,
    alive,
    find,
    granted,
    revoked,
    used,
)
from realtime_hub.clock import Clock, Entropy
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position

logger = logging.getLogger(__name__)

REMEMBERED_MAX: Final = 65_536
"""Blocks and revocations that this hub holds against a store that forgets them."""
BLOCKS_PER_ROUND: Final = 256
SWAP_TRIES_MAX: Final = 8
RETRY_MS: Final = 1_000
_PAUSE_S: Final = 0.5

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Delegation:
    """The grants of all wallets. One owner runs :meth:`run`."""

    def __init__(self, store: GrantStore, *, clock: Clock, entropy: Entropy) -> None:
        self.listeners: list[Callable[[bytes], None]] = []
        """Called with the id of each grant that was revoked, here or elsewhere. At once."""
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._revoked: OrderedDict[bytes, None] = OrderedDict()
        self._blocked: OrderedDict[PublicKey, Block] = OrderedDict()
        self._to_write: OrderedDict[PublicKey, Block] = OrderedDict()
        self._wake = asyncio.Event()

    # Granting and using -------------------------------------------------------------------------

    async def open(self, wallet: PublicKey, terms: GrantTerms, *, seen: Position) -> Grant:
        """Keep a grant that the wallet signed; RequestError 108, 206 or 211.

        *seen* is where the trust log was before the wallet was found to be welcome.
        """
        for _ in range(SWAP_TRIES_MAX):
            before = await self._load(wallet)
            after, grant = granted(
                before,
                terms,
                grant_id=self._entropy.token(ID_BYTES),
                terms_id=self._entropy.token(ID_BYTES),
                now_ms=self._clock.now_ms(),
                seen=seen,
            )
            if await self._swap(wallet, before, after):
                if self._is_over(wallet, grant):
                    self._write_soon(wallet)  # The block's own look may have come before.
                    raise RequestError(ErrorCode.WALLET_BLOCKED, "the wallet was blocked just now")
                return grant
        raise _busy()

    async def find(self, wallet: PublicKey, key: bytes, *, domain: str) -> Grant:
        """Return the living grant of a key that logs in at *domain*; RequestError 108, 202, 204."""
        grant = find(await self._living(wallet), key, now_ms=self._clock.now_ms())
        if grant is None:
            raise _no_grant()
        if grant.terms.domain != domain:
            raise RequestError(
                ErrorCode.DOMAIN_MISMATCH,
                f"the key was granted to {grant.terms.domain}, not to {domain}",
            )
        return grant

    async def use(self, wallet: PublicKey, grant: Grant) -> None:
        """Note that a key logs in, if its grant still stands; RequestError 108 or 204.

        Whoever stands on it from now on asks `require_standing` first: it may have ended since.
        """
        for _ in range(SWAP_TRIES_MAX):
            before = await self._load(wallet)
            standing = any(one.grant_id == grant.grant_id for one in self._filter(wallet, before))
            if not standing:
                raise _no_grant()
            after = used(before, grant.terms.key, now_ms=self._clock.now_ms())
            if await self._swap(wallet, before, after):
                return
        raise _busy()

    async def resume(self, wallet: PublicKey, grant_id: bytes) -> Grant | None:
        """Return the grant on which a session stands that is resumed; None when it has ended."""
        found = await self._living(wallet)
        return next((one for one in found if one.grant_id == grant_id), None)

    def require_standing(self, wallet: PublicKey, grant: Grant) -> None:
        """Raise RequestError 204 when this hub knows of a grant's end, whatever the store says."""
        if self._is_over(wallet, grant):
            raise _no_grant()

    # Looking and ending -------------------------------------------------------------------------

    async def grants_of(self, wallet: PublicKey) -> Grants:
        """Return a wallet's living grants, the oldest first; RequestError 108."""
        return await self._living(wallet)

    async def standing(self, held: Sequence[tuple[PublicKey, bytes]]) -> list[bool]:
        """Tell of each wallet's grant id whether it still stands; RequestError 108."""
        try:
            found = await self._store.load([wallet for wallet, _ in held])
        except GrantsUnavailable as error:
            raise _unavailable() from error
        return [
            any(one.grant_id == grant_id for one in self._filter(wallet, grants))
            for (wallet, grant_id), grants in zip(held, found, strict=True)
        ]

    async def revoke(self, wallet: PublicKey, key: bytes | None) -> int:
        """End the grant of *key*, or all, on every hub; return how many. RequestError 108."""
        for _ in range(SWAP_TRIES_MAX):
            before = await self._load(wallet)
            after = revoked(before, key)
            if after == before:
                return 0
            if await self._swap(wallet, before, after):
                ended = [one.grant_id for one in before if one not in after]
                await self._tell(ended)
                return len(ended)
        raise _busy()

    def block(self, wallet: PublicKey, place: Position) -> None:
        """The wallet is blocked as of that place of the trust log: its grants end, for good."""
        _remember(self._blocked, wallet, Block(place, self._clock.now_ms()))
        self._write_soon(wallet)

    async def run(self) -> None:
        """Hear what other hubs revoke, and write down what blocks end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._store.follow(self._end), name="revoked keys")
            group.create_task(self._write_blocks(), name="grants of blocked wallets")

    async def _write_blocks(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._to_write:
                if not await self.write_blocks():
                    await asyncio.sleep(_PAUSE_S)

    async def write_blocks(self) -> bool:
        """Take what some blocks ended out of the store; False when that must be tried again."""
        some = list(islice(self._to_write.items(), BLOCKS_PER_ROUND))
        try:
            found = await self._store.load([wallet for wallet, _ in some])
            for (wallet, block), before in zip(some, found, strict=True):
                after = after_block(before, block)
                if after != before and not await self._store.swap(wallet, before, after):
                    continue  # It changed meanwhile: in the next round.
                if self._to_write.get(wallet) is block:
                    del self._to_write[wallet]
                for one in before:
                    if one not in after:
                        self._end(one.grant_id)
        except GrantsUnavailable as error:
            logger.warning("the grants of %d blocked wallets wait: %s", len(some), error)
            return False
        return True

    def _write_soon(self, wallet: PublicKey) -> None:
        _remember(self._to_write, wallet, self._blocked[wallet])
        self._wake.set()

    def _end(self, grant_id: bytes) -> None:
        _remember(self._revoked, grant_id, None)
        for listener in self.listeners:
            listener(grant_id)

    async def _tell(self, grant_ids: Sequence[bytes]) -> None:
        for grant_id in grant_ids:
            self._end(grant_id)
        try:
            await self._store.tell(grant_ids)
        except GrantsUnavailable as error:
            logger.warning("other hubs find out by themselves what was revoked: %s", error)

    def _is_over(self, wallet: PublicKey, grant: Grant) -> bool:
        block = self._blocked.get(wallet)
        return grant.grant_id in self._revoked or (block is not None and block.ends(grant))

    def _filter(self, wallet: PublicKey, grants: Grants) -> Grants:
        living = alive(grants, now_ms=self._clock.now_ms())
        return tuple(one for one in living if not self._is_over(wallet, one))

    async def _living(self, wallet: PublicKey) -> Grants:
        return self._filter(wallet, await self._load(wallet))

    # The store, with its failures as the client sees them ---------------------------------------

    async def _load(self, wallet: PublicKey) -> Grants:
        try:
            [grants] = await self._store.load([wallet])
        except GrantsUnavailable as error:
            raise _unavailable() from error
        return grants

    async def _swap(self, wallet: PublicKey, before: Grants, after: Grants) -> bool:
        try:
            return await self._store.swap(wallet, before, after)
        except GrantsUnavailable as error:
            raise _unavailable() from error


def _remember(memory: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Keep it as the newest; at the bound the oldest gives way."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED_MAX:
        memory.popitem(last=False)


def _no_grant() -> RequestError:
    return RequestError(
        ErrorCode.BAD_SIGNATURE,
        "this wallet lets no such key log in, or not any more; log in with the wallet",
    )


def _unavailable() -> RequestError:
    return RequestError(
        ErrorCode.BACKBONE_UNAVAILABLE, "granted keys can't be read now", retry_after_ms=RETRY_MS
    )


def _busy() -> RequestError:
    return RequestError(
        ErrorCode.OVERLOADED, "the wallet's keys change all the time", retry_after_ms=RETRY_MS
    )
