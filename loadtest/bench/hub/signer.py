"""Signs logins and resumptions for the generator: ``python -m bench.hub.signer FD``.

The generator passes on each challenge, and the replies that a resumption needs, as
``[size u32][session u32][group u8][resuming u8][push offset u64][message]`` and gets the request to
send as ``[size u32][session u32][message]``. Signing is the clients' work: it runs on the
generator's core.
"""

import socket
import sys
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from bench.hub.network import GENESIS
from bench.hub.wallets import WALLETS, WATCHED, wallet
from realtime_loadtest.wire import pack, unpack
from realtime_protocol.login_resources import encode_key
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import REPLY_BIT, PushType, RequestType, Scheme
from realtime_protocol.schnorrq import keypair
from realtime_protocol.session_key import (
    Kind,
    resume_body,
    session_public_key,
    sign_with_session_key,
)
from realtime_protocol.wallet_signatures import sign_login

ADMIN_GROUP: Final = 15
"""Sessions of this group log in as the contract's administrator."""
LOGIN_ID: Final = 1
CHANNEL: Final = "trust"
"""What sessions subscribe to here."""
SEED_BYTES: Final = 32
_HEAD: Final = Struct(">IIBBQ")
_RECEIVE_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Known:
    """What a client keeps to resume its session."""

    seed: bytes
    sid: str = ""
    token: bytes = b""
    sub: int = 0
    epoch: bytes = b""
    offset: int = 0


class Signer:
    """Answers for all sessions of one generator."""

    def __init__(self) -> None:
        self._admin = keypair(GENESIS.admin_seed)
        self._known: dict[int, Known] = {}

    def answer(
        self, session: int, group: int, message: bytes, *, resuming: bool = False, offset: int = 0
    ) -> bytes | None:
        """Return the request that a message from the server calls for; None for none."""
        kind, *rest = unpack(message)
        if kind == PushType.CHALLENGE:
            if resuming:
                return self._resume(session, rest[2], offset)
            return self._login(session, group, rest[2])
        known = self._known[session]
        match kind & ~REPLY_BIT, rest[1]:
            case ((RequestType.LOGIN | RequestType.RESUME), [sid, token, *_]):
                known.sid, known.token = sid, token
            case RequestType.SUBSCRIBE, [sub, epoch, head, *_]:
                known.sub, known.epoch, known.offset = sub, epoch, head
        return None

    def _login(self, session: int, group: int, body: list[Any]) -> bytes:
        keys = self._admin if group == ADMIN_GROUP else wallet(session % WALLETS)
        known = self._known[session] = Known(session.to_bytes(SEED_BYTES))
        challenge = LoginChallenge(*body[:7])
        resources = [encode_key(session_public_key(known.seed))]
        text = build_login_text(challenge, keys.public_key, resources)
        signature = sign_login(Scheme.K12, keys, text)
        login = [int(Scheme.K12), keys.public_key, signature, resources]
        return pack([int(RequestType.LOGIN), LOGIN_ID, login])

    def _resume(self, session: int, body: list[Any], offset: int) -> bytes:
        known = self._known[session]
        challenge = LoginChallenge(*body[:7])
        proof = sign_with_session_key(
            known.seed,
            Kind.RESUME,
            resume_body(
                domain=challenge.domain, uri=challenge.uri, sid=known.sid, nonce=challenge.nonce
            ),
        )
        watched = [wallet(WATCHED).public_key]
        place = [known.sub, CHANNEL, known.epoch, max(offset, known.offset), watched]
        places = [place] if known.sub else []
        return pack([int(RequestType.RESUME), LOGIN_ID, [known.token, proof, places]])


def serve(connection: socket.socket) -> None:
    """Answer until the generator is gone."""
    signer = Signer()
    waiting = bytearray()
    while received := connection.recv(_RECEIVE_BYTES):
        waiting += received
        answers = bytearray()
        while len(waiting) >= 4 and len(waiting) >= 4 + (size := int.from_bytes(waiting[:4])):
            _, session, group, resuming, offset = _HEAD.unpack_from(waiting)
            message = bytes(waiting[_HEAD.size : 4 + size])
            request = signer.answer(session, group, message, resuming=bool(resuming), offset=offset)
            if request is not None:
                answers += (4 + len(request)).to_bytes(4) + session.to_bytes(4) + request
            del waiting[: 4 + size]
        connection.sendall(answers)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
