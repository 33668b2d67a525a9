"""When requests take turns, and how late they are then."""

import asyncio
import time

from realtime_hub.session.input_turns import CROWDED_S, InputTurns


def test_requests_take_turns_while_rounds_of_the_loop_are_long() -> None:
    inputs = InputTurns()
    crowded = []
    for late_s in (CROWDED_S, CROWDED_S / 2, CROWDED_S, CROWDED_S, 0.0):
        assert inputs.look(late_s) == late_s
        crowded.append(inputs.crowded)
    assert crowded == [False, False, False, True, False]


async def test_a_request_that_waited_long_is_as_late_as_a_long_round() -> None:
    inputs = InputTurns(turn_s_max=0.001)
    for _ in range(3):
        inputs.take(lambda: time.sleep(CROWDED_S))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert inputs.look(0.0) >= CROWDED_S
    assert inputs.look(0.0) == 0.0, "each wait is told once"
