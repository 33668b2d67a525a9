"""What the documents show works, against the product as `make run` starts it."""

import asyncio
import sys
from pathlib import Path

import pytest

from running_stack import running_stack

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


async def test_the_readmes_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    # Ticks long enough that a busy machine misses none.
    async with running_stack(tmp_path, tick_ms=500) as info:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "examples/pay.py"),
            info.url,
            str(info.demo_path),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    words = [line.split()[0] for line in out.decode().splitlines()]
    assert words == ["payee", "ACCEPTED", "BROADCAST", "INCLUDED", "SETTLED"]
