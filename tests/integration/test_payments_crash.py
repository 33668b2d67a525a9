"""Killed at any moment and started again, a hub loses no accepted payment and pays none twice.

The hub's payment parts die by SIGKILL; the devnet runs on in a process of its own, and what counts
is what it executed.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devnet_fixture import DevnetProcess
from realtime_devnet.devnet import Devnet
from realtime_devnet.settings import DevnetSettings
from realtime_protocol.messages import PayRequest

TICK_MS = 40
NEAR_MS = 200
FAR_MS = 2_000
WAIT_S = 20.0
PROGRAM = Path(__file__).with_name("payment_process.py")
TESTS = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


class Killed(Exception):  # noqa: N818 - what happened
    """The process is gone."""


class HubProcess:
    """The payment parts in a process; it can be killed and started again on the same journal."""

    def __init__(self, devnet: DevnetProcess, state: Path) -> None:
        self._devnet = devnet
        self._state = state
        self._process: subprocess.Popen[str] | None = None

    def start(self, crash_at: str = "never") -> None:
        self.kill()
        arguments = (
            self._devnet.addresses.node_port,
            self._state,
            self._devnet.state / "demo.json",
        )
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *map(str, arguments), crash_at],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
        )
        assert self._line() == "ready"

    def ask(self, *, payer: int = 0, **command: Any) -> dict[str, Any]:
        """Send a command; Killed when the process dies over it."""
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"payer": payer, **command}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Killed from None
        answered: dict[str, Any] = json.loads(self._line())
        return answered

    def wait_killed(self) -> None:
        """Wait until the process has killed itself."""
        assert self._process is not None
        assert self._process.wait(WAIT_S) == -signal.SIGKILL

    def kill(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(WAIT_S)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                pass
        self._process = None

    def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Killed
        return line.strip()


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[DevnetProcess]:
    with DevnetProcess(tmp_path / "devnet", tick_ms=TICK_MS) as process:
        yield process


@pytest.fixture
def hub(devnet: DevnetProcess, tmp_path: Path) -> Iterator[HubProcess]:
    process = HubProcess(devnet, tmp_path / "hub")
    yield process
    process.kill()


def executed(devnet: DevnetProcess) -> tuple[int, int]:
    """Stop the devnet; return how many transactions it executed, and what the payee got."""
    devnet.stop()
    opened = Devnet.open(DevnetSettings(state=str(devnet.state)), now_ms=0)
    try:
        payee = opened.wallets[-1]
        return (
            opened.transactions_count(),
            opened.balance_qu(payee.public_key) - payee.balance_qu,
        )
    finally:
        opened.close()


def idem_of(request: str) -> str:
    return msgspec.msgpack.decode(bytes.fromhex(request), type=PayRequest).idem.hex()


def settle(
    hub: HubProcess,
    payment_id: str,
    idem: str,
    *,
    payer: int = 0,
    ends: frozenset[str] = frozenset({"SETTLED"}),
) -> None:
    """Follow a payment as its payer would, signing again only when asked to."""
    deadline_s = time.monotonic() + WAIT_S
    while (state := hub.ask(payer=payer)["states"][payment_id]) not in ends:
        assert state in {"ACCEPTED", "BROADCAST", "INCLUDED", "MISSED", "UNKNOWN"}
        assert time.monotonic() < deadline_s, state
        if state == "MISSED":
            hub.ask(payer=payer, again=payment_id, idem=idem)
        time.sleep(TICK_MS / 2_000)


@pytest.mark.parametrize("sign_within_ms", [NEAR_MS, FAR_MS], ids=["tick past", "tick ahead"])
@pytest.mark.parametrize("crash_at", ["durable", "hand-over", "handed", "noted"])
def test_an_accepted_payment_survives_a_kill_and_is_paid_once(
    hub: HubProcess, devnet: DevnetProcess, crash_at: str, sign_within_ms: int
) -> None:
    hub.start(crash_at)
    request = hub.ask(prepare=1_000, sign_within_ms=sign_within_ms)["request"]
    try:
        hub.ask(pay=request)
    except Killed:
        pass
    hub.wait_killed()

    hub.start()
    repeated = hub.ask(pay=request)
    assert repeated["attempt"] == 1, repeated
    settle(hub, repeated["payment_id"], idem_of(request))
    assert executed(devnet) == (1, 1_000)


def test_what_was_not_durable_never_happened_and_can_be_paid_afresh(
    hub: HubProcess, devnet: DevnetProcess
) -> None:
    hub.start("append")
    request = hub.ask(prepare=1_000, sign_within_ms=NEAR_MS)["request"]
    with pytest.raises(Killed):
        hub.ask(pay=request)
    hub.start()
    repeated = hub.ask(pay=request)
    if "error" in repeated:  # The disk may have been faster than the signal.
        assert repeated["error"] in {301, 306}
        assert hub.ask()["states"] == {}
        request = hub.ask(prepare=1_000, sign_within_ms=NEAR_MS)["request"]
        repeated = hub.ask(pay=request)
    settle(hub, repeated["payment_id"], idem_of(request))
    assert executed(devnet) == (1, 1_000)


def test_kills_at_random_moments_lose_and_double_nothing(
    hub: HubProcess, devnet: DevnetProcess
) -> None:
    chance = random.Random(7)
    hub.start()
    accepted: dict[str, tuple[int, str]] = {}
    for amount_qu in range(1, 9):
        payer = amount_qu % 2
        request = hub.ask(payer=payer, prepare=amount_qu, sign_within_ms=FAR_MS)["request"]
        reply = hub.ask(payer=payer, pay=request)
        accepted[reply["payment_id"]] = payer, idem_of(request)
        if amount_qu % 2 == 0:
            time.sleep(chance.uniform(0, 4 * TICK_MS / 1_000))
            hub.kill()
            hub.start()
    for payment_id, (payer, idem) in accepted.items():
        # A payer that paid again before the hub was back hides the first outcome from a node.
        settle(hub, payment_id, idem, payer=payer, ends=frozenset({"SETTLED", "INCLUDED"}))
    assert executed(devnet) == (len(accepted), sum(range(1, 9)))
