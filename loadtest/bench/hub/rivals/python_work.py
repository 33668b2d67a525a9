"""The work of the Python rivals: frames in, frames out, by msgspec's typed codec as the hub's.

No guards, no limits, no signatures: what is compared is the cost of carrying messages.
"""

import time
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct, msgpack

LOGIN: Final = 0x02
SUBSCRIBE: Final = 0x10
TRUST_GET: Final = 0x12
TRUST_SET: Final = 0x38
REPLY_BIT: Final = 0x40
TTL_MS: Final = 86_400_000

Key = Annotated[bytes, Meta(min_length=32, max_length=32)]


class Request(Struct, array_like=True, gc=False):
    """A request whose body waits until its type is known."""

    type: int
    id: int
    body: Raw


class Trust(Struct, array_like=True, gc=False):
    """An answer about one wallet."""

    status: int
    score: int
    seq: int
    reason: int
    tier: int
    age_ms: int
    use_until_ms: int


_decode_request = msgpack.Decoder(Request).decode
_decode_wallets = msgpack.Decoder(Annotated[list[Key], Meta(min_length=1, max_length=64)]).decode
_encode = msgpack.Encoder().encode


class Work:
    """What the work file says to answer."""

    def __init__(self, path: Path) -> None:
        self._frames: dict[str, bytes] = {}
        self._wallets: dict[bytes, tuple[int, int, int, int, int]] = {}
        for line in path.read_text().splitlines():
            name, hexed, *numbers = line.split()
            if name == "wallet":
                status, score, seq, reason, tier = map(int, numbers)
                self._wallets[bytes.fromhex(hexed)] = (status, score, seq, reason, tier)
            else:
                self._frames[name] = bytes.fromhex(hexed)
        self._push: list[Any] = msgpack.decode(self._frames["push"])
        self._read_ms = time.time_ns() // 1_000_000

    @property
    def challenge(self) -> bytes:
        """The first frame of each connection."""
        return self._frames["challenge"]

    def next_push(self) -> bytes:
        """Encode the push of the next fan-out, once for all."""
        self._push[2] += 1
        return _encode(self._push)

    def answer(self, frame: bytes) -> tuple[int, bytes]:
        """Return the type of a request and the reply to it."""
        request = _decode_request(frame)
        if request.type == TRUST_GET:
            return request.type, self._trust(request)
        names = {LOGIN: "login", SUBSCRIBE: "subscribed", TRUST_SET: "published"}
        return request.type, self._frames[names[request.type]]

    def _trust(self, request: Request) -> bytes:
        now_ms = time.time_ns() // 1_000_000
        age_ms, until_ms = now_ms - self._read_ms, self._read_ms + TTL_MS
        known = self._wallets
        answers = [Trust(*known[key], age_ms, until_ms) for key in _decode_wallets(request.body)]
        return _encode([TRUST_GET | REPLY_BIT, request.id, answers])
