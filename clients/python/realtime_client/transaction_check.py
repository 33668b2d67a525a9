"""The client's own look at a transaction before the wallet signs it.

There is no nonce on Qubic and a signature can be used by whoever holds it, so everything that a
transaction says is compared with the intent. A target tick far off would let a hub keep the bytes
and use them after it said that the payment failed.
"""

from typing import Final

from realtime_client.errors import HubMistrustedError
from realtime_protocol.messages import Intent, PrepareReply
from realtime_protocol.transaction import HEADER_BYTES, parse_unsigned

TICKS_AHEAD_MAX: Final = 600
"""How far the target tick may lie from the quote's last tick: ten minutes at a tick a second."""


def check_prepared(
    reply: PrepareReply,
    intent: Intent,
    *,
    quote_id: bytes | None,
    attempt: int | None,
    tick_min: int,
    tick_max: int,
) -> None:
    """Raise HubMistrustedError naming the first field that isn't what was agreed.

    *quote_id* and *attempt* None: whatever the hub says. The only executor is the direct transfer,
    so the transaction must be a plain one.
    """
    unsigned = reply.unsigned_tx
    if len(unsigned) != HEADER_BYTES:
        raise HubMistrustedError(
            f"a plain transfer has {HEADER_BYTES} bytes before its signature, "
            f"the hub prepared {len(unsigned)}"
        )
    try:
        transaction = parse_unsigned(unsigned)
    except ValueError as error:
        raise HubMistrustedError(f"the hub prepared what is no transaction: {error}") from error
    _same("source", transaction.source, intent.source)
    _same("destination", transaction.destination, intent.destination)
    _same("amount", transaction.amount_qu, intent.amount_qu)
    _same("input type", transaction.input_type, 0)
    _same("payload", transaction.payload, b"")
    _same("tick", transaction.tick, reply.tick)
    if not tick_min <= transaction.tick <= tick_max:
        raise HubMistrustedError(
            f"the target tick {transaction.tick} is not in {tick_min}..{tick_max}"
        )
    if quote_id is not None:
        _same("quote", reply.quote_id, quote_id)
    if attempt is not None:
        _same("attempt", reply.attempt, attempt)


def _same(name: str, found: object, agreed: object) -> None:
    if found != agreed:
        raise HubMistrustedError(
            f"the hub prepared another {name}: {_show(found)}, not {_show(agreed)}"
        )


def _show(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
