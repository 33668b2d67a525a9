"""What the documents show works, against the product as `make run` starts it."""

import asyncio
import sys
from pathlib import Path

import pytest

from running_stack import running_stack

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


async def test_the_spending_example_pays_without_a_prompt_and_goes_home(tmp_path: Path) -> None:
    async with running_stack(tmp_path, tick_ms=300) as info:
        for _ in range(2):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "examples/spend.py"),
                info.url,
                str(info.demo_path),
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await asyncio.wait_for(process.communicate(), 60)
            words = [line.split()[0] for line in out.decode().splitlines()]
            assert words == ["key", "funded", "paid", "swept"]
            assert out.decode().count("SETTLED") == 3


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
