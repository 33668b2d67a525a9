"""What an administrator's order sets, and what of that counts before it is on chain."""

from collections.abc import Sequence

from realtime_hub.auth.model import Overlay, TrustRecord
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, encode_identity
from realtime_protocol.messages import TrustStatus
from realtime_protocol.qubic.contract_abi import (
    NO_WALLET,
    SCORE_MAX,
    Procedure,
    StatusSetting,
    decode_admin,
    decode_next_contract,
    decode_settings,
)
from realtime_protocol.transaction import Transaction


def parse_settings(transaction: Transaction) -> tuple[StatusSetting, ...]:
    """Return what an order sets, nothing for one about the administrator or the contract.

    RequestError 307 for what the contract would refuse.
    """
    try:
        settings = settings_of(transaction)
    except ValueError as error:
        raise RequestError(ErrorCode.TX_REJECTED, f"payload: {error}") from error
    for setting in settings:
        if setting.trust_score > SCORE_MAX or setting.wallet == NO_WALLET:
            raise RequestError(
                ErrorCode.TX_REJECTED, "the contract refuses a zero wallet and a score over 100"
            )
    if not settings and transaction.input_type in (Procedure.SET_STATUS, Procedure.SET_STATUSES):
        raise RequestError(ErrorCode.TX_REJECTED, "the change names no wallet")
    return settings


def settings_of(transaction: Transaction) -> tuple[StatusSetting, ...]:
    """Return the same of an order that was checked before; ValueError for one that wasn't."""
    match transaction.input_type:
        case Procedure.SET_STATUS:
            return (StatusSetting.decode(transaction.payload),)
        case Procedure.SET_STATUSES:
            return decode_settings(transaction.payload)
        case Procedure.PROPOSE_ADMIN:
            decode_admin(transaction.payload)
        case Procedure.ACCEPT_ADMIN:
            if transaction.payload:
                raise ValueError("AcceptAdmin has no input")
        case Procedure.SET_NEXT_CONTRACT:
            decode_next_contract(transaction.payload)
        case _:
            raise ValueError(f"input type {transaction.input_type} is no procedure of TurboAuth")
    return ()


def audit_details(
    transaction: Transaction, settings: Sequence[StatusSetting], digest: bytes
) -> dict[str, str | int]:
    """Return what the audit log keeps of an order."""
    details: dict[str, str | int] = {"tx": digest.hex(), "tick": transaction.tick}
    for number, setting in enumerate(settings):
        wallet = encode_identity(PublicKey(setting.wallet))
        details[f"wallet_{number}"] = wallet
        details[f"set_{number}"] = (
            f"{setting.status.name} score {setting.trust_score} reason {setting.reason}"
        )
    if transaction.input_type == Procedure.PROPOSE_ADMIN:
        details["proposed"] = encode_identity(PublicKey(decode_admin(transaction.payload)))
    elif transaction.input_type == Procedure.SET_NEXT_CONTRACT:
        details["contract"] = decode_next_contract(transaction.payload)
    return details


def overlay_of(digest: bytes, target_tick: int, setting: StatusSetting) -> Overlay:
    """Return what an order, named by its digest, puts over a wallet until it is on chain."""
    return Overlay(
        wallet=PublicKey(setting.wallet),
        digest=digest,
        target_tick=target_tick,
        status=TrustStatus(int(setting.status)),
        score=setting.trust_score,
        reason=setting.reason,
    )


def lowers(overlay: Overlay, standing: TrustRecord | None) -> bool:
    """Whether the change takes something away. What isn't listed can still be blocked."""
    if standing is None:
        return overlay.status is TrustStatus.BLOCKED
    if standing.status is TrustStatus.BLOCKED:
        return False
    if overlay.status is TrustStatus.BLOCKED:
        return True
    if standing.status is not TrustStatus.ACTIVE:
        return False
    return overlay.status is not TrustStatus.ACTIVE or overlay.score < standing.score
