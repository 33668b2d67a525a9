"""The machine under random histories: every prefix of a journal is a consistent past."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payment_fakes import NETWORK, OTHER, PAYEE, PAYER
from realtime_hub.pay.events import (
    Accepted,
    JournalCorrupt,
    Moved,
    PaymentEvent,
    Retried,
    decode_event,
    encode_event,
)
from realtime_hub.pay.machine import PaymentMachine, payment_id_of, rebuild
from realtime_hub.pay.model import Order, Payment, PaymentLimits
from realtime_hub.pay.states import LIVE, MOVES, Move
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import PaymentState

BALANCE_QU = 10_000
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["accept", "retry", *Move]),
        st.integers(0, 5),
        st.integers(1, 6_000),
        st.integers(0, 50),
    ),
    max_size=60,
)


class History:
    """Takes random steps as a service would: decide, and apply what was decided."""

    def __init__(self) -> None:
        self.machine = PaymentMachine()
        self.events: list[PaymentEvent] = []
        self.now_ms = 0
        self._orders = 0

    def take(self, what: str | Move, number: int, amount_qu: int, later_ms: int) -> None:
        self.now_ms += later_ms
        payer = PAYER if number % 2 else OTHER
        payment = self.machine.find(payment_id_of(NETWORK, payer, bytes([number]) * 16))
        try:
            event = self._decide(what, payment, number, payer, amount_qu)
        except (RequestError, ValueError):
            return
        self.machine.apply(event)
        self.events.append(event)

    def _decide(
        self,
        what: str | Move,
        payment: Payment | None,
        number: int,
        payer: PublicKey,
        amount_qu: int,
    ) -> PaymentEvent:
        covered = {"now_ms": self.now_ms, "balance_qu": BALANCE_QU, "balance_tick": 0}
        if what == "accept":
            idem = bytes([number]) * 16
            order = self._order(payer, amount_qu, idem, 1)
            return self.machine.accept(order, payment_id_of(NETWORK, payer, idem), **covered)
        if payment is None:
            raise ValueError("nothing to move")
        if isinstance(what, Move):
            return self.machine.move(payment, what, now_ms=self.now_ms)
        order = self._order(payer, payment.amount_qu, payment.idem, payment.attempt.number + 1)
        return self.machine.retry(payment, order, **covered)

    def _order(self, payer: PublicKey, amount_qu: int, idem: bytes, attempt: int) -> Order:
        self._orders += 1
        unique = self._orders.to_bytes(32, "big")
        return Order(payer, PAYEE, amount_qu, 100, unique, unique, idem, b"q" * 16, attempt, 1_000)


def replayed(events: Sequence[PaymentEvent]) -> PaymentMachine:
    machine = PaymentMachine()
    for event in events:
        machine.apply(decode_event(encode_event(event)))
    machine.recovered()
    return machine


def looks(machine: PaymentMachine) -> list[object]:
    payments = [*machine.latest_of_payer(PAYER), *machine.latest_of_payer(OTHER)]
    return [(one.status, one.attempts, one.settle_by_ms) for one in payments]


@given(STEPS)
@settings(deadline=None)
def test_every_prefix_of_the_journal_is_a_consistent_past(
    steps: list[tuple[str | Move, int, int, int]],
) -> None:
    history = History()
    for step in steps:
        history.take(*step)
        assert_sound(history.machine)
    for length in range(len(history.events) + 1):
        machine = replayed(history.events[:length])
        assert_sound(machine)
    assert looks(machine) == looks(history.machine)
    for payment in history.machine.latest_of_payer(PAYER):
        own = [one for one in history.events if one.payment_id == payment.payment_id]
        again = rebuild(own)
        assert again is not None
        assert (again.status, again.attempts) == (payment.status, payment.attempts)


def assert_sound(machine: PaymentMachine) -> None:
    for payer in (PAYER, OTHER):
        payments = machine.latest_of_payer(payer)
        open_payments = [one for one in payments if not one.state.terminal]
        assert sorted(map(id, machine.open_of(payer))) == sorted(map(id, open_payments))
        # Holds are kept for exactly what is open, and never exceed what there was to hold.
        held_qu = machine.held_qu(payer, as_of_tick=0)
        assert held_qu == sum(one.amount_qu for one in open_payments) <= BALANCE_QU
        for payment in payments:
            assert_one_live_attempt(payment)


def assert_one_live_attempt(payment: Payment) -> None:
    numbers = [attempt.number for attempt in payment.attempts]
    assert numbers == list(range(1, len(numbers) + 1))
    assert payment.status.txid == payment.attempt.txid
    if len(numbers) > 1:
        # Each earlier one was proven dead: one state a step at least, accepted and missed.
        assert payment.status.state_seq >= 2 * len(numbers) - 1


def accepted() -> tuple[PaymentMachine, Payment, Accepted]:
    history = History()
    history.take("accept", 1, 100, 0)
    event = history.events[0]
    assert isinstance(event, Accepted)
    payment = history.machine.find(event.payment_id)
    assert payment is not None
    return history.machine, payment, event


def test_only_missed_leads_back_to_accepted() -> None:
    back = {state for (state, _), after in MOVES.items() if after is PaymentState.ACCEPTED}
    assert back == {PaymentState.MISSED}


def test_terminal_states_lead_nowhere_and_all_others_lead_to_an_end() -> None:
    for state in PaymentState:
        following = {after for (before, _), after in MOVES.items() if before is state}
        assert bool(following) is not state.terminal


def test_unknown_is_neither_terminal_nor_a_reason_to_sign_again() -> None:
    assert PaymentState.UNKNOWN in LIVE
    assert not PaymentState.UNKNOWN.terminal
    assert (PaymentState.UNKNOWN, Move.SIGNED_AGAIN) not in MOVES
    assert (PaymentState.UNKNOWN, Move.TIME_OVER) not in MOVES


def test_bytes_that_may_be_on_their_way_are_never_rejected() -> None:
    machine, payment, _ = accepted()
    machine.hand_over(payment)
    with pytest.raises(ValueError, match="taken back"):
        machine.move(payment, Move.REFUSED, now_ms=0)
    machine.keep_back(payment)
    assert machine.move(payment, Move.REFUSED, now_ms=0).move is Move.REFUSED


@pytest.mark.parametrize(
    "impossible",
    [
        lambda event: event,
        lambda event: Moved(b"?" * 16, 1, Move.FOUND, 0),
        lambda event: Moved(event.payment_id, 2, Move.FOUND, 0),
        lambda event: Moved(event.payment_id, 1, Move.MONEY_MOVED, 0),
        lambda event: Retried(event.payment_id, 2, b"", b"", 0, 0),
        lambda event: Retried(event.payment_id, 3, b"", b"", 0, 0),
    ],
    ids=["twice", "unknown", "other attempt", "wrong move", "not missed", "attempt left out"],
)
def test_a_journal_that_tells_the_impossible_is_corrupt(
    impossible: Callable[[Accepted], PaymentEvent],
) -> None:
    machine, _, event = accepted()
    with pytest.raises(JournalCorrupt):
        machine.apply(impossible(event))


def test_bytes_that_are_no_event_are_corrupt() -> None:
    with pytest.raises(JournalCorrupt):
        decode_event(b"\xc0")


def test_a_missed_attempt_after_the_deadline_asks_for_nothing() -> None:
    machine, payment, _ = accepted()
    late_ms = payment.settle_by_ms + 1
    event = machine.move(payment, Move.PROVEN_ABSENT, now_ms=late_ms, detail={"reason": 0})
    assert machine.apply(event).resign is None


def test_finished_payments_are_forgotten_at_the_bound_and_their_transactions_with_them() -> None:
    machine = PaymentMachine(PaymentLimits(finished_remembered_max=1))
    for number in range(3):
        unique = bytes([number]) * 32
        order = Order(PAYER, PAYEE, 1, 100, unique, unique, unique[:16], b"q" * 16, 1, 1_000)
        payment_id = payment_id_of(NETWORK, PAYER, order.idem)
        event = machine.accept(order, payment_id, now_ms=0, balance_qu=9, balance_tick=0)
        payment = machine.apply(event).payment
        machine.apply(machine.move(payment, Move.REFUSED, now_ms=0))
    assert machine.forgotten == 2
    assert [one.idem for one in machine.latest_of_payer(PAYER)] == [b"\x02" * 16]
    assert machine.held_qu(PAYER, as_of_tick=0) == 0
