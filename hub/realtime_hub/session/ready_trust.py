"""Reads that hold nothing but trust.gets which memory answers: checked and answered all together.

They are most of what a busy hub is sent. What each of them has to pass is looked at once for all of
a read; a read of which one doesn't pass, or isn't known, changes nothing here and goes the usual
way, message by message.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from realtime_protocol.codec import (
    WALLET_ASKED_BYTES_MAX,
    decode_wallets_asked,
    encode_wallets_told,
)
from realtime_protocol.messages import RequestType

if TYPE_CHECKING:
    from realtime_hub.session.context import HubContext
    from realtime_hub.session.session import LiveSession

TOGETHER_MAX: Final = 256
"""Messages; their replies, of at most 45 bytes, are well below what is handed over at a time."""
_TRUST_GET: Final = RequestType.TRUST_GET


def answer_together(
    session: "LiveSession", context: "HubContext", messages: Sequence[bytes], now_s: float
) -> list[bytes] | None:
    """Return the replies to all *messages* of a read, in order; None: take them one by one."""
    if session.ended or session.rates or len(messages) > TOGETHER_MAX:
        return None
    asked = decode_wallets_asked(messages)
    if asked is None:
        return None
    request_ids, wallets = asked
    app = session.app
    if app is not None and not app.blocked.keys().isdisjoint(wallets):
        return None
    machine = session.machine
    if not machine.take_at_once(_TRUST_GET, request_ids, now_s, frame_bytes=WALLET_ASKED_BYTES_MAX):
        return None
    trusts = context.auth.peek_ready(wallets)
    if trusts is None:
        machine.give_back(_TRUST_GET, len(request_ids))
        return None
    context.counters.served[_TRUST_GET] += len(request_ids)
    return encode_wallets_told(request_ids, trusts)
