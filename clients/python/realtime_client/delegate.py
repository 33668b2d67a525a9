"""A key of this program's own that a wallet lets log in: one prompt, then none until its end."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from realtime_client.secret_file import read_secret, write_secret
from realtime_client.spending import SpendingWallet
from realtime_protocol.identity import PublicKey, encode_identity, parse_identity
from realtime_protocol.login_resources import encode_key
from realtime_protocol.session_key import KEY_BYTES, session_public_key

DAY_S: Final = 86_400
LEFT_MS_MIN: Final = 5_000
"""A grant that ends sooner isn't used any more."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a wallet is asked to sign for."""

    lines: tuple[str, ...]
    until_ms: int
    spend_until_ms: int


class Delegate:
    """An Ed25519 key, and what a wallet has granted it. Give it to `connect`.

    With *spending* the wallet also signs for a `SpendingWallet`, from which the key may pay.

    `Delegate()` lives in memory; `Delegate.at(path)` in a file of mode 0600, so that the program's
    next start needs no prompt either. *lives_s* is for how long the wallet is asked to let it in.
    Whoever has the file can log in as the wallet until then, with the scopes that were granted:
    see docs/howto/delegated-keys.md.
    """

    def __init__(self, *, lives_s: int = DAY_S, spending: SpendingWallet | None = None) -> None:
        if lives_s < 1:
            raise ValueError(f"a key lives at least a second, not {lives_s}")
        self.spending = spending
        self._lives_ms = lives_s * 1_000
        self._path: Path | None = None
        self._seed = secrets.token_bytes(KEY_BYTES)
        self._wallet: PublicKey | None = None
        self._domain = ""
        self._until_ms = 0
        self._spends_from: PublicKey | None = None

    @classmethod
    def at(
        cls, path: Path | str, *, lives_s: int = DAY_S, spending: SpendingWallet | None = None
    ) -> Self:
        """Return the key in that file, or a new one that will lie there once it is granted.

        ValueError when it is another kind of file, PermissionError when others may read it.
        """
        made = cls(lives_s=lives_s, spending=spending)
        made._path = Path(path).expanduser()
        text = read_secret(made._path)
        if text is not None:
            made._take(text)
        return made

    @property
    def public_key(self) -> bytes:
        """The half that the login text names."""
        return session_public_key(self._seed)

    @property
    def until_ms(self) -> int:
        """When the grant ends, epoch ms; 0 before there is one."""
        return self._until_ms

    def may_log_in(self, wallet: PublicKey, domain: str, *, now_ms: int) -> bool:
        """Whether it was granted for this wallet and domain, and not too long ago.

        Its spending wallet must have been signed for too, and may spend still.
        """
        spending = self.spending
        if spending is not None:
            together = self._spends_from == spending.public_key
            if not together or not spending.may_spend(wallet, now_ms=now_ms):
                return False
        granted = (self._wallet, self._domain) == (wallet, domain)
        return granted and now_ms + LEFT_MS_MIN < self._until_ms

    def forget(self) -> None:
        """Give the key up, as one that was revoked: the next login grants another."""
        self._seed = secrets.token_bytes(KEY_BYTES)
        self._wallet, self._domain, self._until_ms = None, "", 0
        self._spends_from = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def __repr__(self) -> str:
        return f"Delegate({self.public_key.hex()}, until_ms={self._until_ms})"

    # For `connect` ------------------------------------------------------------------------------

    @property
    def seed(self) -> bytes:
        """The secret half."""
        return self._seed

    def ask(self, *, now_ms: int) -> "Asked":
        """Return the lines for the wallet to sign, and the ends that they name."""
        until_ms = (now_ms + self._lives_ms) // 1_000 * 1_000
        line = encode_key(self.public_key, until_ms=until_ms)
        if self.spending is None:
            return Asked((line,), until_ms, 0)
        spend_line, spend_until_ms = self.spending.ask(now_ms=now_ms)
        return Asked((line, spend_line), until_ms, spend_until_ms)

    def grant(self, wallet: PublicKey, domain: str, asked: "Asked") -> None:
        """The hub took the wallet's signature for what was *asked*."""
        self._wallet, self._domain, self._until_ms = wallet, domain, asked.until_ms
        if self.spending is not None:
            self.spending.grant(wallet, asked.spend_until_ms)
            self._spends_from = self.spending.public_key
        if self._path is not None:
            kept = {
                "seed": self._seed.hex(),
                "wallet": encode_identity(wallet),
                "domain": domain,
                "until_ms": asked.until_ms,
                "spends_from": None
                if self._spends_from is None
                else encode_identity(self._spends_from),
            }
            write_secret(self._path, json.dumps(kept))

    def _take(self, text: str) -> None:
        try:
            kept = json.loads(text)
            self._seed = bytes.fromhex(kept["seed"])
            self._wallet = parse_identity(kept["wallet"])
            self._domain, self._until_ms = str(kept["domain"]), int(kept["until_ms"])
            spends_from = kept.get("spends_from")
            self._spends_from = None if spends_from is None else parse_identity(spends_from)
            session_public_key(self._seed)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._path} holds no delegated key; remove it") from error
