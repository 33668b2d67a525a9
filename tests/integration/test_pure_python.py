"""Without the native module everything runs, and says at once what it costs and what to install."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WITHOUT_NATIVE = (
    "import sys; sys.modules['realtime_protocol._native'] = None; "
    "from realtime_cli.main import main; sys.exit(main(sys.argv[1:]))"
)
REMEDY = "install a C compiler (apt-get install gcc python3-dev), then: make native"
FREE = ["--port", "0", "--admin-port", "0", "--node", "127.0.0.1:9"]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT_NATIVE, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_hub_warns_at_its_start(tmp_path: Path) -> None:
    with start(tmp_path, "serve", *FREE) as process:
        assert process.stdout is not None
        serving = process.stdout.readline()
        process.terminate()
        _, log = process.communicate(timeout=20)
    assert serving.startswith("hub "), log
    lines = [json.loads(line) for line in log.splitlines()]
    [warning] = [line["message"] for line in lines if "pure Python: " in line["message"]]
    assert "ms a check here, about 100 times slower" in warning
    assert REMEDY in warning


def test_dev_warns_before_it_starts_anything(tmp_path: Path) -> None:
    free = ["--port", "0", "--admin-port", "0", "--node-port", "0", "--http-port", "0"]
    with start(tmp_path, "dev", *free) as process:
        assert process.stderr is not None
        warning = process.stderr.readline()
        process.terminate()
        process.communicate(timeout=20)
    assert warning.startswith("warning  signatures run in pure Python: ")
    assert REMEDY in warning


def test_doctor_says_that_it_is_wrong_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for port in ("HUB_PORT", "HUB_ADMIN_PORT", "DEVNET_NODE_PORT", "DEVNET_HTTP_PORT"):
        monkeypatch.setenv(f"REALTIME_{port}", "0")
    with start(tmp_path, "doctor") as process:
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "wrong  signatures        pure Python, about 100 times slower than native" in out
    assert REMEDY in out
