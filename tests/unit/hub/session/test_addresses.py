"""What one address may have open."""

import pytest

from realtime_hub.session.addresses import AddressBook, count_as
from realtime_protocol.limits import Limits

LIMITS = Limits(sessions_per_ip_max=2, upgrades_per_ip_per_s=2, long_logins_per_ip_max=1)


def test_upgrades_above_the_rate_have_to_wait_and_other_addresses_do_not() -> None:
    book = AddressBook(LIMITS)
    assert [book.try_upgrade("a", now_s=0) for _ in range(3)] == [0, 0, 500]
    assert book.try_upgrade("b", now_s=0) == 0
    assert book.try_upgrade("a", now_s=0.5) == 0


def test_the_rate_is_remembered_while_nothing_is_open() -> None:
    book = AddressBook(LIMITS)
    for _ in range(2):
        book.try_upgrade("a", now_s=0)
        book.try_connect("a", now_s=0)
        book.disconnect("a")
    assert book.try_upgrade("a", now_s=0) == 500


def test_only_so_many_connections_are_open_at_a_time() -> None:
    book = AddressBook(LIMITS)
    assert book.try_connect("a", now_s=0)
    assert book.try_connect("a", now_s=0)
    assert not book.try_connect("a", now_s=0)
    book.disconnect("a")
    assert book.try_connect("a", now_s=0)


def test_only_so_many_logins_may_take_long() -> None:
    book = AddressBook(LIMITS)
    book.try_connect("a", now_s=0)
    assert book.try_long_login("a")
    assert not book.try_long_login("a")
    book.end_long_login("a")
    assert book.try_long_login("a")


def test_addresses_without_a_connection_are_forgotten_beyond_the_bound_oldest_first() -> None:
    book = AddressBook(LIMITS, idle_max=3)
    book.try_connect("connected", now_s=0)
    for number in range(10):
        book.try_upgrade(str(number), now_s=0)
    assert len(book) == 4
    assert not book.try_upgrade("0", now_s=0)


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::/64"),
        ("a name", "a name"),
        ("", ""),
    ],
)
def test_ipv6_counts_by_its_prefix(host: str, counted: str) -> None:
    assert count_as(host) == counted
