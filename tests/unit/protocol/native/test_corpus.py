"""A hundred thousand records: the reference's verdicts on every path, key known or not."""

import hashlib
import importlib
import json
import random
from collections.abc import Iterator
from itertools import islice
from types import ModuleType

import pytest

from engines import PURE
from native_build import has_ifma
from signature_corpus import VERDICTS, make_records, unpack

pytestmark = pytest.mark.slow

FRESH_RECORDS = 400
PATHS = ["portable", "twin", "ifma"] if has_ifma() else ["portable", "twin"]
# The twin runs each tenth stretch: it is sixty times as slow, and its source is that of IFMA.
SHARE_OF_TWIN = 10


@pytest.fixture(scope="module")
def records() -> list[bytes]:
    written = json.loads(VERDICTS.read_text(encoding="utf-8"))
    return list(islice(make_records(written["seed"]), written["count"]))


@pytest.fixture(scope="module")
def verdicts() -> bytes:
    return unpack(json.loads(VERDICTS.read_text(encoding="utf-8"))["verdicts_zlib_base64"])


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, native: ModuleType) -> Iterator[str]:
    native.use_path(request.param)
    yield request.param
    native.use_path(native.PATHS[0])


@pytest.fixture
def native() -> Iterator[ModuleType]:
    module = importlib.import_module("realtime_protocol._native")
    yield module
    module.use_key_cache(True)


def test_the_records_are_those_that_the_reference_judged(
    records: list[bytes], verdicts: bytes
) -> None:
    written = json.loads(VERDICTS.read_text(encoding="utf-8"))
    assert hashlib.sha256(b"".join(records)).hexdigest() == written["records_sha256"]
    assert len(records) == len(verdicts) == 100_000
    assert sum(verdicts) == written["sound"]


@pytest.mark.parametrize("cache", [True, False], ids=["keys kept", "keys unknown"])
def test_every_path_gives_the_reference_s_verdicts(
    native: ModuleType, path: str, cache: bool, records: list[bytes], verdicts: bytes
) -> None:
    native.use_key_cache(cache)
    chosen = slice(0, len(records) // SHARE_OF_TWIN if path == "twin" else len(records))
    found = native.verify_records(b"".join(records[chosen]))
    pairs = zip(found, verdicts[chosen], strict=True)
    assert [i for i, (one, other) in enumerate(pairs) if one != other] == []


def test_one_by_one_the_verdicts_are_the_same(
    native: ModuleType, records: list[bytes], verdicts: bytes
) -> None:
    for record, verdict in zip(records[:20_000], verdicts, strict=False):
        assert native.verify(record[:32], record[32:64], record[64:]) == bool(verdict), record.hex()


def test_fresh_records_get_the_reference_s_verdicts_on_every_path(native: ModuleType) -> None:
    seed = random.SystemRandom().getrandbits(64)
    fresh = b"".join(islice(make_records(seed), FRESH_RECORDS))
    expected = PURE.verify_records(fresh)
    for path in native.PATHS:
        native.use_path(path)
        for cache in (False, True):
            native.use_key_cache(cache)
            assert native.verify_records(fresh) == expected, (path, cache, seed)
    native.use_path(native.PATHS[0])


def test_batches_of_any_size_and_mixture_give_the_same_verdicts(
    native: ModuleType, path: str, records: list[bytes], verdicts: bytes
) -> None:
    source = random.Random(3)
    for size in [*range(20), *range(3, 9)]:
        native.use_key_cache(False)
        native.use_key_cache(True)
        at = source.randrange(90_000)
        known = source.sample(range(at, at + size), size // 2)
        native.verify_records(b"".join(records[i] for i in known))
        found = native.verify_records(b"".join(records[at : at + size]))
        assert found == verdicts[at : at + size], (size, at)


def test_a_cut_or_lengthened_part_is_refused_on_every_path(
    native: ModuleType, path: str, records: list[bytes], verdicts: bytes
) -> None:
    sound = records[verdicts.index(1)]
    key, digest, signature = sound[:32], sound[32:64], sound[64:]
    items = [(key, digest, signature)]
    items += [(key[:size], digest, signature) for size in range(32)]
    items += [(key, digest, signature[:size]) for size in range(64)]
    items += [(key, digest[:size], signature) for size in range(32)]
    items += [(key + b"\0", digest, signature), (key, digest, signature + b"\0")]
    items += [(key, digest + b"\0", signature)]
    assert native.verify_many(items) == [True] + [False] * (len(items) - 1)
