"""One more node of our network, asked beside the one that the hub follows."""

from collections.abc import Callable

from realtime_hub.chain.confirmed import ConfirmedNode
from realtime_hub.chain.model import NodeUnavailable
from realtime_hub.chain.network import NetworkGuard, NetworkRecord
from realtime_hub.chain.ports import NodePort


class SecondOpinion:
    """Calls contracts through a node after it has shown that it belongs to the hub's network.

    *record* tells what the hub knows of its network, None before it knows any. A node of another
    network makes this opinion worthless and nothing else.
    """

    def __init__(self, node: NodePort, record: Callable[[], NetworkRecord | None]) -> None:
        self._guard = NetworkGuard()
        self._confirmed = ConfirmedNode(node, self._guard)
        self._node = node
        self._record = record
        self._generation: int | None = None

    async def call_function(self, contract_index: int, input_type: int, payload: bytes) -> bytes:
        """Call a contract's function; NodeUnavailable when the node can't be believed."""
        record = self._record()
        if record is None:
            raise NodeUnavailable("the network isn't known yet")
        self._guard.adopt(record)
        if self._generation is None or self._generation != self._node.generation:
            await self._confirmed.tick_info()
            self._generation = self._node.generation
        return await self._confirmed.call_function(contract_index, input_type, payload)
