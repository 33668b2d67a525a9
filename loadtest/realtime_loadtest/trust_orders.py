"""Orders of the devnet's administrator, for a tick that a quote tells."""

from collections.abc import Sequence
from typing import Any, Final

from realtime_loadtest.demo_wallets import Administrator
from realtime_protocol.identity import PublicKey, contract_public_key
from realtime_protocol.qubic.contract_abi import ChainStatus, Procedure, StatusSetting
from realtime_protocol.transaction import build_unsigned, sign_transaction

QUOTE_VALID_UNTIL_TICK: Final = 6
"""Place of valid_until_tick in a quote's body."""
TICKS_BEFORE: Final = 50
"""A quote is good for 60 ticks; an order is taken for one of the next 60 but three."""
SCORE: Final = 50


def sign_next_order(
    administrator: Administrator, wallet: bytes, quote: Sequence[Any], *, block: bool
) -> bytes:
    """Return the signed order that blocks *wallet* or lists it as active, for a tick soon."""
    status, score = (ChainStatus.BLOCKED, 0) if block else (ChainStatus.ACTIVE, SCORE)
    keys = administrator.keys
    unsigned = build_unsigned(
        PublicKey(keys.public_key),
        contract_public_key(administrator.contract_index),
        0,
        int(quote[QUOTE_VALID_UNTIL_TICK]) - TICKS_BEFORE,
        input_type=Procedure.SET_STATUS,
        payload=StatusSetting(wallet, status, score).encode(),
    )
    return sign_transaction(unsigned, keys.subseed, keys.public_key)
