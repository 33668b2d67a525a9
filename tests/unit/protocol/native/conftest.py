import pytest

from native_build import has_ifma


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in every run which lanes its tests have seen."""
    if not has_ifma():
        terminalreporter.write_line(
            "no AVX-512 IFMA here: the lanes of signatures ran as their portable twin alone"
        )
