"""An administrator's order to TurboAuth, signed and ready to be handed over."""

from collections.abc import Iterable, Sequence
from typing import Final

from realtime_protocol.identity import PublicKey, contract_public_key, parse_identity
from realtime_protocol.qubic.contract_abi import (
    BATCH_WALLETS_MAX,
    SCORE_MAX,
    ChainStatus,
    Procedure,
    StatusSetting,
    encode_settings,
)
from realtime_protocol.schnorrq import KeyPair
from realtime_protocol.transaction import build_unsigned, sign_transaction

TICKS_AHEAD: Final = 5
ACTIVE_SCORE: Final = 80
"""What an active wallet gets when no score is named."""
REASON_MAX: Final = 0xFFFF
BATCH_LINES_MAX: Final = 4_096


def sign_order(
    keys: KeyPair, procedure: Procedure, payload: bytes, *, destination: PublicKey, tick: int
) -> bytes:
    """Return the signed transaction that asks for *procedure* in *tick*."""
    unsigned = build_unsigned(
        PublicKey(keys.public_key), destination, 0, tick, input_type=procedure, payload=payload
    )
    return sign_transaction(unsigned, keys.subseed, keys.public_key)


def sign_trust_order(
    admin: KeyPair, setting: StatusSetting, *, contract_index: int, tick: int
) -> bytes:
    """Return the signed transaction that sets one wallet's record of a contract in *tick*."""
    destination = contract_public_key(contract_index)
    return sign_order(
        admin, Procedure.SET_STATUS, setting.encode(), destination=destination, tick=tick
    )


def cut_batches(settings: Sequence[StatusSetting]) -> Iterable[bytes]:
    """Yield the inputs of SetStatuses, 16 wallets each."""
    for begin in range(0, len(settings), BATCH_WALLETS_MAX):
        yield encode_settings(settings[begin : begin + BATCH_WALLETS_MAX])


def parse_setting(
    wallet: str, status: str, score: str | int | None = None, reason: str | int = 0
) -> StatusSetting:
    """Return what is to be set; ValueError names what is wrong."""
    kind = parse_status(status)
    usual = ACTIVE_SCORE if kind is ChainStatus.ACTIVE else 0
    return StatusSetting(
        parse_identity(wallet),
        kind,
        usual if score in (None, "") else _whole("score", score or 0, SCORE_MAX),
        _whole("reason", reason or 0, REASON_MAX),
    )


def parse_settings(text: str) -> list[StatusSetting]:
    """Return what a file of lines ``WALLET,STATUS[,SCORE[,REASON]]`` sets, in its order.

    Empty lines and lines that begin with # don't count. ValueError names the line.
    """
    lines = text.splitlines()
    if len(lines) > BATCH_LINES_MAX:
        raise ValueError(f"{len(lines)} lines; at most {BATCH_LINES_MAX} at a time")
    settings = []
    for number, line in enumerate(lines, start=1):
        fields = [field.strip() for field in line.split(",")]
        if fields == [""] or fields[0].startswith("#"):
            continue
        if not 2 <= len(fields) <= 4:
            raise ValueError(f"line {number}: not WALLET,STATUS[,SCORE[,REASON]]")
        try:
            settings.append(parse_setting(*fields))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return settings


def parse_status(text: str) -> ChainStatus:
    """Return the status of that name; ValueError lists them."""
    try:
        return ChainStatus[text.upper()]
    except KeyError:
        names = ", ".join(status.name.lower() for status in ChainStatus)
        raise ValueError(f"status {text!r}; there are {names}") from None


def _whole(name: str, value: str | int, maximum: int) -> int:
    try:
        number = int(value)
    except ValueError:
        number = -1
    if not 0 <= number <= maximum:
        raise ValueError(f"{name} {value} is not in 0..{maximum}")
    return number
