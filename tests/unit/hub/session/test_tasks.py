"""Tasks that serve requests: what is never begun is closed, and nothing is left waiting."""

import asyncio
import inspect
from collections.abc import Coroutine
from typing import Any

import pytest

from realtime_hub.session.tasks import RequestTasks
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError


async def look_up(begun: list[str]) -> None:
    begun.append("look_up")


async def answer(begun: list[str], work: Coroutine[Any, Any, None]) -> None:
    begun.append("answer")
    await work


def two() -> tuple[list[str], Coroutine[Any, Any, None], Coroutine[Any, Any, None]]:
    begun: list[str] = []
    inner = look_up(begun)
    return begun, answer(begun, inner), inner


async def test_a_task_that_is_cancelled_before_it_begins_leaves_nothing_unawaited() -> None:
    begun, outer, inner = two()
    tasks = RequestTasks()
    owner = asyncio.create_task(tasks.run())
    await asyncio.sleep(0)
    task = tasks.spawn(outer, awaits=inner)
    task.cancel()
    await asyncio.wait([task])
    assert begun == []
    assert {inspect.getcoroutinestate(one) for one in (outer, inner)} == {inspect.CORO_CLOSED}
    owner.cancel()


async def test_before_the_hub_has_started_a_task_is_refused_and_leaves_nothing_unawaited() -> None:
    begun, outer, inner = two()
    with pytest.raises(RequestError) as refused:
        RequestTasks().spawn(outer, awaits=inner)
    assert refused.value.code is ErrorCode.OVERLOADED
    assert begun == []
    assert {inspect.getcoroutinestate(one) for one in (outer, inner)} == {inspect.CORO_CLOSED}


async def test_a_task_that_begins_runs_to_its_end() -> None:
    begun, outer, inner = two()
    tasks = RequestTasks()
    owner = asyncio.create_task(tasks.run())
    await asyncio.sleep(0)
    await tasks.spawn(outer, awaits=inner)
    assert begun == ["answer", "look_up"]
    owner.cancel()
