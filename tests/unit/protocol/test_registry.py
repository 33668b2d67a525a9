"""A registry is what its administrator signed, in one order, and nothing else."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from realtime_protocol.identity import PublicKey, contract_public_key
from realtime_protocol.qubic.contract_abi import (
    ChainStatus,
    Function,
    Procedure,
    StatusSetting,
    decode_status,
    encode_next_contract,
)
from realtime_protocol.registry import Registry, RegistryEntry, RegistryError, registry_key
from realtime_protocol.schnorrq import KeyPair, keypair
from realtime_protocol.transaction import build_unsigned, sign_transaction, transaction_digest

ADMIN, NEXT, STRANGER = (keypair(letter * 55) for letter in "abc")
WALLET = PublicKey(keypair("w" * 55).public_key)
BLOCKED = StatusSetting(WALLET, ChainStatus.BLOCKED, 0, 7)
ACTIVE = StatusSetting(WALLET, ChainStatus.ACTIVE, 80)
NOW_MS = 1_790_000_000_000


def order(
    setting: StatusSetting = BLOCKED,
    *,
    keys: KeyPair = ADMIN,
    procedure: int = Procedure.SET_STATUS,
    payload: bytes | None = None,
    destination: PublicKey | None = None,
    amount_qu: int = 0,
    tick: int = 1_000_010,
) -> bytes:
    unsigned = build_unsigned(
        PublicKey(keys.public_key),
        destination or registry_key("test"),
        amount_qu,
        tick,
        input_type=procedure,
        payload=setting.encode() if payload is None else payload,
    )
    return sign_transaction(unsigned, keys.subseed, keys.public_key)


@pytest.fixture
def registry() -> Registry:
    return Registry("test", PublicKey(ADMIN.public_key))


def take(registry: Registry, signed_tx: bytes) -> RegistryEntry:
    entry = registry.next_entry(signed_tx, NOW_MS)
    registry.take(entry)
    return entry


def followed(entries: Sequence[RegistryEntry]) -> Registry:
    """Return what a hub has that got these entries."""
    follower = Registry("test", PublicKey(ADMIN.public_key))
    for entry in entries:
        follower.take(entry)
    return follower


def status(registry: Registry) -> ChainStatus:
    return decode_status(registry.call(Function.GET_STATUS, WALLET)).status


def test_the_administrators_orders_make_the_table(registry: Registry) -> None:
    take(registry, order(ACTIVE))
    assert status(registry) is ChainStatus.ACTIVE
    take(registry, order(BLOCKED))
    assert status(registry) is ChainStatus.BLOCKED
    assert registry.info().last_sequence == 2


def test_who_follows_the_entries_has_the_same_table(registry: Registry) -> None:
    follower = followed([take(registry, order(ACTIVE)), take(registry, order(BLOCKED))])
    assert (follower.number, follower.hash) == (registry.number, registry.hash)
    assert follower.info() == registry.info()


@pytest.mark.parametrize(
    "signed_tx",
    [
        order(keys=STRANGER),
        order(destination=registry_key("another")),
        order(destination=contract_public_key(29)),
        order(amount_qu=1),
        order(procedure=9),
        order(procedure=Procedure.SET_NEXT_CONTRACT, payload=encode_next_contract(30)),
        order(procedure=Procedure.ACCEPT_ADMIN, payload=b"", keys=STRANGER),
        order(payload=WALLET + b"\x01\x65" + bytes(6)),
        order()[:-64] + bytes(64),
        order()[:-1],
    ],
)
def test_an_order_that_the_contract_would_refuse_or_that_is_none_changes_nothing(
    registry: Registry, signed_tx: bytes
) -> None:
    with pytest.raises(RegistryError):
        take(registry, signed_tx)
    assert (registry.number, status(registry)) == (0, ChainStatus.UNKNOWN)


def test_an_order_counts_once(registry: Registry) -> None:
    take(registry, order(ACTIVE))
    take(registry, order(BLOCKED))
    with pytest.raises(RegistryError, match="taken before"):
        take(registry, order(ACTIVE))
    assert status(registry) is ChainStatus.BLOCKED


def test_a_removed_changed_or_swapped_entry_breaks_the_chain(registry: Registry) -> None:
    first, second = take(registry, order(ACTIVE)), take(registry, order(BLOCKED))
    wrong: list[list[RegistryEntry]] = [
        [second],
        [replace(second, number=1)],
        [replace(first, accepted_ms=first.accepted_ms + 1)],
        [replace(first, hash=bytes(32))],
        [replace(first, signed_tx=second.signed_tx)],
        [first, first],
        [first, replace(second, signed_tx=order(ACTIVE, tick=1_000_011))],
    ]
    for entries in wrong:
        with pytest.raises(RegistryError):
            followed(entries)


def test_the_administrator_hands_over_in_two_entries(registry: Registry) -> None:
    take(registry, order(procedure=Procedure.PROPOSE_ADMIN, payload=NEXT.public_key))
    take(registry, order(procedure=Procedure.ACCEPT_ADMIN, payload=b"", keys=NEXT))
    with pytest.raises(RegistryError):
        take(registry, order(ACTIVE))
    take(registry, order(BLOCKED, keys=NEXT))
    assert registry.info().admin == NEXT.public_key


def test_the_orders_for_a_tick_can_be_found(registry: Registry) -> None:
    signed = order(tick=1_000_012)
    take(registry, signed)
    assert registry.taken_for(1_000_012) == (transaction_digest(signed),)
    assert registry.taken_for(1_000_013) == ()


@pytest.mark.parametrize("name", ["", "-a", "A", "a b", "a" * 64, "a\n"])
def test_a_registry_needs_a_name_that_can_stand_in_its_key(name: str) -> None:
    with pytest.raises(ValueError, match="is no registry's name"):
        registry_key(name)
