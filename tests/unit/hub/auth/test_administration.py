"""The administrator's changes: taken once, lowering at once, ended by what the chain proves."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from realtime_hub.adapters.sqlite_trust import SqliteAdminJournal
from realtime_hub.auth.administration import Administration, Outcome
from realtime_hub.auth.model import Overlay, TrustRecord
from realtime_hub.chain.model import ProcessedTick
from realtime_hub.signatures import SignatureChecks
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey, contract_public_key, encode_identity
from realtime_protocol.messages import Trust, TrustChangeState, TrustStatus, TrustTier
from realtime_protocol.qubic.contract_abi import ChainStatus, StatusSetting, encode_settings
from realtime_protocol.schnorrq import KeyPair, keypair
from realtime_protocol.transaction import build_unsigned, sign_transaction, transaction_digest
from waiting import eventually

ADMIN = keypair("a" * 55)
STRANGER = keypair("b" * 55)
WALLET = PublicKey(keypair("c" * 55).public_key)
INDEX = 29
NOW = 1_000_100
BLOCKED = StatusSetting(WALLET, ChainStatus.BLOCKED, 0, 7)
ACTIVE = StatusSetting(WALLET, ChainStatus.ACTIVE, 80)


@dataclass
class FakeBook:
    """A trust book that only notes what it is told."""

    contract_admin: PublicKey | None = field(default=PublicKey(ADMIN.public_key))
    proposed_admin: PublicKey | None = None
    record: TrustRecord | None = None
    over: list[Overlay] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    lowerings_left: int = 1_000
    """After so many the log can't be written."""
    listed: bool = False
    """Whether the source lists what the changes set, though the log didn't tell yet."""

    async def get(self, wallets: Sequence[PublicKey]) -> list[Trust]:
        places = {overlay.wallet: place for place, overlay in enumerate(self.over, start=1)}
        return [
            Trust(TrustStatus.ACTIVE, 80, places.get(wallet, 0), 0, TrustTier.L1, 0, 0)
            for wallet in wallets
        ]

    async def read_again(self, wallets: Sequence[PublicKey]) -> None:
        if self.listed:
            self.over = [overlay for overlay in self.over if overlay.wallet not in wallets]

    def standing(self, wallet: PublicKey) -> TrustRecord | None:
        return self.record

    def overlays(self) -> Sequence[Overlay]:
        return list(self.over)

    async def lower(self, overlay: Overlay) -> int:
        if not self.lowerings_left:
            raise RequestError(ErrorCode.BACKBONE_UNAVAILABLE, "the trust log can't be written now")
        self.lowerings_left -= 1
        self.over.append(overlay)
        self.told.append("lower")
        return len(self.told)

    async def withdraw(self, overlay: Overlay) -> int:
        if overlay in self.over:
            self.over.remove(overlay)
        self.told.append("withdraw")
        return len(self.told)


@dataclass
class FakeAudit:
    """Keeps what it is told."""

    records: list[tuple[str, PublicKey, dict[str, str | int]]] = field(default_factory=list)

    async def append(self, action: str, actor: PublicKey, details: Mapping[str, str | int]) -> None:
        self.records.append((action, actor, dict(details)))


@dataclass
class FakeChain:
    """A chain whose ticks a test makes."""

    current_tick: int = NOW
    trouble: str | None = None
    ticks: dict[int, ProcessedTick] = field(default_factory=dict)
    broadcasts: list[bytes] = field(default_factory=list)

    async def processed_tick(self, tick: int) -> ProcessedTick | None:
        return self.ticks.get(tick)

    async def broadcast(self, signed_tx: bytes) -> bool:
        self.broadcasts.append(signed_tx)
        return True


class Bench:
    """An administration with everything around it in the test's hands."""

    def __init__(self, path: Path) -> None:
        self.book = FakeBook()
        self.chain = FakeChain()
        self.journal = SqliteAdminJournal(path, lambda: b"network")
        self.audit = FakeAudit()
        self.destination: PublicKey | None = contract_public_key(INDEX)
        self.administration = self.start()

    def start(self) -> Administration:
        return Administration(
            journal=self.journal,
            book=self.book,
            chain=self.chain,
            verifier=SignatureChecks(),
            destination=lambda: self.destination,
            audit=self.audit,
        )

    async def settle(self) -> None:
        """Let the administration look at its open changes once."""
        for change in list(self.administration._open.values()):
            await self.administration._follow(change)


@asynccontextmanager
async def bench_at(path: Path) -> AsyncIterator[Bench]:
    bench = Bench(path)
    yield bench
    bench.journal.close_file()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_at(tmp_path / "trust.sqlite") as made:
        yield made


