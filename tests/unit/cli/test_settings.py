"""What an operator writes wrongly is named in one line; what is right wins by layer."""

from pathlib import Path
from typing import Any

import pytest

from realtime_cli.errors import UsageError
from realtime_cli.settings import Layers


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def layers(toml: str | None = None, **environ: str) -> Layers:
    path = None
    if toml is not None:
        path = Path("given.toml")
        path.write_text(toml, encoding="utf-8")
    return Layers(path, environ)


def test_without_anything_the_defaults_stand() -> None:
    assert layers().hub().port == 8080
    assert layers().devnet().tick_ms == 1000


def test_the_environment_wins_over_the_file_and_an_option_over_both() -> None:
    both = layers("[hub]\nport = 9001\nadmin_port = 9002", REALTIME_HUB_PORT="9003")
    assert (both.hub().port, both.hub().admin_port) == (9003, 9002)
    assert both.hub({"port": 9004, "admin_port": None}).port == 9004
    assert both.hub({"admin_port": None}).admin_port == 9002


def test_realtime_toml_is_read_where_one_stands() -> None:
    Path("realtime.toml").write_text("[devnet]\ntick_ms = 250\n", encoding="utf-8")
    assert layers().devnet().tick_ms == 250


def test_every_shape_of_setting_can_come_from_a_variable() -> None:
    hub = layers(
        REALTIME_HUB_NODES="10.0.0.1:21841, 10.0.0.2:21841",
        REALTIME_HUB_ORIGINS="https://a.example=a.example,https://b.example=b.example",
        REALTIME_HUB_STATE="/var/lib/x",
        REALTIME_HUB_NATIVE_DOMAIN="",
        REALTIME_HUB_CONTRACT_INDEX="",
    ).hub()
    assert hub.nodes == ["10.0.0.1:21841", "10.0.0.2:21841"]
    assert hub.origins["https://b.example"] == "b.example"
    assert hub.state == Path("/var/lib/x")
    assert (hub.native_domain, hub.contract_index) == ("", None)
    assert layers(REALTIME_DEVNET_RESET="true").devnet().reset is True


@pytest.mark.parametrize(
    ("environ", "node"),
    [
        ({}, "127.0.0.1:21841"),
        ({"REALTIME_DEVNET_NODE_PORT": "4000"}, "127.0.0.1:4000"),
        ({"REALTIME_DEVNET_NODE_PORT": "4000", "REALTIME_HUB_NODES": "10.0.0.1:1"}, "10.0.0.1:1"),
    ],
)
def test_the_node_that_commands_ask_is_the_devnets_unless_the_hub_names_another(
    environ: dict[str, str], node: str
) -> None:
    assert layers(**environ).node() == node


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"REALTIME_HUB_PRT": "1"},
            "REALTIME_HUB_PRT: unknown variable; did you mean REALTIME_HUB_PORT?",
        ),
        ({"REALTIME_X": "1"}, "REALTIME_X: unknown variable"),
        (
            {"REALTIME_HUB_PORT": "eighty"},
            "REALTIME_HUB_PORT: Expected `int`, got `str` (it is 'eighty')",
        ),
        (
            {"REALTIME_HUB_PORT": "70000"},
            "REALTIME_HUB_PORT: Expected `int` <= 65535 (it is '70000')",
        ),
        ({"REALTIME_HUB_ORIGINS": "https://a"}, "REALTIME_HUB_ORIGINS: expected name=value"),
        ({"REALTIME_DEVNET_TICK_MS": "1"}, "devnet.tick_ms is 1, not in 10..60000"),
        ({"REALTIME_DEVNET_START_TICK": "75000000"}, "devnet.start_tick is 75000000"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(environ: dict[str, str], line: str) -> None:
    with pytest.raises(UsageError) as caught:
        everything(layers(**environ))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert caught.value.status == 2


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("[hub]\nprot = 1", "hub.prot in given.toml: unknown key; did you mean port?"),
        ("[hubb]\nport = 1", "[hubb] in given.toml: unknown table; did you mean hub?"),
        ("hub = 1", "hub in given.toml is not a table; write [hub]"),
        ("[hub]\nport = '8080'", "hub.port in given.toml: Expected `int`, got `str`"),
        ("[hub]\nnodes = []", "hub.nodes in given.toml: Expected `array` of length >= 1"),
        ("[hub]\nstate = 5", "hub.state in given.toml: expected a path, got int"),
        ("[hub", "given.toml is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_name(toml: str, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        everything(layers(toml))
    assert str(caught.value).startswith(line)


def test_a_password_in_a_url_is_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        everything(layers("[hub]\nredis_url = ['redis://:hunter2@x']"))
    assert "hunter2" not in str(caught.value)


def test_a_file_that_was_named_must_be_there() -> None:
    with pytest.raises(UsageError, match=r"can't read nowhere\.toml"):
        Layers(Path("nowhere.toml"), {})


def test_other_programs_variables_are_left_alone() -> None:
    everything(layers(REALTIME_SEED="x", REALTIME_LOADTEST_URL="y", PATH="z"))


def everything(read: Layers) -> Any:
    return read.hub(), read.devnet()
