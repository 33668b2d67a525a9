"""Check the installation, the speed of signatures, the settings and what a hub needs.

Takes about a second. Exit status 0: all is well; 1: something is wrong, with a line on what to do.
"""

import argparse
import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Final

from realtime_cli.console import Console
from realtime_cli.findings import Finding, Level
from realtime_cli.machine import describe_machine
from realtime_cli.place_checkup import (
    check_devnet_ports,
    check_file_limit,
    check_packages,
    check_ports,
    check_redis,
    check_settings_of,
)
from realtime_cli.running import layers_of
from realtime_cli.signature_checkup import (
    YARDSTICK,
    check_compiler,
    check_key_cache,
    check_verdicts,
    measure_rates,
)

_COLOURS: Final = {Level.OK: "green", Level.HINT: "yellow", Level.WRONG: "red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--json", action="store_true", help="one JSON object, for machines")


def run(options: argparse.Namespace) -> int:
    """Look at everything and tell it as it comes."""
    console = None if options.json else Console()
    machine = describe_machine()
    if console is not None:
        console.line(console.paint(f"Realtime {machine['version']}", "bold"))
        console.line(f"  {machine['python']} on {machine['processor']}, {machine['system']}")
    findings = []
    for finding in look(options):
        findings.append(finding)
        if console is not None:
            _show(console, finding)
    # The processor's time: others' work on the machine makes nothing here slower.
    rates = measure_rates(time.thread_time)
    is_fine = all(finding.level is not Level.WRONG for finding in findings)
    if console is None:
        print(json.dumps(_report(machine, findings, rates, is_fine)))
    else:
        _show_rates(console, rates)
        console.line("All is well." if is_fine else "Something is wrong; see -> for what to do.")
    return 0 if is_fine else 1


def look(options: argparse.Namespace) -> Iterator[Finding]:
    """Look at one thing after the other; without settings, not at what follows from them."""
    yield from check_packages()
    yield check_verdicts()
    yield check_key_cache()
    yield check_compiler()
    finding, settings = check_settings_of(partial(layers_of, options))
    yield finding
    if settings is not None:
        yield from check_ports(settings.hub)
        if settings.devnet is not None:
            yield from check_devnet_ports(settings.devnet)
        yield check_redis(settings.hub.redis_url)
        yield check_file_limit(settings.hub)


def _show(console: Console, finding: Finding) -> None:
    mark = console.paint(f"{finding.level.value:<5}", _COLOURS[finding.level])
    console.line(f"  {mark}  {finding.name:<16}  {finding.text}")
    if finding.remedy is not None:
        console.line(f"         {'':<16}  -> {finding.remedy}")


def _show_rates(console: Console, rates: dict[str, float]) -> None:
    console.line("  One thread, operations a second, and how that compares:")
    yardstick = rates[YARDSTICK]
    for name, rate in rates.items():
        console.line(f"         {name:<26} {rate:>11,.0f}   {rate / yardstick:>6.2f}x")


def _report(
    machine: dict[str, str], findings: list[Finding], rates: dict[str, float], is_fine: bool
) -> dict[str, object]:
    return {
        **machine,
        "ok": is_fine,
        "findings": [
            {
                "name": finding.name,
                "level": finding.level.value,
                "text": finding.text,
                "remedy": finding.remedy,
                "facts": dict(finding.facts),
            }
            for finding in findings
        ],
        "rates": {
            name: {"per_s": round(rate), "to_yardstick": round(rate / rates[YARDSTICK], 2)}
            for name, rate in rates.items()
        },
        "yardstick": YARDSTICK,
    }
