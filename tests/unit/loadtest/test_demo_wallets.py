"""Reading the devnet's demo wallets."""

import json
from pathlib import Path

import pytest

from realtime_loadtest.demo_wallets import read_demo_wallets
from realtime_protocol.schnorrq import keypair

SEED = "wqbdupxgcaimwdsnchitjmsplzclkqokhadgehdxqogeeiovzvadstt"


def test_the_wallets_of_the_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    path.write_text(json.dumps({"admin_seed": "x", "wallets": [{"seed": SEED}]}))
    assert read_demo_wallets(path) == [keypair(SEED)]


def test_a_missing_file_says_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make run"):
        read_demo_wallets(tmp_path / "demo.json")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"wallets": []}', '{"wallets": [{}]}'])
def test_another_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "demo.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"demo\.json"):
        read_demo_wallets(path)
