"""The TurboAuth contract's behaviour, as the devnet runs it and a registry keeps it.

The layouts are in contract_abi. No I/O: whoever holds one feeds it what was ordered, in order.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from realtime_protocol.qubic import contract_abi as abi

CAPACITY: Final = 65_536
CHANGES_KEPT_MAX: Final = 4096

_INPUT_BYTES: Final = {
    abi.Procedure.SET_STATUS: abi.SET_STATUS_BYTES,
    abi.Procedure.SET_STATUSES: abi.SET_STATUSES_BYTES,
    abi.Procedure.PROPOSE_ADMIN: abi.WALLET_BYTES,
    abi.Procedure.ACCEPT_ADMIN: 0,
    abi.Procedure.SET_NEXT_CONTRACT: 8,
}
_QUESTION_BYTES: Final = {
    abi.Function.GET_STATUS: abi.WALLET_BYTES,
    abi.Function.GET_STATUSES: abi.STATUSES_INPUT_BYTES,
    abi.Function.GET_CHANGES: 8,
    abi.Function.GET_INFO: 0,
}


@dataclass(frozen=True, slots=True)
class Roles:
    """The contract's state besides its records."""

    admin: bytes
    pending_admin: bytes = abi.NO_WALLET
    next_contract_index: int = 0
    last_sequence: int = 0


class TurboAuth:
    """Records of trust that an administrator sets. Each changed record gets the next sequence."""

    def __init__(
        self,
        roles: Roles,
        records: Iterable[abi.ChangeRecord] = (),
        changes: Iterable[abi.ChangeRecord] = (),
        *,
        capacity: int = CAPACITY,
        changes_kept_max: int = CHANGES_KEPT_MAX,
    ) -> None:
        self.roles = roles
        self.capacity = capacity
        self._records = {change.wallet: change.record for change in records}
        self._changes = deque(changes, maxlen=changes_kept_max)
        self._fresh: list[abi.ChangeRecord] = []

    def call(self, input_type: int, payload: bytes) -> bytes:
        """Answer a read-only call; b"" when there is no such function.

        As on chain, a short input is filled up with zeros and a long one cut.
        """
        if input_type not in _QUESTION_BYTES:
            return b""
        function = abi.Function(input_type)
        question = _fitted(payload, _QUESTION_BYTES[function])
        match function:
            case abi.Function.GET_STATUS:
                return abi.encode_status(self.status(abi.decode_status_input(question)))
            case abi.Function.GET_STATUSES:
                wallets = abi.decode_statuses_input(question)
                return abi.encode_statuses([self.status(wallet) for wallet in wallets])
            case abi.Function.GET_CHANGES:
                return abi.encode_changes(self.changes(abi.decode_changes_input(question)))
            case abi.Function.GET_INFO:
                return abi.encode_info(self.info())

    def status(self, wallet: bytes) -> abi.StatusRecord:
        """Return a wallet's record."""
        return self._records.get(wallet, abi.NOT_LISTED)

    def changes(self, since_sequence: int) -> abi.Changes:
        """Return up to 256 changes after *since_sequence* that are still kept."""
        last = self.roles.last_sequence
        oldest = last - len(self._changes) + 1
        skipped = min(max(since_sequence + 1 - oldest, 0), len(self._changes))
        found = islice(self._changes, skipped, skipped + abi.CHANGES_MAX)
        return abi.Changes(oldest, last, tuple(found))

    def info(self) -> abi.ContractInfo:
        """Return what tells this contract from others."""
        return abi.ContractInfo(
            magic=abi.MAGIC,
            abi_version=abi.ABI_VERSION,
            capacity=self.capacity,
            last_sequence=self.roles.last_sequence,
            wallets=len(self._records),
            admin=self.roles.admin,
            pending_admin=self.roles.pending_admin,
            next_contract_index=self.roles.next_contract_index,
        )

    def has_procedure(self, input_type: int) -> bool:
        """Tell whether a transaction of this type runs something; else its amount is kept."""
        return input_type in _INPUT_BYTES

    def invoke(self, source: bytes, input_type: int, payload: bytes, tick: int) -> bool:
        """Run a procedure; False means refused: nothing changed, the reward goes back."""
        procedure = abi.Procedure(input_type)
        given = _fitted(payload, _INPUT_BYTES[procedure])
        if procedure is abi.Procedure.ACCEPT_ADMIN:
            return self._accept_admin(source)
        if source != self.roles.admin:
            return False
        match procedure:
            case abi.Procedure.SET_STATUS:
                return self._set([given], tick)
            case abi.Procedure.SET_STATUSES:
                cut = range(0, len(given), abi.SET_STATUS_BYTES)
                places = [given[at : at + abi.SET_STATUS_BYTES] for at in cut]
                return self._set([place for place in places if any(place[:32])], tick)
            case abi.Procedure.PROPOSE_ADMIN:
                self.roles = replace(self.roles, pending_admin=abi.decode_admin(given))
            case abi.Procedure.SET_NEXT_CONTRACT:
                successor = abi.decode_next_contract(given)
                self.roles = replace(self.roles, next_contract_index=successor)
        return True

    def list_wallet(self, setting: abi.StatusSetting, tick: int) -> None:
        """Put a record in without an administrator: for the network's beginning."""
        self._record(setting, tick)

    def take_fresh(self) -> tuple[abi.ChangeRecord, ...]:
        """Return the changes since the last call."""
        fresh = tuple(self._fresh)
        self._fresh.clear()
        return fresh

    def _set(self, places: Sequence[bytes], tick: int) -> bool:
        try:
            settings = [abi.StatusSetting.decode(place) for place in places]
        except ValueError:
            return False
        sound = all(
            setting.trust_score <= abi.SCORE_MAX and setting.wallet != abi.NO_WALLET
            for setting in settings
        )
        new = {setting.wallet for setting in settings} - self._records.keys()
        if not sound or len(self._records) + len(new) > self.capacity:
            return False
        for setting in settings:
            self._record(setting, tick)
        return True

    def _record(self, setting: abi.StatusSetting, tick: int) -> None:
        sequence = self.roles.last_sequence + 1
        record = abi.StatusRecord(
            sequence, tick, setting.status, setting.trust_score, setting.reason
        )
        change = abi.ChangeRecord(setting.wallet, record)
        self._records[setting.wallet] = record
        self._changes.append(change)
        self._fresh.append(change)
        self.roles = replace(self.roles, last_sequence=sequence)

    def _accept_admin(self, source: bytes) -> bool:
        if source != self.roles.pending_admin:
            return False
        self.roles = replace(self.roles, admin=source, pending_admin=abi.NO_WALLET)
        return True


def _fitted(payload: bytes, size: int) -> bytes:
    return payload[:size].ljust(size, b"\0")
