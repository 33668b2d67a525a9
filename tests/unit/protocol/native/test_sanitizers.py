"""All vectors through the whole C core, with every undefined step and stray access fatal."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from native_build import SANITIZED, build_core, has_ifma
from qubic_vectors import qubic_vectors
from realtime_protocol.identity import encode_identity

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("check_vectors.c")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sanitized") / "check_vectors"
    return build_core([PROGRAM], target, *SANITIZED, compiler="clang")


def k12_lines() -> Iterator[str]:
    for vector in qubic_vectors()["k12"]:
        if "input" in vector:
            data = bytes.fromhex(vector["input"])
        else:
            factor = vector["pattern"]["a"]
            data = bytes((i * factor + 7) % 251 for i in range(vector["input_len"]))
        yield f"k12 {data.hex() or '-'} {vector['output']}"


def key_lines() -> Iterator[str]:
    for key in qubic_vectors()["keys"]:
        yield f"keygen {key['private_key']} {key['public_key']}"
        text = key["identity"].encode()
        yield f"identity {text.hex()} {key['public_key']}"
        yield f"identity {text[:-1].hex()} -"
        yield f"identity {(text + b'A').hex()} -"
        yield f"identity {(text[:-1] + b'?').hex()} -"
        yield f"identity {(b'Z' * 14 + text[14:]).hex()} -"


def signature_lines() -> Iterator[str]:
    subseeds = {key["public_key"]: key["subseed"] for key in qubic_vectors()["keys"]}
    for each in qubic_vectors()["signatures"]:
        key, digest, signature = each["public_key"], each["digest"], each["signature"]
        yield f"sign {subseeds[key]} {key} {digest} {signature}"
        yield f"sign {subseeds[key]} {'02' * 32} {digest} {'00' * 64}"
        yield f"verify {key} {digest} {signature} 01"
        yield f"verify {key} - {signature} 00"
    for each in qubic_vectors()["tampered"]:
        if len(each["public_key"]) == 64 and len(each["signature"]) == 128:
            yield f"verify {each['public_key']} {each['digest']} {each['signature']} 00"


def extreme_lines() -> Iterator[str]:
    """Yield inputs of all ones and all zeros: the longest carries, and keys that are none."""
    for byte in ("00", "ff", "7f", "80"):
        for other in ("00", "ff", "7f", "80"):
            yield f"verify {byte * 32} {other * 32} {other * 64} 00"
        yield f"verify {qubic_vectors()['keys'][0]['public_key']} - {byte * 64} 00"
    yield f"identity {encode_identity(bytes(32)).encode().hex()} {'00' * 32}"
    yield f"identity {encode_identity(bytes([255] * 32)).encode().hex()} {'ff' * 32}"


@pytest.mark.parametrize(
    "path", ["portable", "twin", "ifma"] if has_ifma() else ["portable", "twin"]
)
def test_all_vectors_come_out_right_without_undefined_behaviour(program: Path, path: str) -> None:
    lines = [*k12_lines(), *key_lines(), *signature_lines(), *extreme_lines()]
    if path == "twin" and has_ifma():
        lines = lines[::4]  # It is slow, and its source is that of IFMA.
    done = subprocess.run(
        [program, path],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert done.stdout == f"{len(lines)} lines, 0 wrong\n"
