"""The spectrum: who has how much, with the counters that nodes keep (qubic/core src/spectrum)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

ENTITIES_MAX: Final = 1_000_000
"""Mainnet's spectrum has 2^24 places; this bounds a devnet's memory."""

_NOBODY: Final = bytes(32)


@dataclass(slots=True)
class Entity:
    """One key's account. *index* is its place in the spectrum."""

    public_key: bytes
    index: int
    incoming_qu: int = 0
    outgoing_qu: int = 0
    incoming_count: int = 0
    outgoing_count: int = 0
    latest_incoming_tick: int = 0
    latest_outgoing_tick: int = 0

    @property
    def balance_qu(self) -> int:
        """What it can spend."""
        return self.incoming_qu - self.outgoing_qu


class Ledger:
    """All accounts. Amounts are whole QU; the caller has checked that none is negative."""

    def __init__(
        self, entities: Iterable[Entity] = (), *, entities_max: int = ENTITIES_MAX
    ) -> None:
        self._entities = {entity.public_key: entity for entity in entities}
        self._entities_max = entities_max
        self._changed: dict[bytes, Entity] = {}

    def __len__(self) -> int:
        return len(self._entities)

    def entity(self, public_key: bytes) -> Entity | None:
        """Return the account, or None when the spectrum doesn't know the key."""
        return self._entities.get(public_key)

    def supply_qu(self) -> int:
        """Return the sum of all balances."""
        return sum(entity.balance_qu for entity in self._entities.values())

    def has_room_for(self, public_key: bytes) -> bool:
        """Tell whether :meth:`credit` can be called for this key."""
        known = public_key in self._entities or public_key == _NOBODY
        return known or len(self._entities) < self._entities_max

    def debit(self, public_key: bytes, amount_qu: int, tick: int) -> bool:
        """Take *amount_qu* away if it is there, and tell. An amount of 0 counts as a transfer."""
        entity = self._entities.get(public_key)
        if entity is None or entity.balance_qu < amount_qu:
            return False
        entity.outgoing_qu += amount_qu
        entity.outgoing_count += 1
        entity.latest_outgoing_tick = tick
        self._changed[public_key] = entity
        return True

    def credit(self, public_key: bytes, amount_qu: int, tick: int) -> None:
        """Add *amount_qu*, opening the account when it is new. What the zero key gets is gone."""
        if public_key == _NOBODY:
            return
        entity = self._entities.get(public_key)
        if entity is None:
            entity = Entity(public_key, index=len(self._entities))
            self._entities[public_key] = entity
        entity.incoming_qu += amount_qu
        entity.incoming_count += 1
        entity.latest_incoming_tick = tick
        self._changed[public_key] = entity

    def take_changed(self) -> tuple[Entity, ...]:
        """Return the accounts that changed since the last call."""
        changed = tuple(self._changed.values())
        self._changed.clear()
        return changed
