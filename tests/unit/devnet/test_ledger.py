"""Accounts move money as nodes count it."""

from realtime_devnet.ledger import Entity, Ledger

ALICE, BOB, CAROL = (bytes([number]) * 32 for number in (1, 2, 3))


def funded() -> Ledger:
    ledger = Ledger()
    ledger.credit(ALICE, 100, 5)
    return ledger


def test_a_credit_opens_an_account() -> None:
    ledger = funded()
    assert ledger.entity(ALICE) == Entity(ALICE, 0, 100, 0, 1, 0, 5, 0)
    assert ledger.entity(BOB) is None
    assert len(ledger) == 1


def test_a_debit_beyond_the_balance_changes_nothing() -> None:
    ledger = funded()
    assert not ledger.debit(ALICE, 101, 6)
    assert not ledger.debit(BOB, 0, 6)
    assert ledger.entity(ALICE) == Entity(ALICE, 0, 100, 0, 1, 0, 5, 0)


def test_a_debit_of_nothing_still_counts_as_a_transfer() -> None:
    ledger = funded()
    assert ledger.debit(ALICE, 0, 6)
    assert ledger.entity(ALICE) == Entity(ALICE, 0, 100, 0, 1, 1, 5, 6)


def test_what_the_zero_key_gets_is_gone() -> None:
    ledger = funded()
    ledger.debit(ALICE, 30, 6)
    ledger.credit(bytes(32), 30, 6)
    assert ledger.supply_qu() == 70
    assert ledger.entity(bytes(32)) is None


def test_a_full_spectrum_has_room_for_known_keys_only() -> None:
    ledger = Ledger(entities_max=1)
    assert ledger.has_room_for(ALICE)
    ledger.credit(ALICE, 1, 1)
    assert ledger.has_room_for(ALICE)
    assert ledger.has_room_for(bytes(32))
    assert not ledger.has_room_for(BOB)


def test_changed_accounts_are_told_once() -> None:
    ledger = funded()
    assert [entity.public_key for entity in ledger.take_changed()] == [ALICE]
    assert ledger.take_changed() == ()
    ledger.debit(ALICE, 1, 6)
    ledger.credit(CAROL, 1, 6)
    assert [entity.public_key for entity in ledger.take_changed()] == [ALICE, CAROL]
