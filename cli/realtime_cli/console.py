"""Output for people: aligned, coloured only where somebody looks at a terminal."""

import os
import sys
from typing import Final, TextIO

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Console:
    """Prints to a stream, with colours when it is a terminal (and NO_COLOR isn't set)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._colours = self._stream.isatty() and "NO_COLOR" not in os.environ

    def paint(self, text: str, colour: str) -> str:
        """Return *text* in a colour."""
        return f"\033[{_CODES[colour]}m{text}\033[0m" if self._colours else text

    def line(self, text: str = "") -> None:
        """Print a line at once."""
        print(text, file=self._stream, flush=True)

    def step(self, at_ms: float, name: str, text: str = "") -> None:
        """Print a line of a timeline: when, what, more."""
        when = self.paint(f"{at_ms:10.1f} ms", "dim")
        self.line(f"{when}  {self.paint(f'{name:<16}', 'bold')} {text}".rstrip())

    def check(self, passed: bool, text: str) -> None:
        """Print a verdict."""
        mark = self.paint("pass", "green") if passed else self.paint("FAIL", "red")
        self.line(f"  {mark}  {text}")


def show_qu(amount_qu: int) -> str:
    """Return an amount as people write it."""
    return f"{amount_qu:,} QU"
