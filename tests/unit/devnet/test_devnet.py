"""A network's state outlives its process, and only one process has it."""

import json
import stat
from pathlib import Path

import msgspec
import pytest

from devnet_fixture import invocation, transfer
from realtime_devnet.devnet import DATABASE_NAME, DEMO_NAME, Devnet
from realtime_devnet.settings import START_TICK_MAX, DevnetError, DevnetSettings
from realtime_protocol.identity import encode_identity
from realtime_protocol.qubic.contract_abi import ChainStatus, Procedure, StatusSetting
from realtime_protocol.schnorrq import keypair
from realtime_protocol.transaction import transaction_digest

NOW_MS = 1_764_000_000_000


def opened(
    state: Path, *, reset: bool = False, seed: int | None = None, start_tick: int | None = None
) -> Devnet:
    settings = DevnetSettings(state=str(state), reset=reset, seed=seed, start_tick=start_tick)
    return Devnet.open(settings, now_ms=NOW_MS)


def test_everything_that_was_recorded_is_there_again(tmp_path: Path) -> None:
    devnet = opened(tmp_path)
    payer, payee = devnet.wallets[0], devnet.wallets[1].public_key
    done = transfer(payer, payee, 5, devnet.tick + 3)
    listed = transfer(payer, payee, 6, devnet.tick + 6)
    waiting = transfer(payer, payee, 7, devnet.tick + 60)
    blocked = StatusSetting(payee, ChainStatus.BLOCKED, 0, 1).encode()
    order = invocation(devnet.admin, Procedure.SET_STATUS, blocked, devnet.tick + 3)
    for signed in (done, order, listed, waiting):
        assert devnet.submit(signed) is None
    devnet.step(4)
    first_list = devnet.tick_data(1_000_000)
    next_list = devnet.tick_data(1_000_006)
    info = devnet.network.contract.info()
    changes = devnet.network.contract.changes(0)
    devnet.close()

    again = opened(tmp_path)
    assert again.tick == 1_000_004
    assert again.tick_data(1_000_000) == first_list
    assert again.tick_data(1_000_006) == next_list
    assert next_list is not None
    assert again.balance_qu(payee) == 1_000_000_005
    found = again.transaction(transaction_digest(done))
    assert found is not None
    assert found.money_flew
    assert again.network.contract.info() == info
    assert again.network.contract.changes(0) == changes
    assert again.network.clock_ms == NOW_MS + 4_000
    again.step(60)
    assert again.balance_qu(payee) == 1_000_000_005 + 6 + 7
    assert again.transactions_count() == 4
    again.close()


def test_the_demo_file_is_the_owner_s_alone_and_fits_the_network(tmp_path: Path) -> None:
    devnet = opened(tmp_path)
    demo = json.loads((tmp_path / DEMO_NAME).read_text())
    for name in (DEMO_NAME, DATABASE_NAME):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert demo.keys() == {"admin_seed", "wallets", "contract_index"}
    assert demo["contract_index"] == 29
    assert len(demo["wallets"]) == 3
    for wallet in demo["wallets"]:
        assert encode_identity(keypair(wallet["seed"]).public_key) == wallet["identity"]
        assert wallet["balance"] == 1_000_000_000
    assert keypair(demo["admin_seed"]).public_key == devnet.network.contract.info().admin
    devnet.close()


def test_a_reset_begins_another_network_with_other_seeds(tmp_path: Path) -> None:
    devnet = opened(tmp_path)
    devnet.step(7)
    before = devnet.tick_data(1_000_000)
    seeds = {wallet.seed for wallet in devnet.wallets}
    devnet.close()
    again = opened(tmp_path, reset=True)
    assert again.tick == 1_000_000
    assert again.tick_data(1_000_000) != before
    assert not seeds & {wallet.seed for wallet in again.wallets}
    again.close()


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    devnet = opened(tmp_path)
    with pytest.raises(DevnetError, match="another devnet uses"):
        opened(tmp_path)
    devnet.close()
    opened(tmp_path).close()


def test_settings_that_name_another_network_are_refused(tmp_path: Path) -> None:
    opened(tmp_path, seed=1, start_tick=2_000_000).close()
    opened(tmp_path).close()
    opened(tmp_path, seed=1, start_tick=2_000_000).close()
    with pytest.raises(DevnetError, match="began at tick 2000000"):
        opened(tmp_path, start_tick=1_000_000)
    with pytest.raises(DevnetError, match="another seed"):
        opened(tmp_path, seed=2)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_broken_state_is_refused_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(content)
    with pytest.raises(DevnetError, match="--reset"):
        opened(tmp_path)
    opened(tmp_path, reset=True).close()


def test_a_first_start_that_was_cut_short_begins_again(tmp_path: Path) -> None:
    (tmp_path / f"{DATABASE_NAME}.new").write_bytes(b"half")
    (tmp_path / f"{DEMO_NAME}.new").write_bytes(b"half")
    opened(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [DEMO_NAME, DATABASE_NAME, "lock"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start_tick", START_TICK_MAX + 1),
        ("start_tick", 0),
        ("tick_ms", 0),
        ("tick_ms", 60_001),
        ("node_port", -1),
        ("http_port", 65_536),
        ("seed", -1),
    ],
)
def test_settings_out_of_bounds_are_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"{name} is {value}"):
        msgspec.convert({name: value}, DevnetSettings)
