"""A wallet: a public key and something that signs for it.

A signer gets exactly what it signs for: the login text, or a transaction that this client has
already compared with the intent. ``message`` is the bytes that enter SchnorrQ in both cases.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from realtime_protocol.identity import PublicKey, encode_identity, parse_identity
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import KEY_BYTES, SIGNATURE_BYTES, keypair, sign
from realtime_protocol.transaction import Transaction, parse_unsigned, signing_digest
from realtime_protocol.wallet_signatures import signed_message

SIGN_WITHIN_MS_MAX: Final = 290_000


@dataclass(frozen=True, slots=True)
class LoginToSign:
    """A login text, to be signed under *scheme*."""

    text: bytes
    scheme: Scheme

    @property
    def message(self) -> bytes:
        """The bytes that enter the signature."""
        return signed_message(self.scheme, self.text)


@dataclass(frozen=True, slots=True)
class TransactionToSign:
    """A transaction that pays what the intent says."""

    unsigned: bytes

    @property
    def transaction(self) -> Transaction:
        """Its fields, to be shown to a person."""
        return parse_unsigned(self.unsigned)

    @property
    def message(self) -> bytes:
        """The bytes that enter the signature."""
        return signing_digest(self.unsigned)


ToSign = LoginToSign | TransactionToSign
Signer = Callable[[ToSign], bytes | Awaitable[bytes]]


class Wallet:
    """The wallet that logs in and pays.

    *signer* returns the 64 bytes of a signature; it may be async, and one that isn't runs in a
    thread. *scheme* is how it signs the login text. *sign_within_ms* is how long a signature may
    take: 0 for a key at hand, minutes for a person with a phone.
    """

    def __init__(
        self,
        public_key: bytes | str,
        signer: Signer,
        *,
        scheme: Scheme = Scheme.K12,
        sign_within_ms: int = 0,
    ) -> None:
        if not 0 <= sign_within_ms <= SIGN_WITHIN_MS_MAX:
            raise ValueError(f"sign_within_ms {sign_within_ms} is not in 0..{SIGN_WITHIN_MS_MAX}")
        self.public_key = as_public_key(public_key)
        self.scheme = scheme
        self.sign_within_ms = sign_within_ms
        self._signer = signer

    @classmethod
    def from_seed(cls, seed: str) -> Self:
        """Return the wallet of a seed of 55 letters a to z; ValueError for any other text."""
        keys = keypair(seed)

        def sign_with_seed(to_sign: ToSign) -> bytes:
            return sign(keys.subseed, keys.public_key, to_sign.message)

        return cls(keys.public_key, sign_with_seed)

    @property
    def identity(self) -> str:
        """The 60 letters of the public key."""
        return encode_identity(self.public_key)

    async def sign(self, to_sign: ToSign) -> bytes:
        """Return the signature; ValueError when the signer gives anything but 64 bytes."""
        signer: Callable[[ToSign], Any] = self._signer
        if inspect.iscoroutinefunction(signer):
            answer = signer(to_sign)
        else:
            answer = await asyncio.to_thread(signer, to_sign)
        signature = await answer if inspect.isawaitable(answer) else answer
        if not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES:
            raise ValueError(f"a signer returns {SIGNATURE_BYTES} bytes")
        return signature

    def __repr__(self) -> str:
        return f"Wallet({self.identity})"


def as_public_key(wallet: bytes | str) -> PublicKey:
    """Take 60 letters or 32 bytes; ValueError for anything else."""
    if isinstance(wallet, str):
        return parse_identity(wallet)
    if len(wallet) != KEY_BYTES:
        raise ValueError(f"a public key has {KEY_BYTES} bytes, not {len(wallet)}")
    return PublicKey(bytes(wallet))
