"""The Locust users. Importing locust makes Python's sockets gevent's: import this nowhere else."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final

import gevent
from locust import User, constant, constant_pacing, task
from locust.exception import StopUser
from websocket import (
    WebSocket,
    WebSocketBadStatusException,
    WebSocketException,
    WebSocketTimeoutException,
    create_connection,
)

from realtime_loadtest.demo_wallets import read_administrator, read_demo_wallets
from realtime_loadtest.session import Refused, WalletSession
from realtime_loadtest.slow_reading import PIECE_BYTES, PIECES_PER_S, RECEIVE_BUFFER_BYTES, Backlog
from realtime_loadtest.trust_orders import sign_next_order
from realtime_loadtest.wire import WireError, request
from realtime_protocol.messages import RequestType
from realtime_protocol.schnorrq import KeyPair
from realtime_protocol.versions import SUBPROTOCOL_MSGPACK

HUB_URL: Final = "ws://127.0.0.1:8080/v1"
ANSWER_TIMEOUT_S: Final = 10.0
QUOTES_PER_S: Final = 4
"""Of each user. Opening and closing a stream weighs 3; the hub allows 20 a second."""
AMOUNT_QU: Final = 1_000
PAYEE: Final = bytes(range(1, 33))
WATCHED: Final = bytes(range(33, 65))
"""A wallet of nobody's, whose trust is changed while others watch it."""
STORM_EVERY_S: Final = 5.0
RETRIES_MAX: Final = 20
RETRY_S: Final = 1.0
"""The hub takes 10 upgrades a second from one address and sends the others away for a second."""
CHANGE_EVERY_S: Final = 2.0
_BROKEN: Final = (OSError, WebSocketException, WireError)

_WALLETS: Final = read_demo_wallets()
_next_user: Final = count()


class WalletUser(User):
    """A demo wallet that logs in when it starts and leaves when it stops."""

    abstract = True

    def on_start(self) -> None:
        """Connect and log in; the signing is not part of the time."""
        self.wallet = self.choose_wallet()
        try:
            with self.timed("connect"):
                connection = self.connect()
            self.log_in(connection)
        except (*_BROKEN, Refused):
            raise StopUser from None  # Counted, with its error, in the report.

    def on_stop(self) -> None:
        """Leave."""
        if hasattr(self, "session"):
            self.session.close()

    def choose_wallet(self) -> KeyPair:
        """Return the keys to log in with."""
        return _WALLETS[next(_next_user) % len(_WALLETS)]

    def connect(self, **options: Any) -> WebSocket:
        """Open a connection."""
        return create_connection(
            self.host or HUB_URL,
            subprotocols=[SUBPROTOCOL_MSGPACK],
            timeout=ANSWER_TIMEOUT_S,
            suppress_origin=True,
            **options,
        )

    def log_in(self, connection: WebSocket) -> None:
        """Begin a session on a connection."""
        self.connection = connection
        self.session = WalletSession(connection, self.wallet, key_seed=os.urandom(32))
        signature = self.session.sign()
        with self.timed("login"):
            self.session.log_in(signature)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Report the block to Locust as one round trip, with the error that left it."""
        began_s = time.perf_counter()
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            failure = error
            raise
        finally:
            self.report(name, (time.perf_counter() - began_s) * 1_000, failure)

    def report(self, name: str, took_ms: float, failure: Exception | None = None) -> None:
        """Tell Locust of something that took so long."""
        self.environment.events.request.fire(
            request_type="ws",
            name=name,
            response_time=took_ms,
            response_length=0,
            exception=failure,
            context={},
        )


class QuotingWallet(WalletUser):
    """Asks for quotes, one stream at a time."""

    wait_time = constant_pacing(1 / QUOTES_PER_S)

    @task
    def quote(self) -> None:
        """Open a stream, take its first quote, close it."""
        try:
            with self.timed("quote"):
                self.session.quote(PAYEE, AMOUNT_QU)
        except Refused:
            return  # Counted; the session goes on.
        except _BROKEN:
            raise StopUser from None


class ReturningWallet(WalletUser):
    """Is cut off together with all the others, and comes back: the storm after an outage."""

    wait_time = constant(0)

    @task
    def cut_and_return(self) -> None:
        """Wait for the next outage, which comes at the same second for all; then come back."""
        gevent.sleep(STORM_EVERY_S - time.time() % STORM_EVERY_S)
        self.connection.shutdown()  # type: ignore[no-untyped-call]  # websocket-client's
        try:
            with self.timed("back after a cut"):
                self.come_back()
        except (*_BROKEN, Refused):
            raise StopUser from None

    def come_back(self) -> None:
        """Resume where the hub lets us, else log in again."""
        self.connection = self.connect_again()
        if not self.session.resumable:
            self.log_in(self.connection)
            return
        with self.timed("resume"):
            self.session.resume(self.connection)

    def connect_again(self) -> WebSocket:
        """Connect, as often as the hub asks to come later."""
        for _ in range(RETRIES_MAX):
            try:
                return self.connect()
            except WebSocketBadStatusException as error:
                if error.status_code != 429:
                    raise
                gevent.sleep(RETRY_S)
        return self.connect()


class WatchingWallet(WalletUser):
    """Follows the trust of one wallet; what is timed is the way from the change to here."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Subscribe, too."""
        super().on_start()
        try:
            with self.timed("watch"):
                self.sub = self.session.watch([WATCHED])
        except (*_BROKEN, Refused):
            raise StopUser from None

    @task
    def wait_for_change(self) -> None:
        """Read the next change. Its time is the hub's: both clocks must be one machine's."""
        try:
            event_ms = self.session.next_change_ms(self.sub)
        except WebSocketTimeoutException:
            return  # Nothing changed.
        except _BROKEN as error:
            self.report("change", 0, error)
            raise StopUser from None
        self.report("change", max(0.0, time.time() * 1_000 - event_ms))


