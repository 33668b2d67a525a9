"""How workers are started again, and what is refused before any is started."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from realtime_cli.main import main
from realtime_cli.workers import RestartPauses


def test_a_worker_that_dies_young_is_started_after_ever_longer_pauses_up_to_a_bound() -> None:
    pauses = RestartPauses()
    assert [pauses.after(lived_s=1.0) for _ in range(10)] == [
        0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0
    ]  # fmt: skip


def test_a_worker_that_lived_long_is_started_again_at_once() -> None:
    pauses = RestartPauses()
    for _ in range(5):
        pauses.after(lived_s=1.0)
    assert pauses.after(lived_s=30.0) == 0.0


@pytest.mark.parametrize("workers", ["2", "256"])
def test_without_redis_several_workers_are_refused_with_one_line(
    workers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--workers", workers]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"{workers} workers share through Redis" in line
    assert "--redis-url" in line


@pytest.mark.parametrize("workers", ["0", "-1", "x", "1.5"])
def test_a_number_of_workers_is_a_number(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", f"--workers={workers}"])
    assert "neither a number above 0 nor auto" in capsys.readouterr().err


class OneProcess(BaseHTTPRequestHandler):
    """The administrator's port of a hub without workers: it knows no such path."""

    def do_GET(self) -> None:
        body = json.dumps({"status": 404, "title": "not_found", "detail": "Not Found"}).encode()
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name upstream)
        """Stay silent."""


@pytest.fixture
def admin_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), OneProcess) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize("action", ["list", "restart"])
def test_a_hub_without_workers_is_named_as_such(
    action: str, admin_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["workers", action, "--admin-url", admin_url]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("realtime: this hub is one process without workers")


def test_a_session_that_is_gone_is_told_in_the_hubs_words(
    admin_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sessions", "abc", "--admin-url", admin_url]) == 1
    assert capsys.readouterr().err == "realtime: Not Found\n"
