"""A registry: an operator's table of trust for a network without a TurboAuth contract.

It is the contract's behaviour over a hash chain of the administrator's own signed transactions, so
whoever follows it trusts the administrator's signature and nobody who passes it on. A registry's
transactions name :func:`registry_key` as destination, which belongs to nobody: broadcast on a
network they would move nothing and change nothing.

    an entry's hash = K12("realtime/registry/v1" LF, name LF, the hash before,
                          accepted_ms as u64 LE, signed_tx)

The first entry stands on 32 zero bytes.
"""

import re
from dataclasses import dataclass
from typing import Final

from realtime_protocol.identity import PublicKey
from realtime_protocol.qubic.contract_abi import ContractInfo, Procedure
from realtime_protocol.qubic.turboauth import Roles, TurboAuth
from realtime_protocol.schnorrq import k12
from realtime_protocol.transaction import (
    Transaction,
    parse_transaction,
    transaction_digest,
    verify_transaction,
)

TYPE_LINE: Final = "realtime/registry/v1"
HASH_BYTES: Final = 32
NO_HASH: Final = bytes(HASH_BYTES)
ENTRIES_PER_PAGE_MAX: Final = 256
WALLETS_MAX: Final = 1_000_000
CHANGES_KEPT_MAX: Final = 65_536
_PROCEDURES: Final = frozenset(Procedure) - {Procedure.SET_NEXT_CONTRACT}
"""A registry has no successor."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")


class RegistryError(ValueError):
    """An entry that doesn't belong where it stands; the message says which and why."""


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """One order of the administrator, with its place in the chain."""

    number: int
    """1 for the first."""
    signed_tx: bytes
    accepted_ms: int
    """When the registry took it, epoch ms, by its own clock."""
    hash: bytes


def registry_key(name: str) -> PublicKey:
    """Return the destination of a registry's transactions; ValueError for a name that can't be.

    A name has 1 to 63 lowercase letters, digits, dots and hyphens.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no registry's name: 1 to 63 of a-z, 0-9, dot and hyphen")
    return PublicKey(k12(f"{TYPE_LINE}\n{name}".encode()))


def entry_hash(name: str, before: bytes, accepted_ms: int, signed_tx: bytes) -> bytes:
    """Return the hash of the entry that follows the one with hash *before*."""
    head = f"{TYPE_LINE}\n{name}\n".encode()
    return k12(head + before + accepted_ms.to_bytes(8, "little") + signed_tx)


class Registry:
    """The table that a chain of entries makes. *first_admin* is whom the first entry must be of.

    The administrator may hand over in two steps, as with the contract: proposed by the one,
    accepted by the other, both as entries.
    """

    def __init__(self, name: str, first_admin: PublicKey) -> None:
        self.name = name
        self.key = registry_key(name)
        self.number = 0
        self.hash = NO_HASH
        self._taken: dict[bytes, int] = {}
        """Digest -> target tick: an order is public, and counts once."""
        self._table = TurboAuth(
            Roles(first_admin), capacity=WALLETS_MAX, changes_kept_max=CHANGES_KEPT_MAX
        )

    def next_entry(self, signed_tx: bytes, accepted_ms: int) -> RegistryEntry:
        """Return the entry that would bring *signed_tx* next; :meth:`take` checks it."""
        following = entry_hash(self.name, self.hash, accepted_ms, signed_tx)
        return RegistryEntry(self.number + 1, signed_tx, accepted_ms, following)

    def take(self, entry: RegistryEntry) -> None:
        """Add an entry; RegistryError leaves everything as it was."""
        transaction = self._check(entry)
        if not self._table.invoke(
            transaction.source, transaction.input_type, transaction.payload, transaction.tick
        ):
            raise RegistryError(
                f"{self._where(entry)} is refused: not the administrator's, or over a bound"
            )
        self._table.take_fresh()
        self._taken[transaction_digest(entry.signed_tx)] = transaction.tick
        self.number, self.hash = entry.number, entry.hash

    def has_taken(self, digest: bytes) -> bool:
        """Tell whether the order with this digest is in the chain."""
        return digest in self._taken

    def taken_for(self, tick: int) -> tuple[bytes, ...]:
        """Return the digests of the orders in the chain that name *tick* as their target."""
        return tuple(digest for digest, target in self._taken.items() if target == tick)

    def call(self, function: int, payload: bytes) -> bytes:
        """Answer a function of the TurboAuth ABI."""
        return self._table.call(function, payload)

    def info(self) -> ContractInfo:
        """Return what GetInfo would."""
        return self._table.info()

    def _where(self, entry: RegistryEntry) -> str:
        return f"entry {entry.number} of registry {self.name}"

    def _check(self, entry: RegistryEntry) -> Transaction:
        """Return the order of an entry that continues the chain."""
        where = self._where(entry)
        if entry.number != self.number + 1:
            raise RegistryError(f"{where} can't follow entry {self.number}")
        if entry != self.next_entry(entry.signed_tx, entry.accepted_ms):
            raise RegistryError(f"{where} doesn't continue the chain: its hash is another")
        if self.has_taken(transaction_digest(entry.signed_tx)):
            raise RegistryError(f"{where} was taken before")
        try:
            transaction = parse_transaction(entry.signed_tx)
        except ValueError as error:
            raise RegistryError(f"{where} is no transaction: {error}") from error
        if transaction.destination != self.key or transaction.amount_qu != 0:
            raise RegistryError(f"{where} is not an order to this registry")
        if transaction.input_type not in _PROCEDURES:
            raise RegistryError(f"{where} asks for procedure {transaction.input_type}")
        if not verify_transaction(entry.signed_tx):
            raise RegistryError(f"{where} isn't signed by its source")
        return transaction
