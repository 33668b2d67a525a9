"""The offline checks of deploy/ find what they are for."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "check_deploy.py"


@pytest.fixture(scope="module")
def checks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_deploy", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_variable_that_is_no_setting_is_named(checks: ModuleType) -> None:
    text = "REALTIME_HUB_PORT REALTIME_HUB_PORTS REALTIME_X REALTIME_DEVNET_TICK_MS"
    found = " ".join(checks.find_unknown_settings(text))
    assert "REALTIME_HUB_PORTS" in found
    assert "REALTIME_X" in found
    assert "REALTIME_HUB_PORT " not in found
    assert "TICK_MS" not in found


def test_a_copied_path_that_is_missing_or_ignored_is_named(checks: ModuleType) -> None:
    found = list(checks.find_missing_sources("COPY hub nowhere ./\n", "*\n!hub\n"))
    assert found == [
        "COPY nowhere: no such path",
        "nowhere differs between COPY and .dockerignore",
    ]


def test_a_scrape_of_another_port_is_named(checks: ModuleType) -> None:
    compose = "127.0.0.1:8080/readyz 127.0.0.1:8081/x"
    assert list(checks.find_wrong_ports(compose, "127.0.0.1:8082")) == []
    assert len(list(checks.find_wrong_ports(compose, "127.0.0.1:9999"))) == 1


@pytest.mark.slow
def test_broken_files_don_t_pass_the_tools(
    checks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("COMPOSE", "services: {hub: {imagine: x}}\n"), ("DOCKERFILE", "FRM x\n")):
        path = tmp_path / name.lower()
        path.write_text(text)
        monkeypatch.setattr(checks, name, path)
    found = "".join(checks.run_tools())
    assert "check-jsonschema:" in found
    assert "hadolint:" in found
