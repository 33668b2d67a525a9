"""What leaves a session: in order of urgency, as the connection takes it, and how it keeps up."""

from collections.abc import Sequence

from realtime_hub.session.delivery import SEND_BYTES, Delivery
from realtime_hub.session.outbox import Urgency
from realtime_protocol.limits import Limits
from session_fakes import FakeWire

LIMITS = Limits()


class FullAfterOne(FakeWire):
    """A connection that takes one write and then no more."""

    def send(self, messages: Sequence[bytes]) -> None:
        super().send(messages)
        self.writable = False


def made(wire: FakeWire | None = None) -> tuple[FakeWire, Delivery]:
    wire = wire or FakeWire()
    return wire, Delivery(wire, LIMITS, now_s=0.0)


def test_replies_leave_at_once_where_nothing_waits() -> None:
    wire, delivery = made()
    assert delivery.reply([b"one", b"two"])
    assert wire.sent == [b"one", b"two"]


def test_replies_queue_behind_what_waits_and_leave_with_the_next_flush() -> None:
    wire, delivery = made()
    wire.writable = False
    assert not delivery.reply([b"one"])
    assert (wire.sent, delivery.waiting_bytes) == ([], 3)
    wire.writable = True
    delivery.put(Urgency.REVOCATION, b"blocked", ("wallet",))
    delivery.flush()
    assert wire.sent == [b"blocked", b"one"]


def test_no_more_is_handed_over_at_a_time_than_can_still_be_overtaken() -> None:
    wire, delivery = made(FullAfterOne())
    for _ in range(3):
        delivery.put(Urgency.REPLY, bytes(SEND_BYTES))
    delivery.flush()
    assert len(wire.sent) == 1


def test_a_client_with_too_much_queued_is_read_again_at_half_of_it() -> None:
    wire, delivery = made()
    wire.writable = False
    delivery.put(Urgency.REPLY, bytes(LIMITS.queue_bytes_max))
    delivery.flush()
    assert not delivery.reading
    wire.writable = True
    delivery.flush()
    assert delivery.reading


def test_it_stalls_only_while_something_waits_and_nothing_drains() -> None:
    wire, delivery = made()
    assert delivery.stalled_ms(10.0) == 0
    wire.writable = False
    delivery.put(Urgency.PAYMENT, b"state", "key")
    assert delivery.stalled_ms(12.0) == 2_000
    assert delivery.stall_facts(2_000) == {"queued": 5, "age": 2_000, "class": 1}
