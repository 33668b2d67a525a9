"""The place of a benchmark's tables in a page of the documentation: between two marks."""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where one benchmark writes what it found."""

    name: str

    @property
    def begin(self) -> str:
        """The line before."""
        return f"<!-- {self.name} -->"

    @property
    def end(self) -> str:
        """The line behind."""
        return f"<!-- end of {self.name} -->"

    def split(self, path: Path) -> tuple[str, str]:
        """Return what stands before and after; ends the program when a page has no such place."""
        try:
            before, begin, rest = path.read_text(encoding="utf-8").partition(self.begin)
        except OSError as error:
            sys.exit(f"can't read {path}: {error.strerror}")
        _, end, after = rest.partition(self.end)
        if not begin or not end:
            sys.exit(f"{path} has no lines {self.begin} and {self.end}")
        return before, after

    def write(self, path: Path, report: str) -> None:
        """Put *report* there in place of what an earlier run wrote."""
        before, after = self.split(path)
        path.write_text(f"{before}{self.begin}\n\n{report}\n\n{self.end}{after}", encoding="utf-8")