class TrustAdministrator(WalletUser):
    """Changes what others watch: blocks a wallet and lists it again, in turns."""

    fixed_count = 1
    wait_time = constant_pacing(CHANGE_EVERY_S)

    def choose_wallet(self) -> KeyPair:
        """The devnet's administrator."""
        self.administrator = read_administrator()
        self.block = True
        return self.administrator.keys

    @task
    def change(self) -> None:
        """Hand the hub one order."""
        try:
            quote = self.session.quote(PAYEE, AMOUNT_QU)
            order = sign_next_order(self.administrator, WATCHED, quote, block=self.block)
            with self.timed("order"):
                self.session.set_trust(order)
        except Refused:
            return
        except _BROKEN:
            raise StopUser from None
        self.block = not self.block


class SlowReader(WalletUser):
    """Asks for more than it reads. The hub may let it wait, but must not cut it off."""

    wait_time = constant_pacing(1 / PIECES_PER_S)

    def connect(self, **options: Any) -> WebSocket:
        """Let the system take little on our behalf."""
        small = (socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        return super().connect(sockopt=[small], **options)

    def on_start(self) -> None:
        """Learn how long an answer is."""
        super().on_start()
        self.question = request(RequestType.TRUST_GET, 1_000_000, [PAYEE] * 64)
        self.backlog = Backlog()

    @task
    def ask_and_read_a_little(self) -> None:
        """Keep as many questions under way as the hub allows; read one piece of the answers."""
        try:
            for _ in range(self.backlog.questions_to_send()):
                self.connection.send_binary(self.question)
            with self.timed("piece"):
                got = self.receive(PIECE_BYTES)
            self.backlog.read(got)
        except _BROKEN:
            raise StopUser from None

    def receive(self, size_bytes: int) -> int:
        """Read and drop so many bytes at most; return how many."""
        raw = self.connection.sock
        got = len(raw.recv(size_bytes)) if raw is not None else 0
        if not got:
            raise WireError("the hub cut a slow reader off")
        return got
