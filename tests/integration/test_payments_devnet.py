"""Payments over a devnet's node: real transactions, real signatures, real ticks."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from devnet_fixture import DevnetProcess, running_devnet, transfer
from payment_fakes import signed
from payment_hub import TICK_MS, running_hub
from realtime_devnet.serving import DevnetServer
from realtime_devnet.settings import DemoWallet
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    PaymentState,
    PrepareKind,
    PrepareRequest,
)
from realtime_protocol.schnorrq import keypair, sign

pytestmark = pytest.mark.slow


@pytest.fixture
async def devnet() -> AsyncIterator[DevnetServer]:
    async with running_devnet(tick_ms=TICK_MS) as server:
        yield server


async def test_payments_settle_over_a_node(devnet: DevnetServer, tmp_path: Path) -> None:
    payer, payee, other = devnet.info.wallets
    async with running_hub(devnet.info.node_port, tmp_path) as hub:
        for number in range(1, 4):
            reply = await hub.service.pay(payer.public_key, await hub.request(payer, payee, number))
            assert reply.state is PaymentState.ACCEPTED
        await hub.service.pay(other.public_key, await hub.request(other, payee, 100))
        await hub.until(lambda: hub.states().count(PaymentState.SETTLED) == 4)
    assert devnet.devnet.balance_qu(payee.public_key) == payee.balance_qu + 106
    assert devnet.devnet.transactions_count() == 4


async def test_a_forged_signature_pays_nothing(devnet: DevnetServer, tmp_path: Path) -> None:
    payer, payee, other = devnet.info.wallets
    async with running_hub(devnet.info.node_port, tmp_path) as hub:
        request = await hub.request(payer, payee, 1_000)
        forged = sign(keypair(other.seed).subseed, other.public_key, b"x" * 32)
        bad = msgspec.structs.replace(request, signed_tx=request.signed_tx[:-64] + forged)
        with pytest.raises(RequestError) as caught:
            await hub.service.pay(payer.public_key, bad)
        assert caught.value.code is ErrorCode.BAD_SIGNATURE
        assert hub.service.open_count == 0
        await hub.service.pay(payer.public_key, request)


async def test_a_payer_who_empties_the_wallet_elsewhere_has_not_paid(
    devnet: DevnetServer, tmp_path: Path
) -> None:
    payer, payee, _ = devnet.info.wallets
    async with running_hub(devnet.info.node_port, tmp_path) as hub:
        request = await hub.request(payer, payee, 1_000)
        tick = devnet.devnet.tick + 4
        devnet.devnet.submit(transfer(payer, payee.public_key, payer.balance_qu, tick))
        await hub.service.pay(payer.public_key, request)
        await hub.until(lambda: bool(hub.states()) and hub.states()[-1].terminal)
    assert hub.states()[-1] is PaymentState.NOT_MOVED


async def test_a_node_that_comes_back_late_finds_the_payment_missed_and_it_is_paid_once(
    devnet: DevnetServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payer, payee, _ = devnet.info.wallets
    keys = keypair(payer.seed)
    async with running_hub(devnet.info.node_port, tmp_path) as hub:
        request = await hub.request(payer, payee, 1_000)
        # Nothing reaches the pool: the network forgets what it is handed until the tick is past.
        monkeypatch.setattr(devnet.devnet, "submit", lambda _: None)
        reply = await hub.service.pay(payer.public_key, request)
        await hub.until(lambda: PaymentState.MISSED in hub.states())
        monkeypatch.undo()

        assert hub.changes[-1].resign is not None
        again = await hub.service.prepare(
            payer.public_key, PrepareRequest(PrepareKind.AGAIN, None, reply.payment_id, 400)
        )
        await hub.service.pay(payer.public_key, signed(again, idem=request.idem, keys=keys))
        await hub.until(lambda: hub.states()[-1].terminal)
    assert hub.states()[-1] is PaymentState.SETTLED
    assert devnet.devnet.transactions_count() == 1


async def test_a_reset_devnet_freezes_payments_and_a_restarted_hub_meets_none_of_the_old(
    tmp_path: Path,
) -> None:
    async with running_devnet(tick_ms=TICK_MS) as first:
        payer, payee, _ = first.info.wallets
        async with running_hub(first.info.node_port, tmp_path) as hub:
            reply = await hub.service.pay(payer.public_key, await hub.request(payer, payee, 1_000))
            network_id = hub.watcher.network_id
    async with (
        running_devnet(tick_ms=TICK_MS, seed=2) as second,
        running_hub(second.info.node_port, tmp_path) as hub,
    ):
        assert hub.watcher.network_id != network_id
        with pytest.raises(RequestError, match="no payment"):
            await hub.service.get(payer.public_key, reply.payment_id)
        assert hub.service.open_count == 0


async def test_a_devnet_that_is_reset_under_a_running_hub_freezes_its_payments(
    tmp_path: Path,
) -> None:
    process = DevnetProcess(tmp_path / "devnet", tick_ms=TICK_MS)
    with process:
        payers = demo_wallets(tmp_path / "devnet")
        async with running_hub(process.addresses.node_port, tmp_path) as hub:
            request = await hub.request(*payers, 1_000)
            process.stop()
            shutil.rmtree(tmp_path / "devnet")
            process.start()
            await hub.until(lambda: hub.watcher.frozen is not None)
            with pytest.raises(RequestError) as caught:
                await hub.service.pay(payers[0].public_key, request)
            assert caught.value.code is ErrorCode.BACKBONE_UNAVAILABLE
            await hub.until(lambda: "another network" in str(hub.watcher.frozen))


def demo_wallets(state: Path) -> tuple[DemoWallet, DemoWallet]:
    demo = json.loads((state / "demo.json").read_text())
    payer, payee, *_ = (
        DemoWallet(one["seed"], PublicKey(keypair(one["seed"]).public_key), one["balance"])
        for one in demo["wallets"]
    )
    return payer, payee
