"""Files that a script of this folder makes: written anew, or with --check compared."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent


def write_or_check(about: str | None, outputs: Mapping[Path, Callable[[], str]]) -> int:
    """Run a script whose outputs these are; return 1 when a check found one that differs."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--check", action="store_true", help="only compare; 1 on a difference")
    check_only: bool = parser.parse_args().check
    stale = 0
    for path, render in outputs.items():
        text, name = render(), path.relative_to(ROOT)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check_only:
            print(f"{name} is out of date; run: python {sys.argv[0]}", file=sys.stderr)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {name}")
    return 1 if stale and check_only else 0
