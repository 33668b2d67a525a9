"""An administrator's order to the TurboAuth contract, signed and ready to be handed over."""

from typing import Final

from realtime_protocol.identity import PublicKey, contract_public_key
from realtime_protocol.qubic.contract_abi import ChainStatus, Procedure, StatusSetting
from realtime_protocol.schnorrq import KeyPair
from realtime_protocol.transaction import build_unsigned, sign_transaction

TICKS_AHEAD: Final = 5


def sign_trust_order(
    admin: KeyPair, setting: StatusSetting, *, contract_index: int, tick: int
) -> bytes:
    """Return the signed transaction that sets one wallet's record in *tick*."""
    unsigned = build_unsigned(
        PublicKey(admin.public_key),
        contract_public_key(contract_index),
        0,
        tick,
        input_type=Procedure.SET_STATUS,
        payload=setting.encode(),
    )
    return sign_transaction(unsigned, admin.subseed, admin.public_key)


def parse_status(text: str) -> ChainStatus:
    """Return the status of that name; ValueError lists them."""
    try:
        return ChainStatus[text.upper()]
    except KeyError:
        names = ", ".join(status.name.lower() for status in ChainStatus)
        raise ValueError(f"status {text!r}; there are {names}") from None
