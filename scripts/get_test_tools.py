"""Get the programs that the tests need and pip and npm don't bring: with apt-get, as root.

Elsewhere it says what is missing and how to get it; the tests that need it fail with such a line.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

# Program -> Debian's packages.
PROGRAMS: Final = {
    "clang": "clang",
    "valgrind": "valgrind",
    "chromium": "chromium",
    "go": "golang-go",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "qemu-aarch64-static": "qemu-user-static",
}
# Header -> Debian's package.
HEADERS: Final = {"sodium.h": "libsodium-dev"}
INSTALL_S_MAX: Final = 600
# For another apt-get that is at work, and for a mirror that drops a connection.
WAITING: Final = ("-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3")


def lacks_header(name: str) -> bool:
    """Tell whether the compiler finds no such header."""
    source = f"#include <{name}>\n".encode()
    test = ["cc", "-E", "-x", "c", "-", "-o", "/dev/null"]
    return subprocess.run(test, input=source, capture_output=True, check=False).returncode != 0


def lacks_sanitizers() -> bool:
    """Tell whether this clang comes without the runtime of its sanitizers."""
    test = ["clang", "-fsanitize=address,undefined", "-x", "c", "-", "-o", "/dev/null"]
    program = b"int main(void) { return 0; }"
    return subprocess.run(test, input=program, capture_output=True, check=False).returncode != 0


def sanitizers_package() -> str:
    """Return the package with the runtime for the clang that is here."""
    told = subprocess.run(["clang", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)", told)
    return f"libclang-rt-{version[1] if version else 14}-dev"


def install(packages: Sequence[str]) -> None:
    """Install with apt-get when we are root and there is one; else say what to type."""
    line = f"apt-get install --yes --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"Some tests need more than is here; get it by: {line}", file=sys.stderr)
        return
    print(f"Getting test tools: {line}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # A run that was cut in the middle leaves packages half installed, and apt-get then refuses all.
    mending = ("dpkg --configure -a", "apt-get --fix-broken install --yes -qq")
    for command in (*mending, "apt-get update -qq", f"{line} -qq"):
        subprocess.run(
            [*command.split(), *(WAITING if command.startswith("apt-get") else ())],
            env=quiet,
            stdout=subprocess.DEVNULL,
            timeout=INSTALL_S_MAX,
            check=False,
        )


def main() -> None:
    """Get what is missing; whether a test can do without is the test's to say."""
    missing = [package for name, package in PROGRAMS.items() if shutil.which(name) is None]
    missing += [package for name, package in HEADERS.items() if lacks_header(name)]
    if missing:
        install(missing)
    if shutil.which("clang") and lacks_sanitizers():
        install([sanitizers_package()])


if __name__ == "__main__":
    main()