def change(
    setting: StatusSetting = BLOCKED,
    *,
    keys: KeyPair = ADMIN,
    tick: int = NOW + 5,
    amount_qu: int = 0,
    index: int = INDEX,
    input_type: int = 1,
    payload: bytes | None = None,
) -> bytes:
    unsigned = build_unsigned(
        source=PublicKey(keys.public_key),
        destination=contract_public_key(index),
        amount_qu=amount_qu,
        tick=tick,
        input_type=input_type,
        payload=setting.encode() if payload is None else payload,
    )
    return sign_transaction(unsigned, keys.subseed, keys.public_key)


async def refusal(bench: Bench, signed_tx: bytes, **kwargs: Any) -> ErrorCode:
    with pytest.raises(RequestError) as raised:
        await bench.administration.set_trust(signed_tx, **kwargs)
    assert bench.book.told == []
    assert bench.chain.broadcasts == []
    return raised.value.code


async def test_a_block_counts_at_once_and_is_journaled(bench: Bench) -> None:
    signed_tx = change()
    reply = await bench.administration.set_trust(signed_tx)
    assert (reply.log_seq, reply.state) == (1, TrustChangeState.PENDING)
    assert [o.status for o in bench.book.over] == [TrustStatus.BLOCKED]
    found = await bench.journal.find(transaction_digest(signed_tx))
    assert found is not None
    assert (found.log_seq, found.outcome) == (1, Outcome.OPEN)


async def test_a_raise_waits_for_the_chain(bench: Bench) -> None:
    reply = await bench.administration.set_trust(change(ACTIVE))
    assert (reply.log_seq, reply.state) == (0, TrustChangeState.PENDING)
    assert bench.book.told == []


async def test_a_lower_score_counts_at_once_and_a_higher_one_does_not(bench: Bench) -> None:
    bench.book.record = TrustRecord(WALLET, TrustStatus.ACTIVE, 80, 1, 0, NOW)
    higher = StatusSetting(WALLET, ChainStatus.ACTIVE, 81)
    lower = StatusSetting(WALLET, ChainStatus.ACTIVE, 79)
    assert (await bench.administration.set_trust(change(higher))).log_seq == 0
    assert (await bench.administration.set_trust(change(lower))).log_seq == 1


async def test_a_batch_lowers_each_of_its_wallets(bench: Bench) -> None:
    other = StatusSetting(STRANGER.public_key, ChainStatus.BLOCKED, 0)
    payload = encode_settings([BLOCKED, other])
    await bench.administration.set_trust(change(input_type=2, payload=payload))
    assert {o.wallet for o in bench.book.over} == {WALLET, STRANGER.public_key}


async def test_the_same_bytes_again_get_the_same_answer_and_push_nothing(bench: Bench) -> None:
    first = await bench.administration.set_trust(change())
    assert await bench.administration.set_trust(change()) == first
    assert bench.book.told == ["lower"]


async def test_it_is_broadcast_until_its_tick_is_past(bench: Bench) -> None:
    signed_tx = change()
    await bench.administration.set_trust(signed_tx)
    for tick in (NOW + 1, NOW + 5, NOW + 6):
        bench.chain.current_tick = tick
        await bench.settle()
    assert bench.chain.broadcasts == [signed_tx, signed_tx]


async def test_a_new_change_is_broadcast_before_hundreds_that_are_broadcast_again(
    bench: Bench,
) -> None:
    old = [change(tick=NOW + 5 + number) for number in range(50)]
    for signed_tx in old:
        await bench.administration.set_trust(signed_tx)
    new = change(tick=NOW + 4)
    broadcast = bench.chain.broadcast

    async def take_it_meanwhile(signed_tx: bytes) -> bool:
        if len(bench.chain.broadcasts) == 55:
            await bench.administration.set_trust(new)
        bench.administration._moved.set()  # The next tick comes.
        await asyncio.sleep(0)
        return await broadcast(signed_tx)

    bench.chain.broadcast = take_it_meanwhile  # type: ignore[method-assign]
    running = asyncio.create_task(bench.administration.run())
    await eventually(lambda: len(bench.chain.broadcasts) > 60)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert bench.chain.broadcasts[:50] == old
    assert new in bench.chain.broadcasts[56:58]


async def test_a_change_whose_tick_is_proven_without_it_is_withdrawn(bench: Bench) -> None:
    signed_tx = change()
    await bench.administration.set_trust(signed_tx)
    bench.chain.current_tick = NOW + 6
    bench.chain.ticks[NOW + 5] = ProcessedTick(NOW + 5, 1, None)
    await bench.settle()
    assert bench.book.told == ["lower", "withdraw"]
    assert (await bench.administration.set_trust(signed_tx)).state is TrustChangeState.WITHDRAWN


