"""Orders of the administrator from the command line, to the contract and to a registry."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from realtime_cli.stack import Child, StackInfo
from realtime_protocol.identity import encode_identity
from realtime_protocol.schnorrq import keypair
from running_stack import demo_seed, running_stack

pytestmark = pytest.mark.slow

WALLETS = [encode_identity(keypair(letter * 55).public_key) for letter in "uvw"]


def status(rest_url: str, wallet: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{rest_url}/status/{wallet}", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


class Operator:
    """Runs the command line as an operator of the stack would."""

    def __init__(self, info: StackInfo, folder: Path, **settings: str) -> None:
        self._seeds = {"admin": json.loads(info.demo_path.read_bytes())["admin_seed"]}
        # Who takes over needs an entry in the chain's books, as anybody who sends a transaction.
        self._seeds["next"] = demo_seed(info, 1)
        self._folder = folder
        self._admin_url = info.admin_url
        lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        lines.append(f'nodes = ["{info.node}"]')
        (folder / "realtime.toml").write_text("\n".join(["[hub]", *lines, ""]))

    def order(self, *arguments: str, seed: str = "admin") -> subprocess.CompletedProcess[str]:
        """Sign an order and hand it in."""
        return self.run("trust", *arguments, "--admin-url", self._admin_url, seed=self._seeds[seed])

    def run(self, *arguments: str, seed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            [sys.executable, "-m", "realtime_cli", *arguments],
            cwd=self._folder,
            env={"PATH": "/usr/bin:/bin", "REALTIME_SEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )


async def taken(operator: Operator, *arguments: str, seed: str) -> None:
    """Hand an order in until it is taken: what it rests on may still be on its way."""
    told = ""
    for _ in range(40):
        done = await asyncio.to_thread(operator.order, *arguments, seed=seed)
        if done.returncode == 0:
            return
        told = done.stderr
        await asyncio.sleep(0.2)
    pytest.fail(told)


async def heard(rest_url: str, wallet: str, wanted: str) -> None:
    """Wait until a hub gives a wallet that status."""

    found = ""
    for _ in range(100):
        found = (await asyncio.to_thread(status, rest_url, wallet))["status"]
        if found == wanted:
            return
        await asyncio.sleep(0.2)
    pytest.fail(f"{found} instead of {wanted}")


async def test_the_administration_is_handed_over_and_a_batch_set_with_an_audit_log_of_it(
    tmp_path: Path,
) -> None:
    async with running_stack(tmp_path, tick_ms=200) as info:
        operator = Operator(info, tmp_path)
        state = str(tmp_path / "hub")
        done = await asyncio.to_thread(operator.order, "propose-admin", info.wallets[1])
        assert done.returncode == 0, done.stderr
        await taken(operator, "accept-admin", seed="next")
        (tmp_path / "wallets.csv").write_text(
            f"# wallet,status\n{WALLETS[0]},active,90\n{WALLETS[1]},blocked,,7\n"
        )
        await taken(operator, "batch", "wallets.csv", seed="next")
        await heard(info.rest_url, WALLETS[0], "ACTIVE")
        await heard(info.rest_url, WALLETS[1], "BLOCKED")
        refused = await asyncio.to_thread(operator.order, "set", WALLETS[2], "active")
        assert "is not the source of trust's administrator" in refused.stderr
        told = await asyncio.to_thread(operator.run, "audit", "show", "--state", state)
        assert [line.split()[3] for line in told.stdout.splitlines()[::2]] == [
            "propose_admin",
            "accept_admin",
            "set_statuses",
        ]
        whole = await asyncio.to_thread(operator.run, "audit", "verify", "--state", state)
        assert whole.returncode == 0, whole.stderr
        log = Path(state) / "audit.jsonl"
        log.write_bytes(log.read_bytes().replace(b'"ACTIVE', b'"active'))
        changed = await asyncio.to_thread(operator.run, "audit", "verify", "--state", state)
        assert changed.returncode == 1
        assert "record 3, or one before it, was changed" in changed.stderr


async def test_a_registry_of_one_hub_serves_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_HUB_TRUST_SOURCE", "registry")
    async with running_stack(tmp_path, tick_ms=200) as info:
        operator = Operator(info, tmp_path, trust_source="registry", admin=info.admin)
        keeper = info.rest_url.removesuffix("/api/v1")
        monkeypatch.setenv("REALTIME_HUB_REGISTRY_URL", keeper)
        arguments = ["--port", "0", "--admin-port", "0", "--state", str(tmp_path / "follower")]
        arguments += ["--node", info.node, "--admin", info.admin]
        follower = await Child.start("serve", arguments)
        try:
            rest_url = (await follower.ready())["rest_url"]
            for wallet, wanted in ((WALLETS[0], "active"), (WALLETS[1], "blocked")):
                done = await asyncio.to_thread(operator.order, "set", wallet, wanted)
                assert done.returncode == 0, done.stderr
                for hub in (info.rest_url, rest_url):
                    await heard(hub, wallet, wanted.upper())
        finally:
            await follower.stop()
        whole = await asyncio.to_thread(
            operator.run, "audit", "registry", "--state", str(tmp_path / "hub")
        )
        assert whole.stdout.startswith("whole: 2 entries, 2 wallets"), whole.stderr


async def test_the_contract_is_read_from_node_and_http_api_that_must_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_stack(tmp_path, tick_ms=200) as info:
        monkeypatch.setenv("REALTIME_HUB_TRUST_SOURCES_AGREE", "2")
        monkeypatch.setenv("REALTIME_HUB_CONTRACT_HTTP_URLS", info.http)
        arguments = ["--port", "0", "--admin-port", "0", "--state", str(tmp_path / "second")]
        arguments += ["--node", info.node, "--admin", info.admin]
        second = await Child.start("serve", arguments)
        try:
            rest_url = (await second.ready())["rest_url"]
            await heard(rest_url, info.wallets[0], "ACTIVE")
            assert (await asyncio.to_thread(status, rest_url, WALLETS[2]))["status"] == "UNKNOWN"
        finally:
            await second.stop()
