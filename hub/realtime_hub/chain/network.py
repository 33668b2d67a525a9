"""Tells one Qubic network from another. Transactions name no network, so the ticks have to.

A devnet that was reset, or a node of another network behind the same address, must never decide
about payments of this one. What counts is K12(TickData): the network is named by the first that
was recorded, and known again by those of its last non-empty ticks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from realtime_hub.chain.model import TickInfo

TICKS_REMEMBERED_MAX: Final = 16


class Sameness(Enum):
    """How a node's word compares with what is remembered."""

    SAME = "same"
    OTHER = "other"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True)
class KnownTick:
    """A non-empty tick and K12 of its TickData."""

    tick: int
    epoch: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """By what one network is known."""

    chain: str
    """Its configured name, such as devnet: a record never serves for a chain of another name."""
    network_id: bytes
    """K12 of the first TickData recorded."""
    anchor: KnownTick
    """The first tick recorded of the newest epoch: it stays while the others move on."""
    recent: tuple[KnownTick, ...]
    """The last non-empty ticks, oldest first; at most TICKS_REMEMBERED_MAX."""

    @classmethod
    def begin(cls, chain: str, known: KnownTick) -> "NetworkRecord":
        """Return the record of a network of which one tick is known."""
        return cls(chain, known.digest, known, (known,))

    @property
    def newest(self) -> KnownTick:
        """The last non-empty tick."""
        return self.recent[-1]

    def remember(self, known: KnownTick) -> "NetworkRecord":
        """Return the record with one more tick, which must be newer than all in it."""
        if known.tick <= self.newest.tick:
            raise ValueError(f"tick {known.tick} isn't newer than {self.newest.tick}")
        anchor = known if known.epoch > self.anchor.epoch else self.anchor
        recent = (*self.recent, known)[-TICKS_REMEMBERED_MAX:]
        return replace(self, anchor=anchor, recent=recent)

    def find(self, tick: int) -> KnownTick | None:
        """Return what is remembered of a tick."""
        return next((known for known in (*self.recent, self.anchor) if known.tick == tick), None)

    def judge_info(self, info: TickInfo) -> Sameness:
        """Compare where a node says it is; DOUBTFUL when only TickData can tell."""
        newest = self.newest
        if info.epoch == newest.epoch and info.initial_tick > newest.tick:
            return Sameness.OTHER  # An epoch has one first tick, and this one's lay before.
        if info.epoch < newest.epoch or (info.epoch == newest.epoch and info.tick <= newest.tick):
            return Sameness.DOUBTFUL
        return Sameness.SAME

    def comparable(self, info: TickInfo) -> Sequence[KnownTick]:
        """Return the remembered ticks that this node can be asked for, the most telling first.

        TickData counts only when the node is past its tick, and nodes keep one epoch.
        """
        known = dict.fromkeys((self.newest, self.anchor, *reversed(self.recent)))
        return [one for one in known if info.initial_tick <= one.tick < info.tick]

    def judge_digest(self, tick: int, digest: bytes) -> Sameness:
        """Compare K12 of a tick's TickData; DOUBTFUL when that tick isn't remembered."""
        known = self.find(tick)
        if known is None:
            return Sameness.DOUBTFUL
        return Sameness.SAME if known.digest == digest else Sameness.OTHER


class NetworkGuard:
    """Decides whether the network may still be believed. Without I/O.

    *frozen* says why not. Proof of another network stands until the process ends; a doubt ends
    with the proof that it was unfounded.
    """

    def __init__(self) -> None:
        self.record: NetworkRecord | None = None
        self._other: str | None = None
        self._doubt: str | None = None

    @property
    def frozen(self) -> str | None:
        """Why nothing that the nodes say may be believed; None when all is well."""
        return self._other or self._doubt

    @property
    def foreign(self) -> bool:
        """Whether it is proven that the nodes belong to another network."""
        return self._other is not None

    def adopt(self, record: NetworkRecord) -> None:
        """Take *record* as the network to hold on to."""
        if self.record is not None and self.record.network_id != record.network_id:
            raise ValueError("a running hub never changes its network")
        self.record = record

    def remember(self, known: KnownTick) -> NetworkRecord | None:
        """Take a processed non-empty tick; return the record if that changed it.

        Other bytes for a remembered tick freeze instead. Nothing is taken before :meth:`adopt`.
        """
        if self.record is None:
            return None
        if known.tick <= self.record.newest.tick:
            self.compare(known.tick, known.digest)
            return None
        self.record = self.record.remember(known)
        return self.record

    def compare(self, tick: int, digest: bytes) -> Sameness:
        """Compare a tick's K12 with what is remembered, and freeze when it is another."""
        if self.record is None:
            return Sameness.DOUBTFUL
        sameness = self.record.judge_digest(tick, digest)
        if sameness is Sameness.OTHER:
            self.freeze(f"tick {tick} has other TickData than before: this is another network")
        return sameness

    def freeze(self, reason: str) -> None:
        """Believe nothing any more: the network is proven to be another."""
        self._other = self._other or reason

    def doubt(self, reason: str) -> None:
        """Believe nothing until the doubt is cleared."""
        self._doubt = reason

    def clear_doubt(self) -> None:
        """The network is proven to be the same."""
        self._doubt = None
