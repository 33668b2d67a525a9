"""L3 from several sources: what enough of them say alike counts, whatever the others say.

A node that lies, lags or is silent takes part in a disagreement at most: it can't make a wallet
ACTIVE, and it can't block one either, since a forged record with a high sequence would stay.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Final, TypeVar

from realtime_hub.auth.model import TrustRecord
from realtime_hub.auth.ports import SourceChanges, SourceUnavailable, TrustSource
from realtime_protocol.identity import PublicKey
from realtime_protocol.qubic.contract_abi import ContractInfo

SOURCES_MAX: Final = 16

Answer = TypeVar("Answer")
Said = TypeVar("Said", bound=Hashable)


class AgreeingSources:
    """A TrustSource over several: *need* of them must say the same.

    It answers as soon as they do and cancels the rest, so the slowest don't set the pace. The
    caller's deadline is the only one.
    """

    def __init__(self, sources: Sequence[TrustSource], *, need: int) -> None:
        if not 1 <= need <= len(sources) <= SOURCES_MAX:
            raise ValueError(f"{need} of {len(sources)} sources can't agree")
        self._sources = sources
        self._need = need

    async def info(self) -> ContractInfo:
        """Return what enough sources say; of their last sequences one that enough have reached."""
        return await self._ask(lambda source: source.info(), self._agreed_info, "the contract")

    async def statuses(
        self, wallets: Sequence[PublicKey]
    ) -> Mapping[PublicKey, TrustRecord | None]:
        """Return the records that enough sources give alike; other wallets are left out."""
        best: dict[PublicKey, TrustRecord | None] = {}

        def agreed(
            answers: Sequence[Mapping[PublicKey, TrustRecord | None]],
        ) -> Mapping[PublicKey, TrustRecord | None] | None:
            for wallet in wallets:
                said = [answer[wallet] for answer in answers if wallet in answer]
                if (found := most_said(said, self._need)) is not None:
                    best[wallet] = found[0]
            return best if len(best) == len(set(wallets)) else None

        try:
            return await self._ask(lambda source: source.statuses(wallets), agreed, "wallets")
        except SourceUnavailable:
            if not best:
                raise
            return best

    async def changes(self, since_sequence: int) -> SourceChanges:
        """Return the changes up to the first on which too few sources agree."""
        return await self._ask(
            lambda source: source.changes(since_sequence), self._agreed_changes, "changes"
        )

    def _agreed_info(self, answers: Sequence[ContractInfo]) -> ContractInfo | None:
        alike: dict[tuple[object, ...], list[ContractInfo]] = {}
        for answer in answers:
            known = (
                answer.magic,
                answer.abi_version,
                answer.admin,
                answer.pending_admin,
                answer.next_contract_index,
            )
            alike.setdefault(known, []).append(answer)
        for same in alike.values():
            if len(same) >= self._need:
                return sorted(same, key=lambda info: -info.last_sequence)[self._need - 1]
        return None

    def _agreed_changes(self, answers: Sequence[SourceChanges]) -> SourceChanges | None:
        if len(answers) < self._need:
            return None
        overrun = [answer for answer in answers if answer.overrun]
        if len(overrun) >= self._need:
            return SourceChanges(self._reached(overrun), True, ())
        listed = [answer.changes for answer in answers if not answer.overrun]
        if len(listed) < self._need:
            return None
        agreed: list[TrustRecord] = []
        while (found := most_said(said := _said_at(listed, len(agreed)), self._need)) is not None:
            listed = [changes for changes in listed if _said_at([changes], len(agreed)) == [*found]]
            agreed.append(found[0])
        # Sources that are ahead list more than the others: that is no quarrel, it comes later.
        if not agreed and len(set(said)) > 1:
            return None
        return SourceChanges(self._reached(answers), False, tuple(agreed))

    def _reached(self, answers: Sequence[SourceChanges]) -> int:
        """Return the newest sequence that enough sources have reached."""
        reached = sorted((answer.last_sequence for answer in answers), reverse=True)
        return reached[self._need - 1]

    async def _ask(
        self,
        ask: Callable[[TrustSource], Awaitable[Answer]],
        agreed: Callable[[Sequence[Answer]], Said | None],
        what: str,
    ) -> Said:
        tasks = [asyncio.ensure_future(ask(source)) for source in self._sources]
        answers: list[Answer] = []
        troubles: list[str] = []
        try:
            for finished in asyncio.as_completed(tasks):
                try:
                    answers.append(await finished)
                except SourceUnavailable as error:
                    troubles.append(str(error))
                    continue
                if (found := agreed(answers)) is not None:
                    return found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        raise SourceUnavailable(
            f"fewer than {self._need} of {len(self._sources)} sources agree on {what}"
            + (f": {'; '.join(troubles)}" if troubles else "")
        )


def _said_at(lists: Sequence[Sequence[TrustRecord]], place: int) -> list[TrustRecord]:
    return [changes[place] for changes in lists if place < len(changes)]


def most_said(said: Sequence[Said], need: int) -> tuple[Said] | None:
    """Return what at least *need* say alike, in a tuple of one; None when nothing is.

    Where two answers have enough voices, the one with more counts; of equal ones the first.
    """
    for value, voices in Counter(said).most_common(1):
        if voices >= need:
            return (value,)
    return None
