"""Keeps living sessions resumable, and finds those that somebody wants to resume."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from realtime_hub.clock import Clock, Entropy
from realtime_hub.session.resume import (
    FAMILY_BYTES,
    HOLDER_BYTES,
    TOKEN_BYTES,
    Family,
    FamilyState,
    Presented,
    family_key,
    following_token,
    left,
    present,
    resumed,
    reused,
    token_hash,
)
from realtime_hub.session.resume_store import HUB_ID_BYTES, Move, ResumeStore, StoreUnavailable
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position
from realtime_protocol.session_key import Kind, resume_body, verify_with_session_key

logger = logging.getLogger(__name__)

EVERY_S: Final = 1.0
FAMILIES_PER_CALL: Final = 256
MOVES_WAITING_MAX: Final = 65_536
"""Departures that the store wasn't told of yet; the oldest give way, and their time runs out."""
TAKE_TRIES_MAX: Final = 4
"""How often a family may change under a resume before the client is asked to try again."""
RETRY_MS: Final = 1_000
_NOBODYS_KEY: Final = bytes.fromhex(
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
)
"""Checked against where no family is found, so that the time tells nothing (RFC 8032, 7.1)."""


class Holder(Protocol):
    """The session of a living connection."""

    def fail(self, code: CloseCode) -> None:
        """Close the connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A session that logged in, as it is to be kept."""

    sid: str
    wallet: PublicKey
    scopes: tuple[str, ...]
    session_key: bytes
    domain: str
    session_exp_ms: int
    grant_id: bytes
    by_key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What comes with a token: the signature, and what it has to cover."""

    signature: bytes
    domain: str
    uri: str
    nonce: str


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a living session stands in the store."""

    key: bytes
    family: Family
    session: Holder


