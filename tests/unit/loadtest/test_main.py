"""The load test's command line."""

import subprocess
import sys

import pytest

from realtime_loadtest.__main__ import KINDS, help_text


@pytest.mark.slow
def test_every_kind_names_users_that_there_are() -> None:
    # In a process of its own: importing locust makes sockets gevent's.
    names = sorted({name for users, _ in KINDS.values() for name in users})
    program = (
        "import realtime_loadtest.demo_wallets as demo; demo.read_demo_wallets = list\n"
        "import realtime_loadtest.locustfile as file\n"
        f"assert all(hasattr(file, name) for name in {names})"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_help_lists_every_kind() -> None:
    assert all(f"  {kind}" in help_text() for kind in KINDS)
