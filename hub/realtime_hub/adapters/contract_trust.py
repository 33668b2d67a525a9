"""L3: the TurboAuth contract, read through Qubic nodes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from realtime_hub.auth.model import TrustRecord
from realtime_hub.auth.ports import SourceChanges, SourceUnavailable
from realtime_hub.chain.model import NodeUnavailable
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import TrustStatus
from realtime_protocol.qubic.contract_abi import (
    BATCH_WALLETS_MAX,
    ContractInfo,
    Function,
    StatusRecord,
    decode_changes,
    decode_info,
    decode_statuses,
    encode_changes_input,
    encode_statuses_input,
)

Answer = TypeVar("Answer")


class ContractCaller(Protocol):
    """A way to call a contract's functions: a node, or an HTTP API. Raises NodeUnavailable."""

    async def call_function(self, contract_index: int, input_type: int, payload: bytes) -> bytes:
        """Return the function's output; b"" stands for any failure."""
        ...


class ContractTrust:
    """Implements TrustSource over one contract. An empty answer of a node is no answer."""

    def __init__(self, node: ContractCaller, contract_index: int) -> None:
        self._node = node
        self._index = contract_index

    async def info(self) -> ContractInfo:
        """Return what the contract says of itself."""
        payload = await self._call(Function.GET_INFO, b"")
        return _decoded(decode_info, payload)

    async def statuses(
        self, wallets: Sequence[PublicKey]
    ) -> Mapping[PublicKey, TrustRecord | None]:
        """Return the records of at most 16 wallets in one call."""
        if len(wallets) > BATCH_WALLETS_MAX:
            raise ValueError(f"{len(wallets)} wallets; at most {BATCH_WALLETS_MAX} a call")
        payload = await self._call(Function.GET_STATUSES, encode_statuses_input(wallets))
        records = _decoded(decode_statuses, payload)
        return {
            wallet: _record(wallet, record) if record.listed else None
            for wallet, record in zip(wallets, records, strict=False)
        }

    async def changes(self, since_sequence: int) -> SourceChanges:
        """Return the changes after *since_sequence*, oldest first."""
        payload = await self._call(Function.GET_CHANGES, encode_changes_input(since_sequence))
        changes = _decoded(decode_changes, payload)
        records = tuple(_record(PublicKey(c.wallet), c.record) for c in changes.changes)
        overrun = since_sequence + 1 < changes.oldest_sequence
        return SourceChanges(changes.last_sequence, overrun, records)

    async def _call(self, function: Function, payload: bytes) -> bytes:
        try:
            answer = await self._node.call_function(self._index, function, payload)
        except NodeUnavailable as error:
            raise SourceUnavailable(str(error)) from error
        if not answer:
            raise SourceUnavailable(f"contract {self._index} gave no answer to {function.name}")
        return answer


def _decoded(decode: Callable[[bytes], Answer], payload: bytes) -> Answer:
    try:
        return decode(payload)
    except ValueError as error:
        raise SourceUnavailable(f"the contract's answer can't be read: {error}") from error


def _record(wallet: PublicKey, record: StatusRecord) -> TrustRecord:
    return TrustRecord(
        wallet,
        TrustStatus(int(record.status)),
        record.trust_score,
        record.sequence,
        record.reason,
        record.updated_tick,
    )