class Resumes:
    """The session layer's side of a `ResumeStore`. One owner runs :meth:`run`.

    *position* tells where the trust log is; *end_sessions* closes a wallet's sessions on this hub
    that were opened up to then (epoch ms of the store's clock).
    """

    def __init__(
        self,
        store: ResumeStore,
        *,
        clock: Clock,
        entropy: Entropy,
        within_ms: int,
        position: Callable[[], Position],
        end_sessions: Callable[[PublicKey, int], None],
    ) -> None:
        self.within_ms = within_ms
        """How long after its connection was lost a session can be resumed."""
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._position = position
        self._end_sessions = end_sessions
        self._held: dict[bytes, Place] = {}
        self._alive: dict[bytes, Place] = {}
        """To be renewed."""
        self._moves: dict[bytes, Move] = {}
        self._left = asyncio.Event()

    # A session begins, or is taken up again -----------------------------------------------------

    async def open(self, session: Holder, opening: Opening) -> tuple[Place, bytes] | None:
        """Begin a family; return the session's place and its first token.

        None when the store can't be reached: then the session can't be resumed.
        """
        token = self._entropy.token(TOKEN_BYTES)
        key = family_key(token)
        try:
            family = Family(
                sid=opening.sid,
                wallet=opening.wallet,
                scopes=opening.scopes,
                session_key=opening.session_key,
                domain=opening.domain,
                session_exp_ms=opening.session_exp_ms,
                grant_id=opening.grant_id,
                by_key=opening.by_key,
                opened_ms=await self._store.now_ms(),
                seen=self._position(),
                holder=self._new_holder(),
                token_hash=token_hash(token),
            )
            await self._store.swap([Move(key, None, family)])
        except StoreUnavailable as error:
            logger.warning("a session can't be resumed later: %s", error)
            return None
        return self._hold(Place(key, family, session)), token

    async def find(self, token: bytes, proof: Proof) -> Family:
        """Return the family whose token and key these are; RequestError 108, 208, 209, 210.

        Nothing is used up yet. Whoever shows an old token ends the family, with the key or without.
        """
        key = family_key(token)
        family = await self._load(key)
        proven = verify_with_session_key(
            _NOBODYS_KEY if family is None else family.session_key,
            Kind.RESUME,
            resume_body(
                domain=proof.domain,
                uri=proof.uri,
                sid="" if family is None else family.sid,
                nonce=proof.nonce,
            ),
            proof.signature,
        )
        if family is None or family.domain != proof.domain:
            raise _unknown()
        presented = await self._present(key, family, token)
        if not proven:
            raise _unknown()
        if presented is Presented.EXPIRED:
            raise RequestError(ErrorCode.RESUME_EXPIRED, "the time to resume it is over")
        if family.opened_ms <= await self._ended_ms(family.wallet):
            raise _unknown()
        return family

    def session_of(self, token: bytes) -> Holder | None:
        """Return this hub's living session of the token's family."""
        place = self._held.get(family_key(token))
        return None if place is None else place.session

    async def take(self, session: Holder, token: bytes, family: Family) -> tuple[Place, bytes]:
        """Use *token* up for *session*; return its place and the next token.

        Another connection that has the session is closed 4508, here or on another hub.
        """
        key = family_key(token)
        for _ in range(TAKE_TRIES_MAX):
            presented = await self._present(key, family, token)
            following = following_token(token, self._entropy.token(TOKEN_BYTES - FAMILY_BYTES))
            after = resumed(
                family,
                presented,
                token=following,
                holder=self._new_holder(),
                seen=self._position(),
                now_ms=self._clock.now_ms(),
            )
            if await self._swap(Move(key, family, after)):
                return self._hold(Place(key, after, session)), following
            found = await self._load(key)
            if found is None:
                raise _unknown()
            family = found
        raise RequestError(
            ErrorCode.OVERLOADED, "the session changes all the time", retry_after_ms=RETRY_MS
        )

    async def _present(self, key: bytes, family: Family, token: bytes) -> Presented:
        presented = present(family, token, now_ms=self._clock.now_ms(), within_ms=self.within_ms)
        if presented is Presented.REUSED:
            if family.state is not FamilyState.REVOKED:
                await self._revoke(key, family)
            raise RequestError(ErrorCode.RESUME_REUSED, "the token was used before; log in again")
        return presented

    async def _revoke(self, key: bytes, family: Family) -> None:
        """Let nobody resume it, and close the connection that has it."""
        logger.warning("an old resume token was used; its session ends", extra={"sid": family.sid})
        for _ in range(TAKE_TRIES_MAX):
            if await self._swap(Move(key, family, reused(family))):
                break
            found = await self._load(key)
            if found is None or found.state is FamilyState.REVOKED:
                break
            family = found
        self._drop(key, CloseCode.RESUME_REUSED)

    # A session lives and ends -------------------------------------------------------------------

    def alive(self, place: Place) -> None:
        """Its client gave a sign of life: it is kept for as long again."""
        if self._held.get(place.key) is place:
            self._alive[place.key] = place

    def leave(self, place: Place, *, for_good: bool) -> None:
        """Its connection is gone; *for_good*: nobody shall resume it."""
        if self._held.get(place.key) is not place:
            return  # Another connection has it.
        self._forget(place.key)
        after = (
            None
            if for_good
            else left(place.family, seen=self._position(), now_ms=self._clock.now_ms())
        )
        self._moves[place.key] = Move(place.key, place.family, after)
        if len(self._moves) > MOVES_WAITING_MAX:
            del self._moves[next(iter(self._moves))]
        self._left.set()

    async def end(self, place: Place) -> None:
        """End it for good, before anybody is told that it has ended."""
        self.leave(place, for_good=True)
        await self._tell_moves([place.key])

    async def end_all(self, wallet: PublicKey) -> None:
        """End all of a wallet's sessions on every hub; RequestError 108."""
        try:
            ended_ms = await self._store.end_all(wallet)
        except StoreUnavailable as error:
            raise _unavailable() from error
        self._end_sessions(wallet, ended_ms)

    async def run(self) -> None:
        """Renew, tell departures and listen to other hubs, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._store.follow(self._taken, self._end_sessions), name="resumes")
            group.create_task(self._renew(), name="renewals")
            group.create_task(self._tell_departures(), name="departures")

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            due, self._alive = list(self._alive.values()), {}
            for begin in range(0, len(due), FAMILIES_PER_CALL):
                await self._renew_some(due[begin : begin + FAMILIES_PER_CALL])

    async def _renew_some(self, places: list[Place]) -> None:
        try:
            found = await self._store.renew([(each.key, each.family.wallet) for each in places])
        except StoreUnavailable as error:
            logger.warning("sessions can't be renewed now: %s", error)
            return  # The next sign of life is soon enough.
        for place, standing in zip(places, found, strict=True):
            if self._held.get(place.key) is not place:
                continue
            if place.family.opened_ms <= standing.ended_ms:
                self._drop(place.key, CloseCode.SESSION_REVOKED)
            elif standing.family is None:
                # The store lost it. It is kept again from the next sign of life on.
                self._moves.setdefault(place.key, Move(place.key, None, place.family))
                self._left.set()
            else:
                self._taken(place.key, standing.family)

    async def _tell_departures(self) -> None:
        while True:
            await self._left.wait()
            self._left.clear()
            while self._moves:
                if not await self._tell_moves(list(islice(self._moves, FAMILIES_PER_CALL))):
                    await asyncio.sleep(EVERY_S)

    async def _tell_moves(self, keys: list[bytes]) -> bool:
        moves = [self._moves[key] for key in keys if key in self._moves]
        try:
            await self._store.swap(moves)
        except StoreUnavailable as error:
            logger.warning("departures wait: %s", error)
            return False
        for move in moves:  # A move that wasn't made is another connection's by now.
            if self._moves.get(move.key) is move:
                del self._moves[move.key]
        return True

    def _taken(self, key: bytes, family: Family | None) -> None:
        """Look at what became of a family that this hub may hold."""
        place = self._held.get(key)
        if place is None or family is None:
            return
        if family.state is FamilyState.REVOKED:
            self._drop(key, CloseCode.RESUME_REUSED)
        elif family.holder != place.family.holder:
            self._drop(key, CloseCode.SUPERSEDED)

    def _hold(self, place: Place) -> Place:
        self._drop(place.key, CloseCode.SUPERSEDED)
        self._moves.pop(place.key, None)
        self._held[place.key] = place
        return place

    def _drop(self, key: bytes, code: CloseCode) -> None:
        place = self._held.get(key)
        if place is not None:
            self._forget(key)  # First, so that its end isn't told to the store as a departure.
            place.session.fail(code)

    def _forget(self, key: bytes) -> None:
        del self._held[key]
        self._alive.pop(key, None)

    # The store, with its failures as the client sees them ---------------------------------------

    async def _load(self, key: bytes) -> Family | None:
        try:
            return await self._store.load(key)
        except StoreUnavailable as error:
            raise _unavailable() from error

    async def _swap(self, move: Move) -> bool:
        try:
            [done] = await self._store.swap([move])
        except StoreUnavailable as error:
            raise _unavailable() from error
        return done

    async def _ended_ms(self, wallet: PublicKey) -> int:
        try:
            return await self._store.ended_ms(wallet)
        except StoreUnavailable as error:
            raise _unavailable() from error

    def _new_holder(self) -> bytes:
        return self._store.hub_id + self._entropy.token(HOLDER_BYTES - HUB_ID_BYTES)


def _unknown() -> RequestError:
    # One answer for a token that is unknown and for a proof that is wrong: guessing tells nothing.
    return RequestError(
        ErrorCode.RESUME_UNKNOWN, "no session that can be resumed has this token and this key"
    )


def _unavailable() -> RequestError:
    return RequestError(
        ErrorCode.BACKBONE_UNAVAILABLE, "sessions can't be resumed now", retry_after_ms=RETRY_MS
    )
