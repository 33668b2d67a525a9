"""What the hub knows of the chain."""

from dataclasses import dataclass

from realtime_protocol.identity import PublicKey


class NodeUnavailable(Exception):  # noqa: N818 - names a state of the world, not a mistake
    """No node gave an answer that counts: silence, a closed connection, garbage, or doubt."""


@dataclass(frozen=True, slots=True)
class TickInfo:
    """Where a node is."""

    tick: int
    epoch: int
    initial_tick: int
    """The epoch's first."""
    duration_ms: int
    """Spent in the present tick so far."""


@dataclass(frozen=True, slots=True)
class Entity:
    """What the chain knows of one key at the start of *tick*, with all before it processed."""

    public_key: PublicKey
    balance_qu: int
    incoming_count: int
    outgoing_count: int
    latest_incoming_tick: int
    latest_outgoing_tick: int
    tick: int


@dataclass(frozen=True, slots=True)
class ProcessedTick:
    """A tick that the network is past, with the transactions in it."""

    tick: int
    epoch: int
    digests: tuple[bytes, ...] | None
    """In order of execution; None for a tick that is proven empty."""
