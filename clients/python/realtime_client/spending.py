"""A Qubic wallet of this program's own that pays without a prompt: the owner funds it and sets
its bounds, in the login text that grants a `Delegate`."""

import json
import secrets
import string
from pathlib import Path
from typing import Final, Self

from realtime_client.errors import SpendLimitError
from realtime_client.secret_file import read_secret, write_secret
from realtime_client.wallet import Wallet
from realtime_protocol.identity import PublicKey, encode_identity, parse_identity
from realtime_protocol.login_resources import encode_spend
from realtime_protocol.messages import AMOUNT_QU_MAX
from realtime_protocol.schnorrq import SEED_LETTERS

HOUR_S: Final = 3_600


class SpendingWallet:
    """Give it to a `Delegate`, fund it by an ordinary payment, then ``session.pay(…, source=it)``.

    *max_qu* and *lives_s* are what the owner's wallet is asked for. Here and at the hub they are
    kept before anything is signed; what was signed counts for good, whatever the hub says became
    of it. `SpendingWallet.at(path)` keeps key and count in a file of mode 0600. One made without a
    file is gone with the program, and what it holds with it: sweep it before.
    """

    def __init__(self, *, max_qu: int, lives_s: int = HOUR_S) -> None:
        self._require_bounds(max_qu, lives_s)
        self._wished_qu = max_qu
        self._lives_ms = lives_s * 1_000
        self._path: Path | None = None
        self._take_seed(
            "".join(secrets.choice(string.ascii_lowercase) for _ in range(SEED_LETTERS))
        )
        self._owner: PublicKey | None = None
        self._max_qu = 0
        self._until_ms = 0
        self._spent_qu = 0

    @classmethod
    def at(cls, path: Path | str, *, max_qu: int, lives_s: int = HOUR_S) -> Self:
        """Return the wallet in that file, or a new one that lies there from now on.

        ValueError when it is another kind of file, PermissionError when others may read it.
        """
        made = cls(max_qu=max_qu, lives_s=lives_s)
        made._path = Path(path).expanduser()
        text = read_secret(made._path)
        if text is None:
            made._write()  # Before anybody can send money to it.
        else:
            made._take(text)
        return made

    @property
    def identity(self) -> str:
        """Its 60 letters: where to send what it may spend."""
        return self.wallet.identity

    @property
    def public_key(self) -> PublicKey:
        """Its public key."""
        return self.wallet.public_key

    @property
    def left_qu(self) -> int:
        """What it may still spend under what was signed, whatever it holds."""
        return self._max_qu - self._spent_qu

    @property
    def until_ms(self) -> int:
        """Until when it may spend, epoch ms; 0 before the owner's wallet has signed."""
        return self._until_ms

    def __repr__(self) -> str:
        return f"SpendingWallet({self.identity}, left_qu={self.left_qu})"

    # For `connect` and `pay` --------------------------------------------------------------------

    def may_spend(self, owner: PublicKey, *, now_ms: int) -> bool:
        """Whether *owner* has signed for it and its time isn't over."""
        return self._owner == owner and now_ms < self._until_ms

    def ask(self, *, now_ms: int) -> tuple[str, int]:
        """Return the line for the owner's wallet to sign, and the end that it names."""
        until_ms = (now_ms + self._lives_ms) // 1_000 * 1_000
        line = encode_spend(self.public_key, max_qu=self._wished_qu, until_ms=until_ms)
        return line, until_ms

    def grant(self, owner: PublicKey, until_ms: int) -> None:
        """The hub took the owner's signature for it: the count begins anew."""
        self._owner, self._until_ms = owner, until_ms
        self._max_qu, self._spent_qu = self._wished_qu, 0
        self._write()

    def require_in_time(self, owner: PublicKey, now_ms: int) -> None:
        """Raise SpendLimitError when nothing may be signed any more."""
        if not self.may_spend(owner, now_ms=now_ms):
            raise SpendLimitError(
                "this wallet may not spend now: its time is over, or nobody has signed for it; "
                "connect anew, and the owner's wallet is asked"
            )

    def spend(self, amount_qu: int) -> None:
        """Count what is about to be signed; SpendLimitError when it is too much."""
        if amount_qu > self.left_qu:
            raise SpendLimitError(
                f"{amount_qu} QU are too much: {self.left_qu} of {self._max_qu} QU are left"
            )
        self._spent_qu += amount_qu
        self._write()

    @staticmethod
    def _require_bounds(max_qu: int, lives_s: int) -> None:
        if isinstance(max_qu, bool) or not isinstance(max_qu, int):
            raise TypeError(f"max_qu is a whole number, not {type(max_qu).__name__}")
        if not 1 <= max_qu <= AMOUNT_QU_MAX:
            raise ValueError(f"max_qu {max_qu} is not in 1..{AMOUNT_QU_MAX}")
        if lives_s < 1:
            raise ValueError(f"a spending wallet lives at least a second, not {lives_s}")

    def _take_seed(self, seed: str) -> None:
        self._seed = seed
        self.wallet = Wallet.from_seed(seed)

    def _write(self) -> None:
        if self._path is None:
            return
        kept = {
            "seed": self._seed,
            "owner": None if self._owner is None else encode_identity(self._owner),
            "max_qu": self._max_qu,
            "until_ms": self._until_ms,
            "spent_qu": self._spent_qu,
        }
        write_secret(self._path, json.dumps(kept))

    def _take(self, text: str) -> None:
        try:
            kept = json.loads(text)
            self._take_seed(kept["seed"])
            self._owner = None if kept["owner"] is None else parse_identity(kept["owner"])
            numbers = (kept["max_qu"], kept["until_ms"], kept["spent_qu"])
            self._max_qu, self._until_ms, self._spent_qu = map(int, numbers)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self._path} holds no spending wallet; keep it, it may hold a key, and take "
                "another path"
            ) from error
