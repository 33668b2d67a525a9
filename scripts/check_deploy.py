"""Check the files in deploy/ without a container engine or a network.

Schemas and lint by check-jsonschema and hadolint; then what neither can know: that each setting,
each copied path and each scraped port is one that this product has.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from realtime_devnet.settings import DevnetSettings
from realtime_hub.config import HubSettings

ROOT: Final = Path(__file__).resolve().parent.parent
DEPLOY: Final = ROOT / "deploy"
COMPOSE: Final = DEPLOY / "compose.yaml"
DOCKERFILE: Final = DEPLOY / "Dockerfile"
PROMETHEUS: Final = DEPLOY / "prometheus.yml"
BUILD_VARIABLES: Final = {"REALTIME_NATIVE"}  # protocol/native/compile.py tells about it.
TABLES: Final = {"HUB": HubSettings, "DEVNET": DevnetSettings}


def run_tools() -> Iterator[str]:
    """Run the outside checkers; yield what they say."""
    for command in (
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        ["hadolint", str(DOCKERFILE)],
    ):
        beside_python = Path(sys.executable).with_name(command[0])
        program = str(beside_python) if beside_python.exists() else shutil.which(command[0])
        if program is None:
            yield f"{command[0]} is not installed; it is in the dev group of pyproject.toml"
            continue
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            yield f"{command[0]}:\n{done.stdout}{done.stderr}"


def find_unknown_settings(text: str) -> Iterator[str]:
    """Yield a line for each REALTIME_ variable that is no setting."""
    for name in sorted(set(re.findall(r"\bREALTIME_[A-Z0-9_]+", text)) - BUILD_VARIABLES):
        table, _, key = name.removeprefix("REALTIME_").partition("_")
        settings = TABLES.get(table)
        if settings is None or key.lower() not in settings.__struct_fields__:
            yield f"{name} is not a setting of this product"


def find_missing_sources(dockerfile: str, ignored: str) -> Iterator[str]:
    """Yield a line for each path that is copied from the source but isn't there or is left out."""
    let_in = {line[1:] for line in ignored.splitlines() if line.startswith("!")}
    copied: set[str] = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE):
        copied.update(line.split()[:-1])
    yield from (
        f"COPY {path}: no such path" for path in sorted(copied) if not (ROOT / path).exists()
    )
    yield from (
        f"{path} differs between COPY and .dockerignore" for path in sorted(copied ^ let_in)
    )


def find_wrong_ports(compose: str, prometheus: str) -> Iterator[str]:
    """Yield a line when a health check or a scrape asks another port than the default one."""
    for text, what, port in (
        (prometheus, "prometheus.yml scrapes", f"127.0.0.1:{HubSettings().admin_port}"),
        (compose, "the hub's health check asks", f"127.0.0.1:{HubSettings().port}/readyz"),
        (compose, "the devnet's health check asks", f"127.0.0.1:{DevnetSettings().http_port}/"),
    ):
        if port not in text:
            yield f"{what} another port than {port}"


def main() -> int:
    """Run all checks; 1 when one found something."""
    compose, dockerfile = COMPOSE.read_text(), DOCKERFILE.read_text()
    found = [
        *run_tools(),
        *find_unknown_settings(compose + dockerfile),
        *find_missing_sources(dockerfile, DOCKERFILE.with_suffix(".dockerignore").read_text()),
        *find_wrong_ports(compose, PROMETHEUS.read_text()),
    ]
    for line in found:
        print(f"deploy: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
