import asyncio
import time

from realtime_hub.turns import LoopTurns


async def test_who_comes_alone_is_let_in_at_once() -> None:
    turns = LoopTurns(turn_s_max=1.0)
    opened: list[int] = []
    assert turns.take(lambda: opened.append(1))
    assert opened == [1]


async def test_a_crowd_is_let_in_turn_by_turn_and_others_are_served_between() -> None:
    turns = LoopTurns(turn_s_max=0.002)
    seen: list[int | str] = []

    def open_session(number: int) -> None:
        time.sleep(0.003)  # more than a turn's time
        seen.append(number)

    for number in range(3):
        turns.take(lambda number=number: open_session(number))  # type: ignore[misc]
    assert seen == [0]
    assert len(turns) == 2
    for _ in range(2):
        seen.append("other")
        await asyncio.sleep(0)
    assert seen == [0, "other", 1, "other", 2]
    await asyncio.sleep(0)
    assert turns.take(lambda: seen.append("later"))


async def test_what_is_put_off_is_done_in_a_later_turn_behind_what_waits() -> None:
    turns = LoopTurns(turn_s_max=1.0)
    seen: list[str] = []
    turns.put_off(lambda: seen.append("first"))
    turns.take(lambda: seen.append("second"))
    assert seen == []
    await asyncio.sleep(0)
    assert seen == ["first", "second"]
