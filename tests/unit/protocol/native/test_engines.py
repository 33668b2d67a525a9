"""Both engines take and refuse the same arguments, with the same words."""

import os
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from engines import PURE, Engine, find_engines
from realtime_protocol import identity
from realtime_protocol._pure_fourq import N
from realtime_protocol._pure_identity import encode_letters

ENGINES = find_engines()
NATIVE_SOURCES = Path(__file__).parents[4] / "protocol" / "native"

SUBSEED = PURE.k12(b"some seed")
PUBLIC_KEY = PURE.public_key(PURE.k12(SUBSEED))
OTHER_KEY = PURE.public_key(bytes(31) + b"\x07")
MESSAGE = PURE.k12(b"what is signed")
SIGNATURE = PURE.sign(SUBSEED, PUBLIC_KEY, MESSAGE)
RECORD = PUBLIC_KEY + MESSAGE + SIGNATURE
GOOD = (PUBLIC_KEY, MESSAGE, SIGNATURE)
BAD = (PUBLIC_KEY, MESSAGE[::-1], SIGNATURE)
WRONG_SIZE = (PUBLIC_KEY, MESSAGE, SIGNATURE[:-1])

Bytes = type("Bytes", (bytes,), {})
Item = namedtuple("Item", "public_key message signature")


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


def test_the_native_engine_is_built_unless_it_is_not_wanted() -> None:
    not_wanted = os.environ.get("REALTIME_NATIVE") == "0"
    assert "native" in ENGINES or not_wanted, "make native"


def test_each_engine_says_what_it_is() -> None:
    for name, each in ENGINES.items():
        assert each.IMPLEMENTATION.startswith(name)


def test_the_memory_of_the_key_cache_is_bounded_and_told(engine: Engine) -> None:
    assert 1_000 <= engine.CACHED_KEYS_MAX <= 100_000
    assert 500 <= engine.KEY_CACHE_BYTES_MAX // engine.CACHED_KEYS_MAX <= 8_192


def many(*items: object) -> Callable[[Engine], object]:
    return lambda engine: engine.verify_many(items)


# fmt: off
TYPE_ERRORS: list[tuple[Callable[[Engine], object], str]] = [
    (lambda e: e.k12("text"), "data must be bytes, not str"),
    (lambda e: e.k12(bytearray(3)), "data must be bytes, not bytearray"),
    (lambda e: e.k12(None, -1), "data must be bytes, not NoneType"),
    (lambda e: e.k12(b"", "3"), "'str' object cannot be interpreted as an integer"),
    (lambda e: e.k12(b"", 3.0), "'float' object cannot be interpreted as an integer"),
    (lambda e: e.public_key(Path()), f"private_key must be bytes, not {type(Path()).__name__}"),
    (lambda e: e.sign(1, 2, 3), "subseed must be bytes, not int"),
    (lambda e: e.sign(b"", 2, 3), "public_key must be bytes, not int"),
    (lambda e: e.sign(b"", b"", 3), "message must be bytes, not int"),
    (lambda e: e.verify(1, 2, 3), "public_key must be bytes, not int"),
    (lambda e: e.verify(b"", memoryview(b""), 3), "message must be bytes, not memoryview"),
    (lambda e: e.verify(b"", b"", Item(1, 2, 3)), "signature must be bytes, not Item"),
    (lambda e: e.refusal_of_key("A" * 60), "public_key must be bytes, not str"),
    (lambda e: e.verify_records("text"), "records must be bytes, not str"),
    (lambda e: e.verify_records([RECORD]), "records must be bytes, not list"),
    (lambda e: e.verify_many(cast(Any, 7)), "'int' object is not iterable"),
    (many(7), "an item must be a tuple of public key, message and signature"),
    (many(GOOD, list(GOOD)), "an item must be a tuple of public key, message and signature"),
    (many(GOOD, GOOD[:2]), "an item must be a tuple of public key, message and signature"),
    (many(GOOD, (*GOOD, b"")), "an item must be a tuple of public key, message and signature"),
    (many(GOOD, (PUBLIC_KEY, MESSAGE, None)), "signature must be bytes, not NoneType"),
]
VALUE_ERRORS: list[tuple[Callable[[Engine], object], str]] = [
    (lambda e: e.k12(b"", -1), "a digest can't have -1 bytes"),
    (lambda e: e.k12(b"", -(10**30)), f"a digest can't have -{10**30} bytes"),
    (lambda e: e.public_key(bytes(31)), "a private key has 32 bytes"),
    (lambda e: e.public_key(bytes(33)), "a private key has 32 bytes"),
    (lambda e: e.sign(bytes(31), PUBLIC_KEY, b""), "subseed and public key have 32 bytes each"),
    (lambda e: e.sign(SUBSEED, bytes(33), b""), "subseed and public key have 32 bytes each"),
    (lambda e: e.sign(SUBSEED, OTHER_KEY, b""), "the public key isn't the subseed's own"),
    (lambda e: e.verify_records(RECORD[:-1]), "127 bytes are no whole number of 128-byte records"),
]
# fmt: on


@pytest.mark.parametrize("number", range(len(TYPE_ERRORS)))
def test_a_wrong_type_is_named(engine: Engine, number: int) -> None:
    call, words = TYPE_ERRORS[number]
    with pytest.raises(TypeError) as caught:
        call(engine)
    assert str(caught.value) == words


