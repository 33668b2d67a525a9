"""What a payment causes stays behind the reply to it."""

from realtime_hub.session.reply_first import HELD_MAX, ReplyFirst


def test_without_a_request_in_flight_nothing_is_held() -> None:
    pays = ReplyFirst()
    assert not pays.hold("a", b"1")
    assert not pays.holding


def test_pushes_wait_for_the_reply_and_come_in_order() -> None:
    pays = ReplyFirst()
    number = pays.begin()
    assert pays.hold("a", b"1")
    assert pays.hold("b", b"2")
    assert pays.holding
    assert pays.end(number) == [("a", b"1"), ("b", b"2")]
    assert not pays.holding


def test_a_push_waits_only_for_requests_that_were_taken_before_it() -> None:
    pays = ReplyFirst()
    first = pays.begin()
    pays.hold("a", b"1")
    second = pays.begin()
    pays.hold("b", b"2")
    assert pays.end(first) == [("a", b"1")]
    third = pays.begin()
    assert pays.end(second) == [("b", b"2")]
    assert pays.end(third) == []


def test_a_push_never_overtakes_one_that_waits() -> None:
    pays = ReplyFirst()
    first = pays.begin()
    second = pays.begin()
    pays.hold("a", b"1")
    assert pays.end(second) == []
    pays.hold("b", b"2")
    assert pays.end(first) == [("a", b"1"), ("b", b"2")]


def test_the_number_of_held_pushes_is_bounded() -> None:
    pays = ReplyFirst()
    pays.begin()
    for number in range(HELD_MAX):
        assert not pays.is_full
        pays.hold(number, b"x")
    assert pays.is_full
