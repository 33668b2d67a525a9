"""The package installs from its sdist with a compiler and without one, and says which it was."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTENSION = "realtime_protocol/_native"
WHO_SIGNS = "from realtime_protocol import schnorrq as s; print(s.IMPLEMENTATION, s.k12(b'').hex())"
EMPTY_DIGEST = "1ac2d450fc3b4205d19da7bfca1b37513c0803577ac7167f06fe2ce1f0ef39e5"
PURE_WARNING = "Signatures will run in pure Python, about a hundred times slower: "

pytestmark = [pytest.mark.slow]


def run(*command: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    unset = ("CC", "CFLAGS", "LDFLAGS", "REALTIME_NATIVE", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(
        [str(word) for word in command],
        env=environment | settings,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return Path(str(archive).removesuffix(".tar.gz"))


def build_wheel(source: Path, folder: Path, **settings: str) -> tuple[Path, str]:
    """Return the wheel and what the build said."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--verbose"]
    done = run(
        *pip, "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source, **settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel, done.stdout + done.stderr


def build_editable(tree: Path, folder: Path, **settings: str) -> Path:
    """Return the wheel of an editable install, made as pip and uv ask for it."""
    ask = (
        "import os, sys, hatchling.build as b; os.chdir(sys.argv[1]); b.build_editable(sys.argv[2])"
    )
    done = run(sys.executable, "-c", ask, tree, folder, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def who_signs(folder: Path, wheel: Path) -> str:
    """Install into a new environment; return the implementation that is picked there."""
    python = folder / "venv" / "bin" / "python"
    assert run(sys.executable, "-m", "venv", "--without-pip", folder / "venv").returncode == 0
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    done = run(*pip, "install", "--no-deps", "--no-index", wheel)
    assert done.returncode == 0, done.stdout + done.stderr
    said = run(python, "-I", "-c", WHO_SIGNS)
    assert said.returncode == 0, said.stderr
    implementation, digest = said.stdout.rsplit(maxsplit=1)
    assert digest == EMPTY_DIGEST
    return implementation


def test_a_wheel_with_the_native_module_is_for_this_python_and_platform(
    source: Path, tmp_path: Path
) -> None:
    wheel, said = build_wheel(source, tmp_path, REALTIME_NATIVE="require")
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert wheel.name.split("-")[2:4] == [tag, tag]
    assert "pure Python" not in said
    assert who_signs(tmp_path, wheel).startswith("native (")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"CC": "/bin/false"}, "/bin/false failed with code 1"),
        ({"CC": "/no/such/compiler"}, "/no/such/compiler can't be run: No such file or directory"),
        ({"PATH": "/no/such/folder"}, "no C compiler found (cc, gcc, clang); install one"),
        ({"CFLAGS": "-fno-such-option"}, "error: "),
        ({"REALTIME_NATIVE": "0"}, "REALTIME_NATIVE is 0"),
    ],
    ids=["false", "missing", "none", "broken", "unwanted"],
)
def test_without_a_compiler_the_wheel_is_pure_and_the_build_says_why(
    source: Path, tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    wheel, said = build_wheel(source, tmp_path, **settings)
    assert wheel.name.endswith("-py3-none-any.whl")
    (line,) = [line for line in said.splitlines() if PURE_WARNING in line]
    assert reason in line.partition(PURE_WARNING)[2]
    assert who_signs(tmp_path, wheel) == "pure Python"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"REALTIME_NATIVE": "require", "CC": "/bin/false"}, "/bin/false failed with code 1"),
        ({"REALTIME_NATIVE": "yes"}, 'REALTIME_NATIVE is \'yes\'; it may be "0" or "require"'),
    ],
    ids=["required", "misspelt"],
)
def test_a_build_that_cannot_do_what_is_asked_fails(
    source: Path, tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    done = run(*build, "--no-index", "-w", tmp_path, source, **settings)
    assert done.returncode != 0
    assert reason in done.stdout + done.stderr
    assert not list(tmp_path.glob("*.whl"))


def test_an_editable_install_compiles_into_the_tree_and_takes_a_stale_module_away(
    source: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(source, tree)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert who_signs(first, build_editable(tree, first)).startswith("native (")
    assert list((tree / "protocol").glob(f"{EXTENSION}*.so"))
    assert who_signs(second, build_editable(tree, second, CC="/bin/false")) == "pure Python"
    assert not list((tree / "protocol").glob(f"{EXTENSION}*.so"))


def test_only_what_changed_is_compiled_again(source: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(source, tree)
    native = tree / "protocol" / "native"

    def compiled() -> list[str]:
        done = run(sys.executable, native / "compile.py", REALTIME_NATIVE="require")
        assert done.returncode == 0, done.stderr
        return sorted(line.split()[-1] for line in done.stdout.splitlines())

    everything = compiled()
    assert {"k12.c", "module.c"} <= {*everything}
    assert compiled() == []
    with (native / "k12.c").open("a") as file:
        file.write("/* Another text. */\n")
    assert compiled() == ["k12.c"]
    with (native / "k12.h").open("a") as file:
        file.write("/* Another text. */\n")
    assert compiled() == everything


def test_going_back_to_an_older_source_gives_the_older_module(source: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(source, tree)
    module_source = tree / "protocol" / "native" / "module.c"
    older, outcomes = module_source.read_text(), []
    for text in (older, older.replace('"native (%s)"', '"changed (%s)"'), older):
        module_source.write_text(text)
        assert run(sys.executable, tree / "protocol" / "native" / "compile.py").returncode == 0
        (module,) = (tree / "protocol").glob(f"{EXTENSION}*.so")
        outcomes.append(module.read_bytes())
    assert outcomes[0] == outcomes[2] != outcomes[1]
