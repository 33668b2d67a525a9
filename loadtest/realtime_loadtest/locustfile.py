"""The Locust user. Importing locust makes Python's sockets gevent's: import this nowhere else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Final

from locust import User, constant_pacing, task
from locust.exception import StopUser
from websocket import WebSocketException, create_connection

from realtime_loadtest.demo_wallets import read_demo_wallets
from realtime_loadtest.session import Refused, WalletSession
from realtime_loadtest.wire import WireError
from realtime_protocol.versions import SUBPROTOCOL_MSGPACK

HUB_URL: Final = "ws://127.0.0.1:8080/v1"
ANSWER_TIMEOUT_S: Final = 10.0
QUOTES_PER_S: Final = 4
"""Of each user. Opening and closing a stream weighs 3; the hub allows 20 a second."""
AMOUNT_QU: Final = 1_000
PAYEE: Final = bytes(range(1, 33))

_WALLETS: Final = read_demo_wallets()
_next_user: Final = count()


class QuotingWallet(User):
    """A demo wallet that logs in and asks for quotes, one stream at a time."""

    wait_time = constant_pacing(1 / QUOTES_PER_S)

    def on_start(self) -> None:
        """Connect and log in; the signing is not part of the time."""
        wallet = _WALLETS[next(_next_user) % len(_WALLETS)]
        try:
            with self._timed("connect"):
                socket = create_connection(
                    self.host or HUB_URL,
                    subprotocols=[SUBPROTOCOL_MSGPACK],
                    timeout=ANSWER_TIMEOUT_S,
                    suppress_origin=True,
                )
            self.session = WalletSession(socket, wallet)
            signature = self.session.sign()
            with self._timed("login"):
                self.session.log_in(signature)
        except (OSError, WebSocketException, WireError, Refused):
            raise StopUser from None  # Counted, with its error, in the report.

    def on_stop(self) -> None:
        """Leave."""
        if hasattr(self, "session"):
            self.session.close()

    @task
    def quote(self) -> None:
        """Open a stream, take its first quote, close it."""
        try:
            with self._timed("quote"):
                self.session.quote(PAYEE, AMOUNT_QU)
        except Refused:
            return  # Counted; the session goes on.
        except (OSError, WebSocketException, WireError):
            raise StopUser from None

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Report the block to Locust as one round trip, with the error that left it."""
        began_s = time.perf_counter()
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            failure = error
            raise
        finally:
            self.environment.events.request.fire(
                request_type="ws",
                name=name,
                response_time=(time.perf_counter() - began_s) * 1_000,
                response_length=0,
                exception=failure,
                context={},
            )
