"""Trust for a resume: behind the log's head, not older than what the session has seen."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from fakes import SeededEntropy
from realtime_hub.adapters.memory_grants import MemoryGrants
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.ports import LogUnavailable
from realtime_hub.auth.service import AuthService
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import Position, TrustStatus
from trust_fakes import ALICE, TrustBench, block, record
from waiting import eventually


def service(bench: TrustBench, **options: Any) -> AuthService:
    nobody = cast(Any, None)
    return AuthService(
        logins=nobody,
        book=bench.book,
        orders=nobody,
        challenges=nobody,
        delegation=Delegation(MemoryGrants(), clock=bench.clock, entropy=SeededEntropy()),
        clock=bench.clock,
        entropy=SeededEntropy(),
        **options,
    )


@pytest.fixture
async def bench() -> AsyncIterator[TrustBench]:
    bench = TrustBench()
    bench.source.write(record())
    running = asyncio.create_task(bench.book.run())
    await eventually(lambda: bench.book.backbone_ok)
    yield bench
    running.cancel()
    await asyncio.wait([running])


async def refusal(bench: TrustBench, seen: Position, **options: Any) -> ErrorCode:
    with pytest.raises(RequestError) as refused:
        await service(bench, **options).readmit(ALICE, seen=seen)
    return refused.value.code


async def test_a_log_that_lacks_what_the_session_saw_is_108(bench: TrustBench) -> None:
    here = bench.book.position()
    assert await refusal(bench, Position(here.epoch, here.offset + 1)) == (
        ErrorCode.BACKBONE_UNAVAILABLE
    )


async def test_a_log_that_cant_be_read_is_108(
    bench: TrustBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable() -> None:
        raise LogUnavailable("gone")

    monkeypatch.setattr(bench.book._catch_up, "_work", unavailable)
    seen = bench.book.position()
    assert await refusal(bench, seen) == ErrorCode.BACKBONE_UNAVAILABLE
    assert await refusal(bench, seen, login_when_unavailable=True) == (
        ErrorCode.BACKBONE_UNAVAILABLE
    )


async def test_a_pending_block_is_206(bench: TrustBench) -> None:
    seen = bench.book.position()
    await bench.book.lower(block(ALICE))
    assert bench.book.overlays()[0].status is TrustStatus.BLOCKED
    assert await refusal(bench, seen) == ErrorCode.WALLET_BLOCKED