async def test_an_unproven_tick_neither_ends_nor_confirms_a_change(bench: Bench) -> None:
    await bench.administration.set_trust(change())
    bench.chain.current_tick = NOW + 50
    await bench.settle()
    assert bench.book.told == ["lower"]
    assert len(await bench.journal.open_changes()) == 1


async def test_a_change_that_the_contract_lists_is_on_chain(bench: Bench) -> None:
    signed_tx = change()
    await bench.administration.set_trust(signed_tx)
    bench.chain.current_tick = NOW + 6
    digest = transaction_digest(signed_tx)
    bench.chain.ticks[NOW + 5] = ProcessedTick(NOW + 5, 1, (digest,))
    await bench.settle()
    assert bench.book.told == ["lower"]
    bench.book.over.clear()  # The chain's record came.
    await bench.settle()
    assert (await bench.administration.set_trust(signed_tx)).state is TrustChangeState.ON_CHAIN


async def test_a_change_that_ran_but_that_the_contract_refused_is_withdrawn(bench: Bench) -> None:
    signed_tx = change()
    await bench.administration.set_trust(signed_tx)
    digest = transaction_digest(signed_tx)
    bench.chain.ticks[NOW + 5] = ProcessedTick(NOW + 5, 1, (digest,))
    bench.chain.current_tick = NOW + 8
    await bench.settle()
    assert bench.book.told == ["lower", "withdraw"]


async def test_a_change_that_the_contract_took_is_not_withdrawn_because_the_log_is_late(
    bench: Bench,
) -> None:
    signed_tx = change()
    await bench.administration.set_trust(signed_tx)
    bench.chain.ticks[NOW + 5] = ProcessedTick(NOW + 5, 1, (transaction_digest(signed_tx),))
    bench.chain.current_tick = NOW + 50
    bench.book.listed = True
    await bench.settle()
    assert bench.book.told == ["lower"]
    assert (await bench.administration.set_trust(signed_tx)).state is TrustChangeState.ON_CHAIN


def batch(wallets_count: int) -> bytes:
    settings = [
        StatusSetting(PublicKey(bytes([n + 1]) * 32), ChainStatus.BLOCKED, 0)
        for n in range(wallets_count)
    ]
    return change(input_type=2, payload=encode_settings(settings))


async def test_what_could_not_be_pushed_is_pushed_with_the_same_bytes_again(bench: Bench) -> None:
    bench.book.lowerings_left = 2
    with pytest.raises(RequestError) as raised:
        await bench.administration.set_trust(batch(5))
    assert raised.value.code is ErrorCode.BACKBONE_UNAVAILABLE
    bench.book.lowerings_left = 1_000
    for _ in range(2):
        reply = await bench.administration.set_trust(batch(5))
        assert (reply.log_seq, reply.state) == (1, TrustChangeState.PENDING)
        assert bench.book.told == ["lower"] * 5
    assert len({overlay.wallet for overlay in bench.book.over}) == 5


async def test_what_could_not_be_pushed_is_pushed_as_soon_as_the_log_is_back(bench: Bench) -> None:
    bench.book.lowerings_left = 0
    with pytest.raises(RequestError):
        await bench.administration.set_trust(change())
    await bench.administration._push_again()
    assert bench.book.told == []
    bench.book.lowerings_left = 1
    for _ in range(2):
        await bench.administration._push_again()
        assert bench.book.told == ["lower"]


async def test_what_another_process_ended_meanwhile_is_not_pushed_any_more(bench: Bench) -> None:
    bench.book.lowerings_left = 0
    with pytest.raises(RequestError):
        await bench.administration.set_trust(change())
    await bench.journal.close(transaction_digest(change()), Outcome.ON_CHAIN)
    bench.book.lowerings_left = 1
    await bench.administration.recover()
    await bench.administration._push_again()
    assert bench.book.told == []


async def test_behind_its_tick_a_change_is_not_pushed_any_more(bench: Bench) -> None:
    bench.book.lowerings_left = 0
    with pytest.raises(RequestError):
        await bench.administration.set_trust(change())
    bench.book.lowerings_left = 1
    bench.chain.current_tick = NOW + 6
    await bench.administration._push_again()
    assert bench.book.told == []


async def test_a_push_that_may_yet_land_is_taken_back_with_the_change(bench: Bench) -> None:
    bench.book.lowerings_left = 0
    with pytest.raises(RequestError):
        await bench.administration.set_trust(change())
    bench.chain.current_tick = NOW + 6
    bench.chain.ticks[NOW + 5] = ProcessedTick(NOW + 5, 1, None)
    await bench.settle()
    assert bench.book.told == ["withdraw"]
    assert await bench.journal.open_changes() == []


