"""Logins: a challenge of the hub's own, a text built from it, one signature over that text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from realtime_hub.auth.grants import Grant, GrantTerms, scopes_asked, terms_of
from realtime_hub.clock import Clock, Entropy
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, refusal_of_wallet_key
from realtime_protocol.login_resources import LoginResources
from realtime_protocol.login_text import (
    NONCE_LETTERS,
    LoginChallenge,
    build_login_text,
    parse_resources,
)
from realtime_protocol.messages import Scheme
from realtime_protocol.session_key import Kind, verify_with_session_key
from realtime_protocol.wallet_signatures import signed_message

TTL_MS_MAX: Final = 300_000
REQUEST_ID_LETTERS: Final = 16
WALLET_SCHEMES: Final = frozenset({Scheme.WC, Scheme.K12, Scheme.RAW})

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_BYTES: Final = 32
"""Twice as many bits as 22 letters hold, so that no letter is likelier than another."""


class SignatureVerifier(Protocol):
    """Applies the network's verification rule away from the event loop."""

    async def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature counts; RequestError 107 when too many wait."""
        ...


class GrantFinder(Protocol):
    """Knows the keys that may log in."""

    async def find(self, wallet: PublicKey, key: bytes, *, domain: str) -> Grant:
        """Return a key's living grant; RequestError 108, 202 or 204."""
        ...


@dataclass(frozen=True, slots=True)
class ProvenLogin:
    """A wallet that proved itself, and what it may do until when."""

    wallet: PublicKey
    scopes: tuple[str, ...]
    session_exp_ms: int
    session_key: bytes | None = None
    """The Ed25519 key that may resume the session."""
    terms: GrantTerms | None = None
    """What the wallet signed for that key beyond this session."""
    grant: Grant | None = None
    """What the key logged in by, when it was the key that signed."""

    @property
    def by_key(self) -> bool:
        """Whether the key signed, not the wallet."""
        return self.grant is not None


