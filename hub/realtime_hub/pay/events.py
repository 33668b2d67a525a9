"""What the journal keeps of payments: one record for each thing that happened.

Bodies are msgpack with field names, so that an old journal is read by a newer hub.
"""

from typing import Final

from msgspec import MsgspecError, Struct, msgpack

from realtime_hub.pay.states import Move


class Accepted(Struct, frozen=True, tag="accepted", gc=False):
    """A payment was accepted with its first attempt."""

    payment_id: bytes
    payer: bytes
    payee: bytes
    amount_qu: int
    idem: bytes
    quote_id: bytes
    signed_tx: bytes
    txid: bytes
    tick: int
    at_ms: int
    settle_by_ms: int
    owner: bytes | None = None
    """For whom a spending wallet pays."""
    terms_id: bytes = b""


class Retried(Struct, frozen=True, tag="retried", gc=False):
    """A further attempt was accepted after the last was proven dead."""

    payment_id: bytes
    attempt: int
    signed_tx: bytes
    txid: bytes
    tick: int
    at_ms: int


class Moved(Struct, frozen=True, tag="moved", gc=False):
    """Something was learned about the payment's last attempt."""

    payment_id: bytes
    attempt: int
    move: Move
    at_ms: int
    detail: dict[str, int | str] | None = None


PaymentEvent = Accepted | Retried | Moved

_encoder: Final = msgpack.Encoder()
_decoder: Final = msgpack.Decoder(PaymentEvent)


class JournalCorrupt(Exception):  # noqa: N818 - named for what is found
    """The journal isn't what was written; the text says where. Nothing may go on from it."""


def encode_event(event: PaymentEvent) -> bytes:
    """Return the journal's bytes of an event."""
    return _encoder.encode(event)


def decode_event(body: bytes) -> PaymentEvent:
    """Read an event back; JournalCorrupt when these bytes are none."""
    try:
        event: PaymentEvent = _decoder.decode(body)
    except MsgspecError as error:
        raise JournalCorrupt(f"a record that is no payment event: {error}") from error
    return event
