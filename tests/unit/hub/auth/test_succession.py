"""A contract's successor is followed only under the same administrator, with all its records."""

from dataclasses import replace

import pytest

from realtime_hub.auth.succession import SUCCESSIONS_MAX, Succession
from realtime_protocol.identity import PublicKey
from realtime_protocol.qubic.contract_abi import ContractInfo
from trust_fakes import ALICE, FakeSource, record


class Contract(FakeSource):
    """A contract that may name its successor."""

    following: int = 0

    async def info(self) -> ContractInfo:
        return replace(await super().info(), next_contract_index=self.following)


def chain(count: int) -> dict[int, Contract]:
    """Contracts 29, 30, ... of one administrator, each naming the next."""
    contracts = {index: Contract() for index in range(29, 29 + count)}
    for index, contract in contracts.items():
        contract.write(record(sequence=index))
        contract.following = index + 1 if index + 1 in contracts else 0
    return contracts


async def followed(contracts: dict[int, Contract], *, looks: int = 1) -> Succession:
    succession = Succession(29, contracts.__getitem__)
    for _ in range(looks):
        await succession.info()
    return succession


async def test_the_successor_answers_from_then_on() -> None:
    contracts = chain(2)
    succession = await followed(contracts)
    assert succession.index == 30
    assert await succession.statuses([ALICE]) == {ALICE: record(sequence=30)}
    assert (await succession.changes(0)).last_sequence == 30


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("admin", PublicKey(b"\xee" * 32)),
        ("magic", 1),
        ("listed", []),
        ("silent", True),
    ],
)
async def test_one_that_cannot_be_vouched_for_is_not_followed(change: str, value: object) -> None:
    contracts = chain(2)
    setattr(contracts[30], change, value)
    assert (await followed(contracts)).index == 29


async def test_a_ring_of_contracts_is_not_gone_round() -> None:
    contracts = chain(2)
    contracts[29].write(record(sequence=31))
    contracts[30].write(record(sequence=32))
    contracts[30].following = 29
    assert (await followed(contracts, looks=3)).index == 30


async def test_after_so_many_successors_the_operator_must_say_which() -> None:
    contracts = chain(SUCCESSIONS_MAX + 3)
    succession = await followed(contracts, looks=SUCCESSIONS_MAX + 3)
    assert succession.index == 29 + SUCCESSIONS_MAX
