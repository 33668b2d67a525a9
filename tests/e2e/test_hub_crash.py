"""The whole hub, killed by SIGKILL while it pays: nothing is lost, nothing is paid twice."""

import asyncio
import contextlib
import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from realtime_cli.stack import Stack, StackOptions
from realtime_client import Intent, PaymentState, RealtimeError, Reconnect, Wallet, connect

pytestmark = pytest.mark.slow

TICK_MS = 600
SIGN_WITHIN_MS = 1_800
"""Puts a payment's tick so far ahead that a hub is back before it, on a busy machine too."""
NO_RECONNECT = Reconnect(tries_max=0)


def options_in(folder: Path) -> StackOptions:
    devnet = ["--node-port", "0", "--http-port", "0", "--tick-ms", str(TICK_MS)]
    return StackOptions(
        [*devnet, "--state", str(folder / "devnet")],
        ["--port", "0", "--admin-port", "0", "--state", str(folder / "hub")],
        logs=folder / "logs",
    )


def kill_hub(stack: Stack) -> None:
    """As the kernel does when memory runs out."""
    assert stack._hub is not None
    stack._hub.stopping = True
    stack._hub._process.kill()


async def restart(stack: Stack) -> str:
    """Start the hub again over the devnet that ran on; return its new URL."""
    assert stack._devnet is not None
    await stack.restart_hub()
    assert stack._hub is not None
    facts: dict[str, Any] = await stack._hub.ready()
    url: str = facts["url"]
    return url


def received_qu(http: str, identity: str) -> tuple[int, int]:
    """Return what a wallet has received: amount and number of transfers, as the devnet executed."""
    with urllib.request.urlopen(f"{http}/live/v1/balances/{identity}") as answer:
        balance = json.load(answer)["balance"]
    return int(balance["incomingAmount"]), int(balance["numberOfIncomingTransfers"])


async def test_a_killed_hub_loses_no_accepted_payment_and_pays_none_twice(tmp_path: Path) -> None:
    async with Stack(options_in(tmp_path)) as stack:
        demo = json.loads(stack.info.demo_path.read_bytes())["wallets"]
        wallet, payee = Wallet.from_seed(demo[0]["seed"]), demo[1]["identity"]
        before = await asyncio.to_thread(received_qu, stack.info.http, payee)
        url, amounts = stack.info.url, []
        for number, awaited in enumerate(
            [PaymentState.ACCEPTED, PaymentState.BROADCAST, PaymentState.ACCEPTED, None]
        ):
            amounts.append(1_000 + number)
            intent = Intent(payee, amounts[-1])
            idem = b""
            with contextlib.suppress(RealtimeError):
                async with connect(url, wallet, reconnect=NO_RECONNECT) as session:
                    payment = session.pay(intent, sign_within_ms=SIGN_WITHIN_MS)
                    idem = payment.idem
                    if awaited is None:
                        await asyncio.sleep(0.01)  # Killed at some moment of the asking.
                    else:
                        async for status in payment:
                            if status.state is awaited:
                                break
                    kill_hub(stack)
            url = await restart(stack)
            async with connect(url, wallet, reconnect=NO_RECONNECT) as session:
                payment = session.pay(intent, idem=idem)
                assert (await asyncio.wait_for(payment, 30)).state is PaymentState.SETTLED
        after = await asyncio.to_thread(received_qu, stack.info.http, payee)
        assert (after[0] - before[0], after[1] - before[1]) == (sum(amounts), len(amounts))
