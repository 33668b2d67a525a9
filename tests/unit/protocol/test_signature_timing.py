"""What is timed is what it says: how often, which keys, the median of interleaved rounds."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

from realtime_protocol.schnorrq import ENGINE, Engine, SignedMessage
from realtime_protocol.signature_timing import (
    SignatureWorks,
    Work,
    measure_ns,
    sample_keypair,
    sample_message,
)


def test_samples_are_of_different_wallets_and_verify() -> None:
    samples = [sample_message(number) for number in (0, 1, 26, 26**2)]
    assert len({key for key, _, _ in samples}) == 4
    assert ENGINE.verify_many(samples) == [True] * 4
    assert sample_keypair(7) == sample_keypair(7)


def test_the_median_is_of_interleaved_rounds_and_for_one_operation() -> None:
    order: list[str] = []
    times_s = iter([0.0, 4.0, 10.0, 11.0, 20.0, 28.0, 30.0, 33.0, 40.0, 46.0, 50.0, 52.0])

    def work(name: str, times: int) -> Work:
        return Work(times, lambda: lambda: order.append(name))

    found = measure_ns(
        {"a": work("a", 2), "b": work("b", 1)}, rounds=3, now_s=lambda: next(times_s)
    )
    assert order == ["a", "b"] * 3
    assert found == {"a": 3e9, "b": 2e9}


def test_cold_works_never_verify_the_same_key_twice_and_warm_ones_only_known_keys() -> None:
    seen: list[bytes] = []

    def verify_many(items: Sequence[SignedMessage]) -> list[bool]:
        seen.extend(key for key, _, _ in items)
        return [True] * len(items)

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        seen.append(key)
        return True

    works = SignatureWorks(cast(Engine, SimpleNamespace(verify=verify, verify_many=verify_many)))
    for cold in (works.verify_cold(3), works.batch_cold(2, batches=2)):
        cold.prepare()()
        cold.prepare()()
    assert len(seen) == len(set(seen)) == 14
    for warm, times in ((works.verify_cached(3), 3), (works.batch_cached(2, batches=2), 4)):
        timed = warm.prepare()
        known = set(seen)
        before = len(seen)
        timed()
        assert len(seen) == before + times
        assert set(seen[before:]) <= known


def test_each_work_does_as_many_operations_as_it_says() -> None:
    calls: list[str] = []

    def note(name: str) -> object:
        return lambda *arguments: calls.append(name)

    names = ("sign", "public_key", "k12", "verify")
    works = SignatureWorks(cast(Engine, SimpleNamespace(**{name: note(name) for name in names})))
    for work in (works.sign(2), works.keygen(3), works.hash_short(4), works.refuse(5)):
        work.prepare()()
    assert [calls.count(name) for name in names] == [2, 3, 4, 5]
