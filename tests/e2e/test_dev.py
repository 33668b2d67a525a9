"""`realtime dev` as a newcomer meets it: one tree of processes that starts and ends together."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

START_S_MAX = 30.0
STOP_S_MAX = 2.0
FREE = ["--port", "0", "--admin-port", "0", "--node-port", "0", "--http-port", "0"]
QUICK = ["--tick-ms", "100"]


@contextlib.contextmanager
def running(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    environ = {name: value for name, value in os.environ.items() if "REALTIME" not in name}
    process = subprocess.Popen(
        [sys.executable, "-m", "realtime_cli", "dev", *options],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=10)


def read_banner(process: subprocess.Popen[str]) -> str:
    """Return what it prints until it has told everything."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "/status/" not in lines[-1]:
        line = process.stdout.readline()
        assert line, "".join(lines) + str(process.stderr and process.stderr.read())
        lines.append(line)
    return "".join(lines)


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def ended(pids: list[int], *, within_s: float) -> bool:
    until_s = time.monotonic() + within_s
    while any(map(lives, pids)):
        if time.monotonic() > until_s:
            return False
        time.sleep(0.01)
    return True


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_it_tells_where_everything_is_and_ctrl_c_stops_everything(tmp_path: Path) -> None:
    with running(tmp_path, *FREE, *QUICK) as process:
        banner = read_banner(process)
        rest = re.search(r"REST (\S+)", banner)
        assert rest is not None
        health = rest[1].replace("/api/v1", "/healthz")
        assert urllib.request.urlopen(health, timeout=5).status == 200
        assert len(re.findall(r"^  \d  [A-Z]{60}  1,000,000,000 QU$", banner, re.MULTILINE)) == 3
        assert (tmp_path / ".realtime/devnet/demo.json").stat().st_mode & 0o777 == 0o600
        children = children_of(process.pid)
        assert len(children) == 2
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
        assert ended(children, within_s=STOP_S_MAX)
        assert time.monotonic() - began_s < STOP_S_MAX
    logs = tmp_path / ".realtime/logs"
    assert "serving on" in (logs / "hub.log").read_text()
    # What was started once starts quickly again, and remembers its wallets.
    began_s = time.monotonic()
    with running(tmp_path, *FREE, *QUICK) as process:
        again = read_banner(process)
        took_s = time.monotonic() - began_s
    assert re.findall("[A-Z]{60}", again) == re.findall("[A-Z]{60}", banner)
    assert took_s < 4.0  # Alone on the machine it is under 2 s; tests share theirs.


@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_part_crashes_the_rest_stops_and_says_so(tmp_path: Path, victim: int) -> None:
    with running(tmp_path, *FREE, *QUICK) as process:
        read_banner(process)
        children = children_of(process.pid)
        os.kill(children[victim], signal.SIGKILL)
        _, err = process.communicate(timeout=10)
        assert process.returncode == 1
        assert re.search(r"realtime: (devnet|serve) ended with status -9; stopping the rest", err)
        assert ended(children, within_s=STOP_S_MAX)


def test_a_killed_parent_leaves_nobody_behind(tmp_path: Path) -> None:
    with running(tmp_path, *FREE, *QUICK) as process:
        read_banner(process)
        children = children_of(process.pid)
        process.kill()
        process.wait()
        assert ended(children, within_s=STOP_S_MAX + 2)


@pytest.mark.parametrize(
    ("option", "setting"),
    [("--port", "hub.port"), ("--admin-port", "hub.admin_port"), ("--node-port", "node_port")],
)
def test_a_taken_port_is_one_line_that_names_it(tmp_path: Path, option: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = list(FREE)
        options[options.index(option) + 1] = port
        with running(tmp_path, *options, *QUICK) as process:
            out, err = process.communicate(timeout=START_S_MAX)
    assert process.returncode == 1
    [line] = err.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert setting in line
    assert out == ""


def test_a_wrong_setting_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "realtime.toml").write_text("[hub]\nprot = 1\n")
    with running(tmp_path, *FREE) as process:
        _, err = process.communicate(timeout=START_S_MAX)
    assert process.returncode == 2
    assert err == "realtime: hub.prot in realtime.toml: unknown key; did you mean port?\n"
    assert not (tmp_path / ".realtime").exists()
