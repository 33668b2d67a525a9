"""What the chain domain needs from outside."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from realtime_hub.chain.model import Entity, TickInfo
from realtime_hub.chain.network import NetworkRecord
from realtime_protocol.identity import PublicKey
from realtime_protocol.qubic.node_wire import TickData


class NodePort(Protocol):
    """Qubic nodes, as one. Every method has its own deadline and raises NodeUnavailable."""

    @property
    def generation(self) -> int:
        """Grows with each new connection: what was known of the network must be proven again."""
        ...

    async def tick_info(self) -> TickInfo:
        """Return where a node is; NodeUnavailable while it isn't ready."""
        ...

    async def tick_data(self, tick: int) -> TickData | None:
        """Return the list of a tick that the node is past; None when it is proven empty."""
        ...

    async def entity(self, key: PublicKey) -> Entity | None:
        """Return what is known of a key; None when the chain has never seen it."""
        ...

    async def broadcast(self, signed_tx: bytes, *, again: bool = False) -> None:
        """Hand a transaction over. That is all: a node never says what becomes of it.

        NodeUnavailable means that no node was handed a byte.
        *again* says that these bytes went out before, which nodes would take for a duplicate.
        """
        ...

    async def transaction(self, digest: bytes) -> bytes | None:
        """Return a processed transaction of this epoch; None when the node has none."""
        ...

    async def tick_transactions(self, tick: int) -> list[bytes]:
        """Return the transactions of a tick that the node is past, in any order."""
        ...

    async def call_function(self, contract_index: int, input_type: int, payload: bytes) -> bytes:
        """Call a contract's function; b"" stands for any failure."""
        ...


class NetworkMemory(Protocol):
    """Remembers by what each network can be told apart, through restarts."""

    def joining(self) -> AbstractContextManager[bool]:
        """Hold other workers back while one finds out which network this is; False if one does."""
        ...

    async def load(self) -> Sequence[NetworkRecord]:
        """Return the records, the latest used first."""
        ...

    async def save(self, record: NetworkRecord) -> None:
        """Keep *record* in place of the one with the same network_id."""
        ...
