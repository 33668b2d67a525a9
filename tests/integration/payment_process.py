"""A hub's payment parts in a process of their own, to be killed at chosen moments.

    python payment_process.py NODE_PORT STATE_DIR DEMO_JSON CRASH_AT

It says "ready", then answers one JSON line for each. CRASH_AT is "never" or the moment at which the
process kills itself: "append" (a record is queued), "durable" (it is on disk, nobody knows yet),
"hand-over" (bytes are about to leave), "handed" (they left, that isn't noted), "noted" (it is).
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from payment_fakes import signed
from payment_hub import Hub, WithoutFaults, running_hub
from realtime_devnet.settings import DemoWallet
from realtime_hub.pay.ports import JournalRecord, PaymentJournal, QubicPaymentPort
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import PayRequest, PrepareKind, PrepareRequest
from realtime_protocol.schnorrq import keypair


class Crashes(WithoutFaults):
    """Kills the process at one moment."""

    def __init__(self, at: str) -> None:
        self._at = at

    def reached(self, moment: str) -> None:
        """Die here if this is the moment."""
        if moment == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def journal(self, journal: PaymentJournal) -> PaymentJournal:
        """Return the journal with its moments."""
        return CrashingJournal(journal, self)

    def chain(self, chain: QubicPaymentPort) -> QubicPaymentPort:
        """Return the chain with its moments."""
        return CrashingChain(chain, self)


class CrashingJournal:
    """A journal around which the process may die."""

    def __init__(self, journal: PaymentJournal, crashes: Crashes) -> None:
        self._journal = journal
        self._crashes = crashes
        self._durable = 0

    @property
    def journal_id(self) -> bytes:
        return self._journal.journal_id

    @property
    def failing(self) -> str | None:
        return self._journal.failing

    @property
    def waiting(self) -> int:
        return self._journal.waiting

    def append(
        self,
        network_id: bytes,
        payment_id: bytes,
        body: bytes,
        durable: Callable[[int], None],
        *,
        must: bool = False,
    ) -> None:
        def on_disk(offset: int) -> None:
            self._durable += 1
            self._crashes.reached("durable" if self._durable == 1 else "noted")
            durable(offset)

        self._journal.append(network_id, payment_id, body, on_disk, must=must)
        self._crashes.reached("append")

    async def find(self, network_id: bytes, payment_id: bytes) -> Sequence[JournalRecord]:
        return await self._journal.find(network_id, payment_id)

    async def replay(self, network_id: bytes) -> Sequence[JournalRecord]:
        return await self._journal.replay(network_id)


class CrashingChain:
    """Nodes around which the process may die."""

    def __init__(self, chain: QubicPaymentPort, crashes: Crashes) -> None:
        self._crashes = crashes
        self._chain = chain
        self.entity = chain.entity
        self.transaction = chain.transaction
        self.tick_transactions = chain.tick_transactions

    async def broadcast(self, signed_tx: bytes, *, again: bool = False) -> None:
        self._crashes.reached("hand-over")
        await self._chain.broadcast(signed_tx, again=again)
        self._crashes.reached("handed")


async def answer(hub: Hub, wallets: list[DemoWallet], command: dict[str, Any]) -> object:
    """Do what the test asks."""
    payer, payee = wallets[command["payer"]], wallets[-1]
    try:
        if "prepare" in command:
            request = await hub.request(
                payer, payee, command["prepare"], sign_within_ms=command["sign_within_ms"]
            )
            return {"request": msgspec.msgpack.encode(request).hex()}
        if "pay" in command:
            request = msgspec.msgpack.decode(bytes.fromhex(command["pay"]), type=PayRequest)
            reply = await hub.service.pay(payer.public_key, request)
            return {"payment_id": reply.payment_id.hex(), "attempt": reply.attempt}
        if "again" in command:
            return await sign_again(hub, payer, bytes.fromhex(command["again"]), command["idem"])
    except RequestError as error:
        return {"error": int(error.code), "message": error.message}
    found = hub.service.snapshot_of_payer(payer.public_key)
    return {"states": {one.payment_id.hex(): one.state.name for one in found}}


async def sign_again(hub: Hub, payer: DemoWallet, payment_id: bytes, idem: str) -> object:
    """Prepare, sign and pay a further attempt."""
    again = PrepareRequest(PrepareKind.AGAIN, None, payment_id, 400)
    prepared = await hub.service.prepare(payer.public_key, again)
    request = signed(prepared, idem=bytes.fromhex(idem), keys=keypair(payer.seed))
    reply = await hub.service.pay(payer.public_key, request)
    return {"payment_id": reply.payment_id.hex(), "attempt": reply.attempt}


def wallets_in(demo: Path) -> list[DemoWallet]:
    """Return the devnet's demo wallets."""
    return [
        DemoWallet(one["seed"], PublicKey(keypair(one["seed"]).public_key), one["balance"])
        for one in json.loads(demo.read_text())["wallets"]
    ]


async def main(node_port: str, state: str, wallets: list[DemoWallet], crash_at: str) -> None:
    """Answer until stdin ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    async with running_hub(int(node_port), Path(state), Crashes(crash_at)) as hub:
        print("ready", flush=True)
        while line := await reader.readline():
            print(json.dumps(await answer(hub, wallets, json.loads(line))), flush=True)


if __name__ == "__main__":
    _, port, directory, demo_json, moment = sys.argv
    asyncio.run(main(port, directory, wallets_in(Path(demo_json)), moment))
