"""Which Redis server to talk to: a single one, the primary that Sentinel names, or a Cluster's.

All keys of a fleet carry one hash tag, so that one script may touch them together; a Cluster then
serves them from one primary. What Sentinel and Cluster add is that another server takes over. A
connection asks who the primary is when it is opened, and is closed when its server says that it
isn't; nothing here retries, for each failure is an event that the owner must see.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from realtime_hub.patience import patience

TAG: Final = "{realtime}"
"""What every key of ours begins with, so that all lie in one slot of a Cluster."""
COMMAND_TIMEOUT_S: Final = 0.5
ASK_TIMEOUT_S: Final = 0.3
"""For one Sentinel or node to say who the primary is."""
NODES_MAX: Final = 64
"""Nodes of a Cluster that are remembered to be asked."""

_SINGLE_PORT: Final = 6_379
_SENTINEL_PORT: Final = 26_379
_NOT_THE_PRIMARY: Final = (
    ReadOnlyError,
    MovedError,
    MasterDownError,
    ClusterDownError,
    TryAgainError,
    BusyLoadingError,
)

Address = tuple[str, int]


class Primary(Protocol):
    """Knows the server that takes our writes."""

    @property
    def sharded(self) -> bool:
        """Whether publications are sharded, as in a Cluster."""
        ...

    async def find(self) -> Address:
        """Return its address; RedisConnectionError when nobody can tell."""
        ...

    async def confirm(self) -> bool:
        """Return whether it is still the one that was found last, if any; RedisConnectionError."""
        ...

    def forget(self) -> None:
        """It said that it is not the primary: ask anew."""
        ...


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A Redis URL, taken apart."""

    kind: str
    """single, sentinel or cluster."""
    addresses: tuple[Address, ...]
    name: str
    """What the Sentinels call the primary."""
    login: dict[str, Any]
    sentinel_login: dict[str, Any]
    tls: bool


def parse_redis_url(url: str) -> RedisUrl:
    """Take a URL apart; ValueError tells what is wrong without telling the password.

    ``redis://[user:password@]host[:port][/db]``;
    ``redis+sentinel://[user:password@]host[:port],…/name[/db][?sentinel_username=…&…]``;
    ``redis+cluster://[user:password@]host[:port],…``. ``rediss`` for TLS.
    """
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    kind = kind or "single"
    if scheme not in ("redis", "rediss") or kind not in ("single", "sentinel", "cluster"):
        raise ValueError(
            "it begins with none of redis://, rediss://, redis+sentinel://, rediss+sentinel://, "
            "redis+cluster:// and rediss+cluster://"
        )
    credentials, _, hosts = parts.netloc.rpartition("@")
    port = _SENTINEL_PORT if kind == "sentinel" else _SINGLE_PORT
    addresses = tuple(_address(host, port) for host in hosts.split(","))
    if kind == "single" and len(addresses) != 1:
        raise ValueError("redis:// names one server; redis+sentinel:// or redis+cluster:// several")
    name, db = _name_and_db(kind, parts)
    user, _, password = credentials.partition(":")
    options = dict(parse_qsl(parts.query))
    sentinel_login = _login(
        options.pop("sentinel_username", ""), options.pop("sentinel_password", "")
    )
    if options:
        raise ValueError(f"unknown option {min(options)!r}")
    login = _login(unquote(user), unquote(password))
    return RedisUrl(kind, addresses, name, login | {"db": db}, sentinel_login, scheme == "rediss")


def connect(url: str, *, timeout_s: float = COMMAND_TIMEOUT_S) -> Redis:
    """Return a client of whichever server is the primary, without retries of its own.

    *timeout_s* bounds each answer. ValueError for a URL that can't be read.
    """
    where = parse_redis_url(url)
    primary = _primary(where)
    pool = ConnectionPool(
        connection_class=_TlsPrimaryConnection if where.tls else _PrimaryConnection,
        primary=primary,
        **where.login,
        **_timeouts(timeout_s),
    )
    client = Redis(connection_pool=pool)
    client.auto_close_connection_pool = True
    return client