@pytest.mark.parametrize("number", range(len(VALUE_ERRORS)))
def test_a_wrong_value_is_named(engine: Engine, number: int) -> None:
    call, words = VALUE_ERRORS[number]
    with pytest.raises(ValueError) as caught:
        call(engine)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("args", "keywords"),
    [
        ((), {}),
        ((b"", 1, 2), {}),
        ((), {"length": 3}),
        ((b"",), {"data": b""}),
        ((b"", 3), {"length": 3}),
        ((b"",), {"size": 3}),
    ],
)
def test_k12_refuses_arguments_out_of_place_as_any_function_does(
    engine: Engine, args: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    with pytest.raises(TypeError) as expected:
        PURE.k12(*args, **keywords)
    with pytest.raises(TypeError) as caught:
        engine.k12(*args, **keywords)
    assert str(caught.value) == str(expected.value)


def test_k12_takes_its_arguments_by_place_and_by_name(engine: Engine) -> None:
    digest = engine.k12(b"data", 40)
    assert len(digest) == 40
    assert engine.k12(data=b"data", length=40) == digest
    assert engine.k12(length=40, data=b"data") == digest
    assert engine.k12(b"data", length=40) == digest
    assert engine.k12(b"data") == engine.k12(b"data", True * 32) == digest[:32]
    assert engine.k12(b"data", 0) == b""


@pytest.mark.parametrize("size", [0, 63, 64, 168, 8191, 8192, 65536, 65537, 140_000])
def test_k12_agrees_with_the_reference(engine: Engine, size: int) -> None:
    assert engine.k12(bytes(size), 64) == PURE.k12(bytes(size), 64)


def test_a_subclass_of_bytes_is_bytes(engine: Engine) -> None:
    assert engine.k12(Bytes(b"data")) == engine.k12(b"data")
    assert engine.verify(*map(Bytes, GOOD)) is True
    assert engine.verify_records(Bytes(RECORD)) == b"\x01"


def test_keys_and_signatures_are_the_reference_s(engine: Engine) -> None:
    assert engine.public_key(PURE.k12(SUBSEED)) == PUBLIC_KEY
    assert engine.sign(SUBSEED, PUBLIC_KEY, MESSAGE) == SIGNATURE
    long = bytes(70_000)
    assert engine.sign(SUBSEED, PUBLIC_KEY, long) == PURE.sign(SUBSEED, PUBLIC_KEY, long)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_lengths_that_cannot_count_are_false_and_no_error(engine: Engine, size: int) -> None:
    assert engine.verify((PUBLIC_KEY + bytes(32))[:size], MESSAGE, SIGNATURE) is False
    assert engine.verify(PUBLIC_KEY, MESSAGE, (SIGNATURE + b"\0")[: size + 1]) is False
    assert engine.refusal_of_key(bytes(size)) == f"it has {size} bytes, not 32"


def test_one_by_one_gives_true_and_false_themselves(engine: Engine) -> None:
    assert engine.verify(*GOOD) is True
    assert engine.verify(*BAD) is False
    long = bytes(70_000)
    assert engine.verify(PUBLIC_KEY, long, PURE.sign(SUBSEED, PUBLIC_KEY, long)) is True


@pytest.mark.parametrize("make", [list, tuple, iter], ids=["list", "tuple", "iterator"])
def test_many_verdicts_stand_in_the_order_of_the_items(
    engine: Engine, make: Callable[[object], Any]
) -> None:
    items = [WRONG_SIZE, GOOD, BAD, Item(*GOOD), (b"", *GOOD[1:]), GOOD]
    assert engine.verify_many(make(items)) == [False, True, False, True, False, True]
    assert engine.verify_many([WRONG_SIZE]) == [False]
    assert engine.verify_many(make([])) == []


@pytest.mark.slow
@pytest.mark.parametrize("count", [7, 8, 9, 17])
def test_a_verdict_does_not_depend_on_its_place_in_the_batch(engine: Engine, count: int) -> None:
    for place in range(count):
        items = [GOOD] * count
        items[place] = BAD
        assert engine.verify_many(items) == [i != place for i in range(count)]


def test_records_give_one_byte_each_whatever_holds_them(engine: Engine) -> None:
    twin = SIGNATURE[:32] + (int.from_bytes(SIGNATURE[32:], "little") + N).to_bytes(32, "little")
    records = RECORD + PUBLIC_KEY + MESSAGE + twin + RECORD
    backwards = memoryview(records[::-1])[::-1]
    for held in (records, bytearray(records), memoryview(records), backwards):
        assert engine.verify_records(held) == b"\x01\x00\x01"
    assert engine.verify_records(b"") == b""


def test_a_sound_key_has_no_refusal_and_others_have_their_own(engine: Engine) -> None:
    for key in (PUBLIC_KEY, bytes(32), bytes([1, *bytes(31)]), bytes(15) + b"\x80" + bytes(16)):
        assert engine.refusal_of_key(key) == PURE.refusal_of_key(key)


def test_the_native_engine_writes_and_reads_identities_as_the_reference_does() -> None:
    for native in (cast(Any, each) for name, each in ENGINES.items() if name == "native"):
        text = encode_letters(PUBLIC_KEY, "A")
        assert identity.encode_identity(PUBLIC_KEY) == text
        assert native.encode_identity(PUBLIC_KEY) == text
        assert native.parse_identity(text) == PUBLIC_KEY
        for wrong in ("", text[:-1], text.lower(), text[:-1] + "\xc4", text + "A", "Z" * 60):
            assert native.parse_identity(wrong) is None
        with pytest.raises(TypeError, match="an identity is a str, not bytes"):
            native.parse_identity(text.encode())
        with pytest.raises(ValueError, match="has 32 bytes, not 31"):
            native.encode_identity(PUBLIC_KEY[:-1])
