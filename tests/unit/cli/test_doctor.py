"""`realtime doctor` names what is wrong and its remedy; else it says that all is well."""

import json
import resource
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from realtime_cli import place_checkup, signature_checkup
from realtime_cli.commands import doctor
from realtime_cli.errors import UsageError
from realtime_cli.findings import Finding, Level
from realtime_cli.main import main
from realtime_cli.settings import Layers
from realtime_devnet.settings import DevnetSettings
from realtime_hub.config import HubSettings
from realtime_protocol.schnorrq import ENGINE

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run it in an empty folder, with ports that the system chooses, without measuring."""
    monkeypatch.chdir(tmp_path)
    for port in ("HUB_PORT", "HUB_ADMIN_PORT", "DEVNET_NODE_PORT", "DEVNET_HTTP_PORT"):
        monkeypatch.setenv(f"REALTIME_{port}", "0")
    rates = {"sign": 30_000.0, signature_checkup.YARDSTICK: 20_000.0}
    monkeypatch.setattr(doctor, "measure_rates", lambda now_s: rates)

    def call(*arguments: str) -> tuple[int, str]:
        status = main(["doctor", *arguments])
        return status, capsys.readouterr().out

    return call


def test_all_is_well_and_said_so(run: Run) -> None:
    status, out = run()
    assert status == 0, out
    assert out.endswith("All is well.\n")
    assert ENGINE.IMPLEMENTATION in out
    assert "1.50x" in out


def test_machines_get_one_json_object(run: Run) -> None:
    status, out = run("--json")
    report = json.loads(out)
    assert (status, report["ok"]) == (0, True)
    assert report["rates"]["sign"] == {"per_s": 30_000, "to_yardstick": 1.5}
    names = [finding["name"] for finding in report["findings"]]
    assert names[:3] == ["packages", "signatures", "key cache"]


def test_a_wrong_setting_is_wrong_and_what_follows_is_not_looked_at(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALTIME_HUB_PROT", "1")
    status, out = run()
    assert status == 1
    assert "wrong  settings          REALTIME_HUB_PROT: unknown variable; did you mean" in out
    assert "-> mend that setting" in out
    assert "hub.port" not in out
    assert out.endswith("Something is wrong; see -> for what to do.\n")


def test_what_the_types_let_pass_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / "realtime.toml").write_text('[hub]\nnodes = ["nowhere"]\n', encoding="utf-8")
    finding, settings = place_checkup.check_settings_of(
        lambda: Layers(tmp_path / "realtime.toml", {})
    )
    assert (finding.level, settings) == (Level.WRONG, None)
    assert "hub.nodes: 'nowhere' is not host:port" in finding.text


def test_a_settings_file_that_is_missing_is_named() -> None:
    def read() -> Layers:
        raise UsageError("can't read nowhere.toml")

    finding, _ = place_checkup.check_settings_of(read)
    assert "nowhere.toml" in finding.text


# Ports ------------------------------------------------------------------------------------------


@pytest.fixture
def serve() -> Iterator[Callable[[int, bytes], int]]:
    """Serve one answer on a port of its own; return the port."""
    servers: list[HTTPServer] = []

    def start(status: int, content: bytes) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def check_port(port: int) -> Finding:
    return next(place_checkup.check_ports(HubSettings(port=port, admin_port=0)))


def check_admin_port(port: int) -> Finding:
    return list(place_checkup.check_ports(HubSettings(port=0, admin_port=port)))[1]


def test_a_free_port_is_fine() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert check_port(port).text == f"127.0.0.1:{port} is free"


def test_a_ready_hub_on_its_port_is_fine(serve: Callable[[int, bytes], int]) -> None:
    port = serve(200, b'{"ready": true, "parts": {"chain": "ok"}}')
    assert check_port(port).text == f"a hub runs on 127.0.0.1:{port}"


def test_a_hub_that_is_not_ready_says_which_part(serve: Callable[[int, bytes], int]) -> None:
    port = serve(503, b'{"ready": false, "parts": {"chain": "no node answers", "trust": "ok"}}')
    finding = check_port(port)
    assert finding.level is Level.WRONG
    assert finding.text.endswith("isn't ready: chain: no node answers")


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{}"])
def test_another_program_on_the_port_is_wrong(
    serve: Callable[[int, bytes], int], content: bytes
) -> None:
    port = serve(200, content)
    finding = check_port(port)
    assert finding.level is Level.WRONG
    assert finding.text == f"127.0.0.1:{port} is taken, and not by a hub"
    assert finding.remedy is not None
    assert "set hub.port (REALTIME_HUB_PORT)" in finding.remedy


def test_the_admin_port_is_known_by_its_metrics(serve: Callable[[int, bytes], int]) -> None:
    assert check_admin_port(serve(200, b"realtime_sessions 1.0")).level is Level.OK
    assert check_admin_port(serve(200, b"other_sessions 1.0")).level is Level.WRONG


def test_what_speaks_another_protocol_is_not_a_hub() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.recv(4_096)
                caller.sendall(b"-ERR unknown command\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        finding = check_port(listener.getsockname()[1])
        answering.join()
    assert finding.text.endswith("is taken, and not by a hub")


def test_the_devnets_node_is_taken_at_the_word_of_its_http(
    serve: Callable[[int, bytes], int],
) -> None:
    http, node = serve(200, b'{"tickInfo": {"tick": 7}}'), serve(200, b"")
    running = list(place_checkup.check_devnet_ports(DevnetSettings(http_port=http, node_port=node)))
    assert [finding.text for finding in running] == [
        f"a devnet runs on 127.0.0.1:{http}",
        f"a devnet runs on 127.0.0.1:{node}",
    ]
    alone = list(place_checkup.check_devnet_ports(DevnetSettings(http_port=0, node_port=node)))
    assert alone[1].text == f"127.0.0.1:{node} is taken, and not by a devnet"
    assert alone[1].remedy is not None
    assert "set devnet.node_port (REALTIME_DEVNET_NODE_PORT)" in alone[1].remedy


def test_an_address_of_another_machine_is_wrong() -> None:
    finding = next(place_checkup.check_ports(HubSettings(host="192.0.2.1", port=8080)))
    assert finding.level is Level.WRONG
    assert "can't listen on 192.0.2.1:8080: Cannot assign requested address" in finding.text


# The rest ---------------------------------------------------------------------------------------


def test_no_redis_is_fine_and_a_silent_one_is_wrong_without_its_password() -> None:
    assert place_checkup.check_redis(None).level is Level.OK
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    finding = place_checkup.check_redis(f"redis://:hush@127.0.0.1:{port}/0")
    assert finding.level is Level.WRONG
    assert finding.text.startswith(f"127.0.0.1:{port} doesn't answer: ")
    assert "hush" not in finding.text
    silent = place_checkup.check_redis(
        f"redis+sentinel://:hush@127.0.0.1:{port},127.0.0.1:{port}/realtime/0"
    )
    assert silent.level is Level.WRONG
    assert silent.text.startswith(f"127.0.0.1:{port},127.0.0.1:{port} doesn't answer: ")
    assert "hush" not in silent.text
    unreadable = place_checkup.check_redis("http://:hush@127.0.0.1")
    assert unreadable.level is Level.WRONG
    assert "hush" not in unreadable.text


@pytest.mark.parametrize(
    ("limit", "level"),
    [
        (1_256, Level.OK),
        (1_255, Level.HINT),
        (resource.RLIM_INFINITY, Level.OK),
    ],
)
def test_the_limit_of_open_files_is_compared_with_the_sessions(limit: int, level: Level) -> None:
    finding = place_checkup.check_file_limit(HubSettings(sessions_max=1_000), limit=limit)
    assert finding.level is level
    if level is Level.HINT:
        assert finding.text == "limit 1,255: enough for 999 of 1,000 sessions"


def test_wrong_verdicts_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    lenient = SimpleNamespace(
        IMPLEMENTATION="lenient",
        k12=ENGINE.k12,
        verify=lambda *parts: True,
        verify_many=lambda items: [True] * len(items),
    )
    monkeypatch.setattr(signature_checkup, "ENGINE", lenient)
    finding = signature_checkup.check_verdicts()
    assert (finding.level, finding.text) == (Level.WRONG, "lenient gives wrong answers")


def test_without_a_compiler_only_pure_python_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature_checkup, "is_native", lambda: True)
    assert signature_checkup.check_compiler({"CC": "/no/such"}).level is Level.OK
    monkeypatch.setattr(signature_checkup, "is_native", lambda: False)
    finding = signature_checkup.check_compiler({"CC": "/no/such"})
    assert (finding.level, finding.remedy) == (Level.WRONG, "apt-get install gcc python3-dev")


def test_a_compiler_without_pythons_headers_is_not_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature_checkup, "is_native", lambda: False)
    found = {"CC": sys.executable}
    finding = signature_checkup.check_compiler(found, headers=tmp_path)
    assert (finding.level, finding.remedy) == (Level.WRONG, "apt-get install python3-dev")
    (tmp_path / "Python.h").touch()
    assert signature_checkup.check_compiler(found, headers=tmp_path).level is Level.OK


def test_a_client_without_the_hubs_packages_gets_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_checkup, "HUB_PACKAGES", ("no-such-package",))
    packages, missing = place_checkup.check_packages()
    assert packages.facts["no-such-package"] is None
    assert missing.level is Level.HINT
    assert missing.remedy == "pip install 'qubic-realtime[hub]'"