async def trouble_at(url: str) -> str | None:
    """Say why no hub can use the Redis at *url* now; None when it answers."""
    try:
        client = connect(url)
    except ValueError as error:
        return str(error)
    try:
        await client.ping()
    except (RedisError, OSError) as error:
        return str(error) or type(error).__name__
    finally:
        await client.aclose()
    return None


def primary_of(redis: Redis) -> Primary:
    """Return who knows the primary of a client that :func:`connect` made."""
    return cast(Primary, redis.connection_pool.connection_kwargs["primary"])


def open_connection(redis: Redis) -> Connection:
    """Return a further connection to the primary, not yet connected and not in the pool."""
    pool = redis.connection_pool
    return cast(Connection, pool.connection_class(**pool.connection_kwargs))


def _timeouts(timeout_s: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "protocol": 2,
    }


def _address(text: str, port: int) -> Address:
    parts = urlsplit(f"//{text}")
    try:
        found = parts.port
    except ValueError:
        raise ValueError(f"{text!r} has no port between 1 and 65535") from None
    if not parts.hostname:
        raise ValueError("a host is missing")
    return parts.hostname, found or port


def _name_and_db(kind: str, parts: SplitResult) -> tuple[str, int]:
    path = [unquote(part) for part in parts.path.split("/") if part]
    name = path.pop(0) if kind == "sentinel" and path else ""
    if kind == "sentinel" and not name:
        raise ValueError("the primary's name is missing: redis+sentinel://host,host/name")
    if len(path) > 1 or not all(part.isdecimal() for part in path):
        raise ValueError(f"{parts.path!r} is not a database number")
    if kind == "cluster" and path:
        raise ValueError("a Cluster has one database; leave the number out")
    return name, int(path[0]) if path else 0


def _login(username: str, password: str) -> dict[str, Any]:
    return {"username": username or None, "password": password or None}


def _primary(where: RedisUrl) -> Primary:
    if where.kind == "single":
        return _Fixed(where.addresses[0])
    login = where.sentinel_login if where.kind == "sentinel" else where.login | {"db": 0}
    asking = _Asking(login, tls=where.tls)
    if where.kind == "sentinel":
        return _BySentinels(asking, where.addresses, where.name)
    return _InCluster(asking, where.addresses)


class _ToldWhenClosed(AbstractConnection):
    """Fails as any lost connection does when its socket is closed already, on uvloop too."""

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        """Send; RedisConnectionError when that can't be."""
        try:
            await super().send_packed_command(*args, **options)
        except RuntimeError as error:
            # What uvloop raises, of no kind that redis-py knows or that a caller would expect.
            raise RedisConnectionError(f"the connection is closed: {error}") from error


class _PlainConnection(_ToldWhenClosed, Connection):
    pass


class _TlsConnection(_ToldWhenClosed, SSLConnection):
    pass


