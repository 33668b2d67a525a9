"""The queue of one session."""

from realtime_hub.session.outbox import KEYS_MAX, Outbox, Urgency


def test_the_most_urgent_goes_first_and_within_a_class_the_order_stays() -> None:
    outbox = Outbox()
    outbox.put(Urgency.QUOTE, b"quote", 1)
    outbox.put(Urgency.REPLY, b"first reply")
    outbox.put(Urgency.REPLY, b"second reply")
    outbox.put(Urgency.PAYMENT, b"payment", 1)
    outbox.put(Urgency.REVOCATION, b"revocation", 1)
    assert outbox.most_urgent is Urgency.REVOCATION
    taken = outbox.take(10_000)
    assert taken == [b"revocation", b"payment", b"first reply", b"second reply", b"quote"]
    assert outbox.bytes == 0
    assert outbox.most_urgent is None


def test_a_newer_message_replaces_the_one_under_its_key_and_goes_to_the_end() -> None:
    outbox = Outbox()
    outbox.put(Urgency.REVOCATION, b"alice at 5", "alice")
    outbox.put(Urgency.REVOCATION, b"bob at 6", "bob")
    outbox.put(Urgency.REVOCATION, b"alice at 7", "alice")
    assert outbox.bytes == len(b"bob at 6" + b"alice at 7")
    assert outbox.take(10_000) == [b"bob at 6", b"alice at 7"]


def test_one_key_in_two_classes_is_two_messages() -> None:
    outbox = Outbox()
    outbox.put(Urgency.PAYMENT, b"a", 1)
    outbox.put(Urgency.QUOTE, b"b", 1)
    assert outbox.take(10_000) == [b"a", b"b"]


def test_no_more_is_taken_once_the_bytes_are_reached() -> None:
    outbox = Outbox()
    for message in (b"aaaa", b"bbbb", b"cccc"):
        outbox.put(Urgency.REPLY, message)
    assert outbox.take(5) == [b"aaaa", b"bbbb"]
    assert outbox.bytes == 4
    assert outbox.take(0) == []


def test_only_what_is_urgent_enough_is_taken() -> None:
    outbox = Outbox()
    outbox.put(Urgency.REPLY, b"reply")
    outbox.put(Urgency.REVOCATION, b"revocation", 1)
    assert outbox.take(10_000, least_urgent=Urgency.REVOCATION) == [b"revocation"]
    assert outbox.bytes == len(b"reply")


def test_a_full_class_takes_nothing_more_but_still_replaces() -> None:
    outbox = Outbox()
    for key in range(KEYS_MAX):
        assert outbox.put(Urgency.REVOCATION, b"x", key)
    assert not outbox.put(Urgency.REVOCATION, b"x", KEYS_MAX)
    assert outbox.put(Urgency.REVOCATION, b"y", 0)
    assert outbox.bytes == KEYS_MAX


def test_a_dropped_message_is_forgotten() -> None:
    outbox = Outbox()
    outbox.put(Urgency.QUOTE, b"quote", 1)
    outbox.drop(Urgency.QUOTE, 1)
    outbox.drop(Urgency.QUOTE, 2)
    outbox.drop(Urgency.PAYMENT, 1)
    assert (outbox.bytes, outbox.take(10_000)) == (0, [])


def test_a_cleared_queue_is_empty() -> None:
    outbox = Outbox()
    outbox.put(Urgency.REPLY, b"reply")
    outbox.clear()
    assert (outbox.bytes, outbox.take(10_000)) == (0, [])