async def test_what_was_open_stands_again_after_a_restart(bench: Bench) -> None:
    signed_tx = change()
    await bench.administration.set_trust(signed_tx)
    bench.book.over.clear()
    bench.administration = bench.start()
    await bench.administration.recover()
    assert [o.wallet for o in bench.book.over] == [WALLET]
    await bench.settle()
    assert bench.chain.broadcasts == [signed_tx]


async def test_an_overlay_that_still_stands_is_not_pushed_twice_by_a_restart(
    bench: Bench,
) -> None:
    await bench.administration.set_trust(change())
    bench.administration = bench.start()
    await bench.administration.recover()
    assert bench.book.told == ["lower"]


async def test_a_log_that_began_anew_gets_what_is_pending_again(bench: Bench) -> None:
    await bench.administration.set_trust(change())
    bench.administration.on_log_reset()
    await bench.administration._append_again()
    assert bench.book.told == ["lower", "lower"]
    await bench.administration._append_again()
    assert bench.book.told == ["lower", "lower"]


@pytest.mark.parametrize(
    ("signed_tx", "code"),
    [
        (change(keys=STRANGER), ErrorCode.FORBIDDEN_SCOPE),
        (change(index=28), ErrorCode.TX_REJECTED),
        (change(amount_qu=1), ErrorCode.TX_REJECTED),
        (change(input_type=3, payload=bytes(31)), ErrorCode.TX_REJECTED),
        (change(input_type=4, payload=b""), ErrorCode.FORBIDDEN_SCOPE),
        (change(input_type=6), ErrorCode.TX_REJECTED),
        (change(payload=bytes(39)), ErrorCode.TX_REJECTED),
        (change(payload=bytes(32) + b"\x02" + bytes(7)), ErrorCode.TX_REJECTED),
        (change(payload=WALLET + b"\x03" + bytes(7)), ErrorCode.TX_REJECTED),
        (change(payload=WALLET + b"\x01\x65" + bytes(6)), ErrorCode.TX_REJECTED),
        (change(tick=NOW + 2), ErrorCode.TARGET_TICK_PASSED),
        (change(tick=NOW + 61), ErrorCode.TARGET_TICK_PASSED),
        (change()[:-1] + b"\x00\x00", ErrorCode.BAD_MESSAGE),
        (change()[:-64] + bytes(64), ErrorCode.BAD_SIGNATURE),
    ],
)
async def test_what_is_not_the_administrators_change_is_refused(
    bench: Bench, signed_tx: bytes, code: ErrorCode
) -> None:
    assert await refusal(bench, signed_tx) is code
    assert list(await bench.journal.open_changes()) == []


async def test_a_session_of_another_wallet_may_not_hand_it_in(bench: Bench) -> None:
    stranger = PublicKey(STRANGER.public_key)
    assert await refusal(bench, change(), admin=stranger) is ErrorCode.FORBIDDEN_SCOPE


async def test_without_a_known_administrator_or_chain_nothing_is_taken(bench: Bench) -> None:
    bench.chain.trouble = "no Qubic node has answered yet"
    assert await refusal(bench, change()) is ErrorCode.BACKBONE_UNAVAILABLE
    bench.book.contract_admin = None
    assert await refusal(bench, change()) is ErrorCode.BACKBONE_UNAVAILABLE


async def test_another_network_knows_nothing_of_this_ones_changes(tmp_path: Path) -> None:
    path = tmp_path / "trust.sqlite"
    async with bench_at(path) as bench:
        await bench.administration.set_trust(change())
    other = SqliteAdminJournal(path, lambda: b"another")
    assert list(await other.open_changes()) == []
    other.close_file()


async def test_the_administrator_hands_over_in_two_orders(bench: Bench) -> None:
    proposed = PublicKey(STRANGER.public_key)
    await bench.administration.set_trust(change(input_type=3, payload=proposed))
    accepting = change(keys=STRANGER, input_type=4, payload=b"")
    assert await refusal(bench, accepting) is ErrorCode.FORBIDDEN_SCOPE
    bench.book.proposed_admin = proposed
    reply = await bench.administration.set_trust(accepting, admin=proposed)
    assert reply.state is TrustChangeState.PENDING
    assert [action for action, _, _ in bench.audit.records] == ["propose_admin", "accept_admin"]
    assert bench.book.told == []


async def test_what_is_ordered_stands_in_the_audit_log_before_anything_comes_of_it(
    bench: Bench,
) -> None:
    await bench.administration.set_trust(change())
    [(action, actor, details)] = bench.audit.records
    assert (action, actor) == ("set_status", ADMIN.public_key)
    assert details["wallet_0"] == encode_identity(WALLET)
    assert details["set_0"] == "BLOCKED score 0 reason 7"


async def test_a_hub_without_a_source_of_its_own_takes_no_orders(bench: Bench) -> None:
    bench.destination = None
    assert await refusal(bench, change()) is ErrorCode.BACKBONE_UNAVAILABLE