class _PrimaryConnection(_PlainConnection):
    """Opened to the primary of the moment; closed when that says it isn't."""

    def __init__(self, *, primary: Primary, **options: Any) -> None:
        super().__init__(**options)
        self._primary = primary

    async def connect(self) -> None:
        """Be connected to the primary of the moment; the pool asks before each use.

        A connection that is in use is never closed by anybody else: redis-py would not stand it.
        """
        if self.is_connected and (self.host, self.port) != await self._primary.find():
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]  # redis-py's

    async def _connect(self) -> None:
        self.host, self.port = await self._primary.find()
        try:
            await super()._connect()  # type: ignore[no-untyped-call]  # redis-py's
        except BaseException:
            self._primary.forget()
            raise

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read an answer; RedisConnectionError when another server should be asked."""
        try:
            return await super().read_response(*args, **options)
        except _NOT_THE_PRIMARY as error:
            self._primary.forget()
            await self.disconnect(nowait=True)
            raise RedisConnectionError(
                f"{self.host}:{self.port} can't serve now: {type(error).__name__} {error}"
            ) from error


class _TlsPrimaryConnection(_PrimaryConnection, _TlsConnection):
    pass


class _Asking:
    """One short-lived connection a question: a server that hangs holds up nobody for long."""

    def __init__(self, login: dict[str, Any], *, tls: bool) -> None:
        self._options = login | _timeouts(ASK_TIMEOUT_S)
        self._class = _TlsConnection if tls else _PlainConnection

    async def ask(self, address: Address, *command: str) -> Any:
        """Return the answer of the server at *address*; RedisError, OSError or TimeoutError."""
        connection = self._class(host=address[0], port=address[1], **self._options)
        try:
            async with patience(ASK_TIMEOUT_S):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
                await connection.send_command(*command)
                return await connection.read_response()
        finally:
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)


class _Fixed:
    """One server, whatever happens."""

    sharded = False

    def __init__(self, address: Address) -> None:
        self._address = address

    async def find(self) -> Address:
        return self._address

    async def confirm(self) -> bool:
        return True

    def forget(self) -> None:
        return


class _BySentinels:
    """The server that more than half of the Sentinels call the primary.

    One Sentinel that is cut off with a primary of the past can't mislead a hub; a hub that reaches
    only a minority finds no primary and says so.
    """

    sharded = False

    def __init__(self, asking: _Asking, sentinels: Sequence[Address], name: str) -> None:
        self._asking = asking
        self._sentinels = sentinels
        self._name = name
        self._found: Address | None = None

    async def find(self) -> Address:
        if self._found is None:
            self._found = await self._ask_all()
        return self._found

    async def confirm(self) -> bool:
        before, self._found = self._found, await self._ask_all()
        return before in (None, self._found)

    def forget(self) -> None:
        self._found = None

    async def _ask_all(self) -> Address:
        answers = await asyncio.gather(*(self._ask(sentinel) for sentinel in self._sentinels))
        known = [answer for answer in answers if answer is not None]
        for candidate in known:
            if known.count(candidate) * 2 > len(self._sentinels):
                return candidate
        raise RedisConnectionError(
            f"{len(known)} of {len(self._sentinels)} Sentinels answered, and no majority of all "
            f"names a primary for {self._name!r}"
        )

    async def _ask(self, sentinel: Address) -> Address | None:
        try:
            answer = await self._asking.ask(
                sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name
            )
            return None if answer is None else (answer[0].decode(), int(answer[1]))
        except (RedisError, OSError, TimeoutError):
            return None


class _InCluster:
    """The primary of our hash tag's slot, as the nodes tell it."""

    sharded = True

    def __init__(self, asking: _Asking, nodes: Sequence[Address]) -> None:
        self._asking = asking
        self._nodes = list(nodes)
        self._slot = key_slot(TAG.encode())
        self._found: Address | None = None

    async def find(self) -> Address:
        if self._found is None:
            self._found = await self._ask_each()
        return self._found

    async def confirm(self) -> bool:
        # A node that lost its slot answers MOVED, one without a majority CLUSTERDOWN.
        return True

    def forget(self) -> None:
        self._found = None
        self._nodes.append(self._nodes.pop(0))  # Another one may know better.

    async def _ask_each(self) -> Address:
        trouble: Exception | None = None
        for node in list(self._nodes):
            try:
                answer = await self._asking.ask(node, "CLUSTER", "SLOTS")
                return self._read(node, answer)
            except (RedisError, OSError, TimeoutError) as error:
                trouble = error
        raise RedisConnectionError(f"no node tells who holds slot {self._slot}: {trouble}")

    def _read(self, node: Address, answer: list[Any]) -> Address:
        found: Address | None = None
        nodes = [node]
        for first, last, *servers in answer:
            for number, (host, port, *_) in enumerate(servers):
                # An empty host means the node that was asked.
                address = (host.decode() if host else node[0], int(port))
                nodes.append(address)
                if number == 0 and first <= self._slot <= last:
                    found = address
        if found is None:
            raise ClusterError(f"nobody holds slot {self._slot}")
        self._nodes = list(dict.fromkeys(nodes))[:NODES_MAX]
        return found
