"""The C core's identities against the Python rules: every verdict and every letter."""

import ctypes
import random
import string

import pytest

from native_build import load_library
from qubic_vectors import qubic_vectors
from realtime_protocol._pure_identity import encode_letters, parse_letters

LETTERS = string.ascii_uppercase


@pytest.fixture(scope="module", params=["gcc", "clang"])
def library(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("identity")
    built = load_library(["identity.c", "k12.c"], folder, compiler=request.param)
    built.identity_encode.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    built.identity_parse.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
    built.identity_parse.restype = ctypes.c_bool
    return built


def encode(library: ctypes.CDLL, key: bytes) -> str:
    text = ctypes.create_string_buffer(61)
    library.identity_encode(key, text)
    return text.value.decode("ascii")


def parse(library: ctypes.CDLL, text: str) -> bytes | None:
    data = text.encode("utf-8", "surrogatepass")
    key = ctypes.create_string_buffer(b"?" * 32, 32)
    if library.identity_parse(data, len(data), key):
        return key.raw
    assert key.raw == b"?" * 32
    return None


def reference(text: str) -> bytes | None:
    try:
        return parse_letters(text, "A", "an identity")
    except ValueError:
        return None


def with_checksum_of_the_wrapped_word(groups: list[str]) -> str:
    """Return groups with the checksum that a parser which lets words wrap around would expect."""
    key = b""
    for group in groups:
        number = sum((ord(letter) - 65) * 26**i for i, letter in enumerate(group))
        key += (number % (1 << 64)).to_bytes(8, "little")
    return "".join(groups) + encode_letters(key, "A")[56:]


def test_the_vectors_identities_are_written_and_read(library: ctypes.CDLL) -> None:
    for vector in qubic_vectors()["keys"]:
        key = bytes.fromhex(vector["public_key"])
        assert encode(library, key) == vector["identity"]
        assert parse(library, vector["identity"]) == key


def test_any_key_has_the_same_letters_and_comes_back(library: ctypes.CDLL) -> None:
    source = random.Random(3)
    keys = [bytes(32), b"\xff" * 32, *(source.randbytes(32) for _ in range(300))]
    for key in keys:
        text = encode_letters(key, "A")
        assert encode(library, key) == text
        assert parse(library, text) == key


def test_a_changed_text_gets_the_same_verdict(library: ctypes.CDLL) -> None:
    source = random.Random(4)
    text = encode_letters(source.randbytes(32), "A")
    changed = ["", text[:-1], text + "A", text.lower(), "\ud800" * 20, "Ä" * 30, text[:59] + "\0"]
    changed += [text[:at] + letter + text[at + 1 :] for at in range(60) for letter in "AMZ@[a \xc3"]
    for each in changed:
        assert parse(library, each) == reference(each), each


def test_a_group_beyond_64_bits_is_refused_though_its_checksum_fits(library: ctypes.CDLL) -> None:
    source = random.Random(5)
    refused = 0
    for _ in range(200):
        groups = ["".join(source.choices(LETTERS, k=14)) for _ in range(4)]
        text = with_checksum_of_the_wrapped_word(groups)
        assert parse(library, text) == reference(text), text
        refused += reference(text) is None
    assert refused > 100


@pytest.mark.parametrize("word", range(4))
@pytest.mark.parametrize(("number", "counts"), [((1 << 64) - 1, True), (1 << 64, False)])
def test_the_last_number_of_a_group_is_the_last_of_64_bits(
    library: ctypes.CDLL, word: int, number: int, counts: bool
) -> None:
    groups = ["A" * 14] * 4
    groups[word] = "".join(LETTERS[number // 26**i % 26] for i in range(14))
    text = with_checksum_of_the_wrapped_word(groups)
    assert (reference(text) is not None) is counts
    assert parse(library, text) == reference(text)
