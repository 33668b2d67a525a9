"""Redis URLs, and which server they mean."""

import pytest

from realtime_hub.adapters.redis_servers import parse_redis_url


def test_one_server_with_its_defaults() -> None:
    url = parse_redis_url("redis://localhost")
    assert (url.kind, url.addresses, url.tls) == ("single", (("localhost", 6_379),), False)
    assert url.login == {"username": None, "password": None, "db": 0}


def test_a_login_is_decoded_and_a_database_taken() -> None:
    url = parse_redis_url("rediss://hub:p%40ss%3A%2F@10.0.0.1:7000/3")
    assert url.addresses == (("10.0.0.1", 7_000),)
    assert url.login == {"username": "hub", "password": "p@ss:/", "db": 3}
    assert url.tls


def test_sentinels_name_the_primary() -> None:
    url = parse_redis_url("redis+sentinel://:pw@s1,s2:26380,[::1]/main/2?sentinel_password=x")
    assert (url.kind, url.name) == ("sentinel", "main")
    assert url.addresses == (("s1", 26_379), ("s2", 26_380), ("::1", 26_379))
    assert url.login == {"username": None, "password": "pw", "db": 2}
    assert url.sentinel_login == {"username": None, "password": "x"}


def test_a_cluster_has_several_nodes() -> None:
    url = parse_redis_url("rediss+cluster://n1:7000,n2:7001")
    assert (url.kind, url.addresses) == ("cluster", (("n1", 7_000), ("n2", 7_001)))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://h", "begins with none"),
        ("redis+ring://h", "begins with none"),
        ("redis://", "a host is missing"),
        ("redis://a,b", "names one server"),
        ("redis://h:99999", "port"),
        ("redis://h/x", "not a database number"),
        ("redis://h/1/2", "not a database number"),
        ("redis+sentinel://h", "name is missing"),
        ("redis+cluster://h/1", "one database"),
        ("redis://h?timeout=3", "unknown option 'timeout'"),
    ],
)
def test_a_url_that_cannot_be_used_says_why(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_redis_url(url)


def test_the_reason_tells_no_password() -> None:
    with pytest.raises(ValueError, match="port") as raised:
        parse_redis_url("redis://user:secret@h:port")
    assert "secret" not in str(raised.value)
