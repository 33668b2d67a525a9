"""Signs logins and resumptions for the generator: ``python -m bench.hub.signer FD``.

The generator passes on each challenge and each login's reply as
``[size u32][session u32][group u8][resuming u8][message]`` and gets the request to send as
``[size u32][session u32][message]``. Signing is the clients' work: it runs on the generator's core.
"""

import socket
import sys
from typing import Any, Final

from bench.hub.network import GENESIS
from bench.hub.wallets import WALLETS, wallet
from realtime_loadtest.wire import pack, unpack
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import PushType, RequestType, Scheme
from realtime_protocol.schnorrq import KeyPair, keypair
from realtime_protocol.wallet_signatures import sign_login

ADMIN_GROUP: Final = 15
"""Sessions of this group log in as the contract's administrator."""
LOGIN_ID: Final = 1
_HEAD_BYTES: Final = 8
_RECEIVE_BYTES: Final = 1 << 20


class Signer:
    """Answers for all sessions of one generator."""

    def __init__(self) -> None:
        self._admin = keypair(GENESIS.admin_seed)

    def answer(self, session: int, group: int, message: bytes) -> bytes | None:
        """Return the request that a message from the server calls for; None for none."""
        kind, *rest = unpack(message)
        if kind != PushType.CHALLENGE:
            return None
        return self._login(self._admin if group == ADMIN_GROUP else wallet(session % WALLETS), rest)

    def _login(self, keys: KeyPair, rest: list[Any]) -> bytes:
        challenge = LoginChallenge(*rest[2][:7])
        text = build_login_text(challenge, keys.public_key)
        signature = sign_login(Scheme.K12, keys, text)
        body = [int(Scheme.K12), keys.public_key, signature, []]
        return pack([int(RequestType.LOGIN), LOGIN_ID, body])


def serve(connection: socket.socket) -> None:
    """Answer until the generator is gone."""
    signer = Signer()
    waiting = bytearray()
    while received := connection.recv(_RECEIVE_BYTES):
        waiting += received
        answers = bytearray()
        while len(waiting) >= 4 and len(waiting) >= 4 + (size := int.from_bytes(waiting[:4])):
            session, group = int.from_bytes(waiting[4:8]), waiting[8]
            request = signer.answer(session, group, bytes(waiting[_HEAD_BYTES + 2 : 4 + size]))
            if request is not None:
                answers += (4 + len(request)).to_bytes(4) + session.to_bytes(4) + request
            del waiting[: 4 + size]
        connection.sendall(answers)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