class Logins:
    """Issues challenges and checks what comes back for them.

    Whoever holds a challenge uses its nonce up before calling :meth:`prove`, good or bad.
    """

    def __init__(
        self,
        *,
        verifier: SignatureVerifier,
        clock: Clock,
        entropy: Entropy,
        chain: str,
        session_ttl_ms: int,
        grants: GrantFinder,
    ) -> None:
        self._grants = grants
        self._verifier = verifier
        self._clock = clock
        self._entropy = entropy
        self._chain = chain
        self._session_ttl_ms = session_ttl_ms

    def issue_challenge(self, *, domain: str, uri: str, ttl_ms: int) -> LoginChallenge:
        """Return a fresh challenge; its times are whole seconds.

        It lives at least *ttl_ms*, unless that makes it longer than clients sign.
        """
        if not 1_000 <= ttl_ms <= TTL_MS_MAX:
            raise RequestError(
                ErrorCode.BAD_MESSAGE, f"ttl of {ttl_ms} ms is not in 1000..{TTL_MS_MAX}"
            )
        now_ms = self._clock.now_ms()
        issued_ms = now_ms // 1_000 * 1_000
        return LoginChallenge(
            nonce=self._letters(NONCE_LETTERS),
            issued_ms=issued_ms,
            expires_ms=min(-(-(now_ms + ttl_ms) // 1_000) * 1_000, issued_ms + TTL_MS_MAX),
            domain=domain,
            uri=uri,
            chain=self._chain,
            request_id=self._letters(REQUEST_ID_LETTERS),
        )

    async def prove(
        self,
        challenge: LoginChallenge,
        *,
        wallet: bytes,
        scheme: Scheme,
        signature: bytes,
        resources: Sequence[str] = (),
    ) -> ProvenLogin:
        """Check a login against its challenge; RequestError 103, 107, 200, 204 or 205.

        By key also 102, 108 and 202.
        """
        now_ms = self._clock.now_ms()
        if now_ms >= challenge.expires_ms:
            late_s = (now_ms - challenge.expires_ms) / 1_000
            raise RequestError(
                ErrorCode.CHALLENGE_EXPIRED,
                f"challenge expired {late_s:.1f} s ago; request a new one",
            )
        granted = self._read_resources(resources, now_ms)
        text = self._build_text(challenge, wallet, resources)
        if scheme is Scheme.KEY:
            return await self._prove_by_key(challenge, wallet, granted, text, signature)
        try:
            terms = terms_of(granted, domain=challenge.domain)
        except ValueError as error:
            raise RequestError(ErrorCode.BAD_MESSAGE, f"resources: {error}") from error
        await self.check_signature(wallet=wallet, scheme=scheme, text=text, signature=signature)
        return ProvenLogin(
            PublicKey(wallet),
            granted.scopes,
            self._session_end_ms(None if terms is None else terms.until_ms),
            None if granted.key is None else granted.key.public_key,
            terms,
        )

    async def _prove_by_key(
        self,
        challenge: LoginChallenge,
        wallet: bytes,
        resources: LoginResources,
        text: bytes,
        signature: bytes,
    ) -> ProvenLogin:
        """Check a login that a granted key signed. The signature first: strangers read no store."""
        key = resources.key
        if key is None or resources.spends:
            raise RequestError(
                ErrorCode.BAD_MESSAGE,
                "resources: a login by key lists that key's line, and scope lines if it wants less",
            )
        if not verify_with_session_key(key.public_key, Kind.LOGIN, text, signature):
            raise RequestError(
                ErrorCode.BAD_SIGNATURE, "the signature is not this key's over the login text"
            )
        grant = await self._grants.find(PublicKey(wallet), key.public_key, domain=challenge.domain)
        if key.until_ms not in (None, grant.terms.until_ms):
            raise RequestError(
                ErrorCode.BAD_MESSAGE, "resources: the key was granted with another until"
            )
        return ProvenLogin(
            PublicKey(wallet),
            scopes_asked(grant, resources.scopes if resources.names_scopes else None),
            self._session_end_ms(grant.terms.until_ms),
            key.public_key,
            grant=grant,
        )

    def _session_end_ms(self, key_until_ms: int | None) -> int:
        """Return when a session ends that begins now: not after the key that stands for it."""
        end_ms = self._clock.now_ms() + self._session_ttl_ms
        return end_ms if key_until_ms is None else min(end_ms, key_until_ms)

    async def check_signature(
        self, *, wallet: bytes, scheme: Scheme, text: bytes, signature: bytes
    ) -> None:
        """Return when *wallet* signed *text* under exactly *scheme*; RequestError 204 or 205."""
        if scheme not in WALLET_SCHEMES:
            raise RequestError(
                ErrorCode.UNSUPPORTED_SCHEME,
                f"scheme {scheme.name.lower()} is not served; use wc, k12 or raw",
            )
        message = signed_message(scheme, text)
        if await self._verifier.verify(wallet, message, signature):
            return
        # Only for a refusal is it told why: the reason may be the key, not the signature.
        refusal = refusal_of_wallet_key(wallet)
        raise RequestError(
            ErrorCode.BAD_SIGNATURE,
            f"this key can't log in: {refusal}"
            if refusal
            else f"the signature is not this wallet's over the login text in scheme "
            f"{scheme.name.lower()}",
        )

    @staticmethod
    def _read_resources(resources: Sequence[str], now_ms: int) -> LoginResources:
        try:
            return parse_resources(resources, now_ms=now_ms)
        except ValueError as error:
            raise RequestError(ErrorCode.BAD_MESSAGE, f"resources: {error}") from error

    @staticmethod
    def _build_text(challenge: LoginChallenge, wallet: bytes, resources: Sequence[str]) -> bytes:
        try:
            return build_login_text(challenge, wallet, list(resources))
        except ValueError as error:
            raise RequestError(ErrorCode.BAD_MESSAGE, f"login text: {error}") from error

    def _letters(self, count: int) -> str:
        number = int.from_bytes(self._entropy.token(_RANDOM_BYTES), "little")
        letters = []
        for _ in range(count):
            number, digit = divmod(number, len(_ALPHABET))
            letters.append(_ALPHABET[digit])
        return "".join(letters)
