"""A hub's signature on a quote: Ed25519 over ``realtime/quote/v1``, LF, and the quote without it.

What is covered is the msgpack array of the quote's fields before ``hub_signature``, in its shortest
form, as the quote itself travels.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import msgpack, structs

from realtime_protocol.messages import Quote
from realtime_protocol.session_key import Kind, sign_with_session_key, verify_with_session_key

_encode: Final = msgpack.Encoder().encode


def sign_quote(seed: bytes, quote: Quote) -> Quote:
    """Return the quote with the signature of the key with that seed."""
    signature = sign_with_session_key(seed, Kind.QUOTE, quote_body(quote))
    return structs.replace(quote, hub_signature=signature)


def verify_quote(quote: Quote, keys: Mapping[bytes, bytes]) -> bool:
    """Tell whether one of the hubs' quote *keys* (by key id, of ``/api/v1/keys``) signed it."""
    if quote.hub_signature is None:
        return False
    body = quote_body(quote)
    return any(
        verify_with_session_key(key, Kind.QUOTE, body, quote.hub_signature) for key in keys.values()
    )


def quote_body(quote: Quote) -> bytes:
    """Return what a signature of *quote* covers behind its type line."""
    return _encode(structs.astuple(quote)[:-1])
