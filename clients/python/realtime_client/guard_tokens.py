"""What a guard hands out: nonces that count once, and session tokens. Pure; the time is given in.

Both are random or named values under a MAC of the guard's secret, so that nothing is stored until
it is used.
"""

import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from typing import Final

from realtime_protocol.identity import PublicKey

SECRET_BYTES: Final = 32
NONCE_MS: Final = 60_000
TOKEN_MS: Final = 900_000
"""A key that the wallet revokes is noticed at the latest when its token runs out."""
NONCES_USED_MAX: Final = 100_000
_TIME_BYTES: Final = 8
_RANDOM_BYTES: Final = 16
_MAC_BYTES: Final = 32
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{75}")
_TOKEN: Final = re.compile(r"rgt_([A-Za-z0-9_-]{96})")


class TokenRefused(ValueError):  # noqa: N818 - an outcome, not a mistake of the caller
    """This text is none of ours, or counts no more; the message says which."""


class GuardTokens:
    """Nonces and tokens of one service, whose processes share *secret*."""

    def __init__(self, secret: bytes, audience: str) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"the secret of a guard has {SECRET_BYTES} bytes, not {len(secret)}")
        self._secret = secret
        self._audience = audience.encode()
        self._used: OrderedDict[str, int] = OrderedDict()

    def issue_nonce(self, *, now_ms: int) -> str:
        """Return a nonce that counts for NONCE_MS."""
        body = _time(now_ms + NONCE_MS) + secrets.token_bytes(_RANDOM_BYTES)
        return _encode(body + self._mac(b"nonce", body))

    def use_nonce(self, nonce: str, *, now_ms: int) -> None:
        """Use a nonce up; TokenRefused when it is none of ours, is too old or was used."""
        if not _NONCE.fullmatch(nonce):
            raise TokenRefused("this is no nonce of ours; ask for one")
        body = self._open(b"nonce", nonce)
        expires_ms = int.from_bytes(body[:_TIME_BYTES])
        if now_ms >= expires_ms:
            raise TokenRefused("the nonce is too old; ask for another one")
        self._forget(now_ms)
        if nonce in self._used or len(self._used) >= NONCES_USED_MAX:
            raise TokenRefused("the nonce was used; ask for another one")
        self._used[nonce] = expires_ms

    def issue(self, wallet: PublicKey, *, now_ms: int, latest_ms: int) -> tuple[str, int]:
        """Return a token for *wallet* and its end, epoch ms: TOKEN_MS from now or *latest_ms*."""
        expires_ms = min(now_ms + TOKEN_MS, latest_ms)
        body = _time(expires_ms) + wallet
        return f"rgt_{_encode(body + self._mac(b'token', body))}", expires_ms

    def read(self, token: str, *, now_ms: int) -> PublicKey:
        """Return whose token it is; TokenRefused when it is none of ours or has run out."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise TokenRefused("this is no token of ours; a hub's session id is none either")
        body = self._open(b"token", found[1])
        if now_ms >= int.from_bytes(body[:_TIME_BYTES]):
            raise TokenRefused("the token has run out; prove your wallet again")
        return PublicKey(body[_TIME_BYTES:])

    def _open(self, kind: bytes, text: str) -> bytes:
        whole = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        body, mac = whole[:-_MAC_BYTES], whole[-_MAC_BYTES:]
        # One text for one value: letters that decode alike must not pass for another nonce.
        if _encode(whole) != text or not hmac.compare_digest(mac, self._mac(kind, body)):
            raise TokenRefused(f"this is no {kind.decode()} of ours")
        return body

    def _mac(self, kind: bytes, body: bytes) -> bytes:
        covered = b"realtime/guard-%b/v1\n%b\n%b" % (kind, self._audience, body)
        return hmac.digest(self._secret, covered, "sha256")

    def _forget(self, now_ms: int) -> None:
        while self._used and next(iter(self._used.values())) <= now_ms:
            self._used.popitem(last=False)


def _time(epoch_ms: int) -> bytes:
    return epoch_ms.to_bytes(_TIME_BYTES)


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
