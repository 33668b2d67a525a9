"""One session over a blocking socket: records what the hub says, and what a rival says instead."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from websocket import WebSocket, create_connection

from bench.hub.processes import BenchError
from bench.hub.signer import ADMIN_GROUP, CHANNEL, LOGIN_ID, Signer
from bench.hub.wallets import TIMES, WALLETS, WATCHED, wallet
from realtime_loadtest.wire import pack, unpack
from realtime_protocol.messages import ERROR_REPLY, REPLY_BIT, RequestType
from realtime_protocol.versions import SUBPROTOCOL_MSGPACK

TIMEOUT_S: Final = 10.0
UPGRADE_KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
"""RFC 6455's example, as the generator sends it: the floor knows only the answer to this one."""
WALLETS_AT_ONCE: Final = 64
SUBSCRIBE_ID: Final = 2
PUBLISH_ID: Final = 3
SUBSCRIBE: Final = pack(
    [int(RequestType.SUBSCRIBE), SUBSCRIBE_ID, [CHANNEL, None, [wallet(WATCHED).public_key]]]
)


class Probe:
    """A logged-in session, request by request."""

    def __init__(self, socket: WebSocket, *, as_admin: bool = False) -> None:
        self._socket = socket
        self._ids = count(70_001)
        self.challenge = self.receive()
        group = ADMIN_GROUP if as_admin else 0
        login = Signer().answer(0, group, self.challenge)
        assert login is not None
        self.login = self.ask(login)
        if unpack(self.login)[:2] != [int(RequestType.LOGIN) | REPLY_BIT, LOGIN_ID]:
            raise BenchError(f"a login was answered {unpack(self.login)}")

    def ask(self, request: bytes) -> bytes:
        """Send a request and return the next frame."""
        self._socket.send_binary(request)
        return self.receive()

    def receive(self) -> bytes:
        """Return the next frame."""
        frame = self._socket.recv()
        if not isinstance(frame, bytes) or not frame:
            raise BenchError(f"a server said {frame!r} and closed")
        return frame

    def request(self, kind: RequestType, body: list[Any]) -> tuple[int, list[Any]]:
        """Send a request; return its reply's type and body, past whatever is pushed before."""
        number = next(self._ids)
        self._socket.send_binary(pack([int(kind), number, body]))
        while True:
            answer = unpack(self.receive())
            if answer[0] in (int(kind) | REPLY_BIT, ERROR_REPLY) and answer[1] == number:
                return answer[0], answer[2]

    def trust_of(self, keys: Sequence[bytes]) -> bytes:
        """Return the whole reply to a trust.get."""
        return self.ask(pack([int(RequestType.TRUST_GET), next(self._ids), list(keys)]))


@contextmanager
def probing(port: int, *, as_admin: bool = False) -> Iterator[Probe]:
    """Connect to a server on this machine and log in."""
    socket = create_connection(
        f"ws://127.0.0.1:{port}/v1",
        subprotocols=[SUBPROTOCOL_MSGPACK],
        timeout=TIMEOUT_S,
        suppress_origin=True,
        header={"Sec-WebSocket-Key": UPGRADE_KEY},
    )
    try:
        yield Probe(socket, as_admin=as_admin)
    finally:
        socket.close()


@dataclass(frozen=True, slots=True)
class Answers:
    """What a server says of all wallets, times set to 0, and how it writes it."""

    trusts: list[list[int]]
    frames: list[bytes]


def read_all(port: int) -> Answers:
    """Ask for every wallet, twice: the first time may have to look further than memory."""
    trusts: list[list[int]] = []
    frames: list[bytes] = []
    with probing(port) as probe:
        for begin in range(0, WALLETS, WALLETS_AT_ONCE):
            numbers = range(begin, min(begin + WALLETS_AT_ONCE, WALLETS))
            keys = [wallet(number).public_key for number in numbers]
            probe.trust_of(keys)
            frame = probe.trust_of(keys)
            trusts += unpack(frame)[2]
            frames.append(without_times(frame))
        frames += [
            without_times(probe.trust_of([wallet(number).public_key]))
            for number in range(0, WALLETS, WALLETS_AT_ONCE)
        ]
    return Answers(trusts, frames)


def without_times(frame: bytes) -> bytes:
    """Return a reply with its times set to 0; BenchError when it isn't in its shortest form."""
    reply = unpack(frame)
    # A time of day is 0x0000_01xx..., eight bytes; msgpackr marks it as signed, others as unsigned.
    if pack(reply) != frame.replace(b"\xd3\0\0\1", b"\xcf\0\0\1"):
        raise BenchError(f"a reply in a longer form than need be: {frame.hex()}")
    for trust in reply[2]:
        trust[-TIMES:] = [0] * TIMES
    return pack(reply)
