"""What a session needs of the services behind it and of the connection in front of it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from realtime_hub.auth.grants import Grant
from realtime_hub.pay.ports import PaymentDoor
from realtime_protocol.identity import PublicKey
from realtime_protocol.login_text import LoginChallenge
from realtime_protocol.messages import (
    Intent,
    LoginRequest,
    Position,
    Quote,
    Trust,
    TrustChanged,
    TrustSetReply,
)


class Wire(Protocol):
    """One open connection, as bytes of whole messages."""

    @property
    def writable(self) -> bool:
        """Whether more may be sent now; `LiveSession.flush` is called when that turns true."""
        ...

    @property
    def unsent_bytes(self) -> int:
        """What was sent here and the system has not taken yet."""
        ...

    @property
    def drained_bytes(self) -> int:
        """What the system has taken so far; it grows while the client reads."""
        ...

    def tick(self, now_s: float) -> None:
        """Look after the connection itself: called every half second or so."""
        ...

    def send(self, messages: Sequence[bytes]) -> None:
        """Send whole messages, in order."""
        ...

    def pause_reading(self) -> None:
        """Deliver no further messages until `resume_reading`."""
        ...

    def resume_reading(self) -> None:
        """Deliver messages again."""
        ...

    def close(self, code: int, reason: str, *, within_s: float) -> None:
        """Say goodbye; whoever doesn't answer within *within_s* is cut off."""
        ...


class ProvenLogin(Protocol):
    """A wallet that proved itself."""

    @property
    def wallet(self) -> PublicKey:
        """Who it is."""
        ...

    @property
    def scopes(self) -> Sequence[str]:
        """What the login grants."""
        ...

    @property
    def session_exp_ms(self) -> int:
        """When the session ends, epoch ms."""
        ...

    @property
    def session_key(self) -> bytes | None:
        """The Ed25519 key that may resume the session."""
        ...

    @property
    def by_key(self) -> bool:
        """Whether a granted key signed, not the wallet."""
        ...


class TrustChange(Protocol):
    """An entry of the trust log."""

    @property
    def log_seq(self) -> int:
        """Its place in the log."""
        ...

    @property
    def body(self) -> TrustChanged:
        """What watchers are told."""
        ...


class SessionGrants(Protocol):
    """What sessions need of the keys that may log in."""

    @property
    def listeners(self) -> list[Callable[[bytes], None]]:
        """Called with the id of each grant that was revoked."""
        ...

    def require_standing(self, wallet: PublicKey, grant: Grant) -> None:
        """Raise RequestError 204 when this hub knows that a grant has ended."""
        ...

    def block(self, wallet: PublicKey, place: Position) -> None:
        """The wallet is blocked as of that place of the trust log: its grants end, for good."""
        ...

    async def resume(self, wallet: PublicKey, grant_id: bytes) -> Grant | None:
        """Return a grant that still stands; RequestError 108."""
        ...

    async def standing(self, held: Sequence[tuple[PublicKey, bytes]]) -> Sequence[bool]:
        """Tell of each wallet's grant id whether it still stands; RequestError 108."""
        ...

    async def grants_of(self, wallet: PublicKey) -> Sequence[Grant]:
        """Return a wallet's living grants; RequestError 108."""
        ...

    async def revoke(self, wallet: PublicKey, key: bytes | None) -> int:
        """End a key's grant, or all, on every hub; return how many. RequestError 108."""
        ...


class SessionAuth(Protocol):
    """What sessions need of TurboAuth."""

    @property
    def delegation(self) -> SessionGrants:
        """The keys that may log in."""
        ...

    @property
    def backbone_ok(self) -> bool:
        """Whether the hub can vouch for what it says."""
        ...

    def issue_challenge(self, *, domain: str, uri: str, ttl_ms: int) -> LoginChallenge:
        """Return a fresh challenge."""
        ...

    async def prove(self, challenge: LoginChallenge, request: LoginRequest) -> ProvenLogin:
        """Check a proof whose nonce is used up already; RequestError when it isn't one."""
        ...

    async def admit(self, wallet: PublicKey) -> Trust:
        """Read the trust of a wallet whose session is registered; RequestError 206 or 108."""
        ...

    async def stand_on(self, proven: Any, *, seen: Position) -> Grant | None:
        """Return the grant of an admitted login, kept from now on; None without one.

        *seen* is where the trust log was before `admit`. RequestError 108, 204, 206 or 211.
        """
        ...

    async def readmit(self, wallet: PublicKey, *, seen: Position) -> Trust:
        """Read it again, not older than the trust log is now, which must have reached *seen*."""
        ...

    def peek_ready(self, wallets: Sequence[PublicKey]) -> Sequence[object] | None:
        """Return what memory holds, to be encoded at once, if it holds all of it freshly."""
        ...

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        """Return what is known."""
        ...

    def position(self) -> Position:
        """Return where the trust log is."""
        ...

    async def changes_since(self, position: Position) -> Sequence[TrustChange] | None:
        """Return what came after *position*; None when that can't be had."""
        ...

    async def set_trust(self, signed_tx: bytes, *, admin: PublicKey | None) -> TrustSetReply:
        """Take an administrator's signed transaction."""
        ...


class SessionSignatures(Protocol):
    """What sessions need of whoever checks signatures."""

    async def verify_all(self, items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        """Tell of each (public key, message, signature) whether it is good; RequestError 107."""
        ...


class SignedDecision(Protocol):
    """A decision as it travels."""

    @property
    def signed(self) -> bytes:
        """The whole of it."""
        ...


class SessionDecisions(Protocol):
    """What sessions need of whoever signs decisions."""

    async def issue(
        self,
        wallet: PublicKey,
        *,
        audience: str,
        nonce: str | None,
        session_key: bytes | None,
        session_key_until_ms: int | None,
    ) -> SignedDecision:
        """Sign what is known of a wallet; RequestError 103 or 108."""
        ...


class QuoteStream(Protocol):
    """Quotes for one intent, until closed."""

    @property
    def first(self) -> Quote:
        """The quote at the time of opening."""
        ...

    def close(self) -> None:
        """End the stream."""
        ...


class SessionQuotes(Protocol):
    """What sessions need of TurboRoute."""

    def open(self, intent: Intent, deliver: Callable[[Quote], None]) -> QuoteStream:
        """Open a stream; *deliver* is called with each later quote. RequestError if none."""
        ...


class SessionPayments(PaymentDoor, Protocol):
    """What sessions need of the payments.

    `read_stream` reads at no point before `position`: whoever wants no hole holds changes before
    it asks.
    """

    def position(self) -> Position:
        """Return up to where changes were delivered here; RequestError before that is known."""
        ...
