"""Devnets for tests: in memory, served in this process, or as a child process.

devnet = Devnet.in_memory()                       # nothing but the chain
async with running_devnet() as server: ...        # on free ports; server.step() moves time
async with running_devnet(tick_ms=50) as server:  # time moves by itself
with DevnetProcess(tmp_path, tick_ms=50) as process: ...  # process.kill(), process.start()
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from realtime_devnet.devnet import Devnet
from realtime_devnet.node_server import NodeLimits
from realtime_devnet.serving import DevnetServer, bound_ports, serving
from realtime_devnet.settings import DemoWallet, DevnetSettings
from realtime_protocol.identity import PublicKey, contract_public_key
from realtime_protocol.qubic.contract_abi import Procedure
from realtime_protocol.schnorrq import keypair
from realtime_protocol.transaction import build_unsigned, sign_transaction

STOP_TIMEOUT_S = 5.0


@contextlib.asynccontextmanager
async def running_devnet(
    *,
    tick_ms: int | None = None,
    devnet: Devnet | None = None,
    limits: NodeLimits | None = None,
    seed: int = 1,
) -> AsyncIterator[DevnetServer]:
    """Serve a devnet in memory on free ports. Without *tick_ms* only ``step()`` moves it."""
    served = devnet or Devnet.in_memory(seed=seed, tick_ms=tick_ms or 1000)
    settings = DevnetSettings(node_port=0, http_port=0)
    with bound_ports(settings) as ports:
        async with serving(served, settings, ports, limits=limits) as server:
            ticking = asyncio.create_task(server.tick()) if tick_ms is not None else None
            try:
                yield server
            finally:
                if ticking is not None:
                    ticking.cancel()
                    await asyncio.wait([ticking])
    if devnet is None:
        served.close()


def transfer(
    payer: DemoWallet,
    payee: PublicKey,
    amount_qu: int,
    tick: int,
    *,
    input_type: int = 0,
    payload: bytes = b"",
) -> bytes:
    """Return a signed transaction."""
    keys = keypair(payer.seed)
    unsigned = build_unsigned(
        payer.public_key, payee, amount_qu, tick, input_type=input_type, payload=payload
    )
    return sign_transaction(unsigned, keys.subseed, keys.public_key)


def invocation(
    sender: DemoWallet, procedure: Procedure, payload: bytes, tick: int, *, amount_qu: int = 0
) -> bytes:
    """Return a signed call of a TurboAuth procedure."""
    contract = contract_public_key(29)
    return transfer(sender, contract, amount_qu, tick, input_type=procedure, payload=payload)


@dataclass(frozen=True, slots=True)
class ProcessAddresses:
    """Where a devnet of another process listens."""

    node_port: int
    http_port: int


class DevnetProcess:
    """``python -m realtime_devnet`` on free ports, with its state in a directory that stays."""

    def __init__(self, state: Path, *, tick_ms: int = 50, arguments: Sequence[str] = ()) -> None:
        self.state = state
        self._options = ["--state", str(state), "--tick-ms", str(tick_ms), *arguments]
        self._process: subprocess.Popen[str] | None = None
        self.addresses = ProcessAddresses(0, 0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, on the ports that it had before, and wait until it can be reached."""
        ports = ["--node-port", str(self.addresses.node_port)]
        ports += ["--http-port", str(self.addresses.http_port)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "realtime_devnet", *self._options, *ports],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None
        node, http = self._process.stdout.readline(), self._process.stdout.readline()
        assert node.startswith("node "), f"the devnet did not start: {node!r}"
        self.addresses = ProcessAddresses(
            node_port=int(node.rsplit(":", 1)[1]), http_port=int(http.rsplit(":", 1)[1])
        )

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        self._end(signal.SIGKILL)

    def stop(self) -> int | None:
        """End it as Ctrl-C does; return its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, with_signal: signal.Signals) -> int | None:
        if self._process is None:
            return None
        self._process.send_signal(with_signal)
        status = self._process.wait(STOP_TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return status
