"""Resuming under every interleaving that seeds find: no blocked wallet, no hole, no repetition."""

import asyncio

import pytest

from realtime_hub.session.resume import FamilyState
from realtime_protocol.codes import CloseCode, ErrorCode
from realtime_protocol.messages import (
    ErrorBody,
    RequestType,
    ResumeReply,
    ResumeSub,
    SubscribeReply,
    SubscribeRequest,
)
from sim.resume_world import EPOCH, LAG_S, TRIP_S, World, running_hubs
from sim.seeded_loop import run_seeded, run_twice, seeds
from trust_fakes import ALICE, BOB, block

SEEDS = 150
WINDOW_S = 12 * TRIP_S
"""A resume takes about so long."""
CLOSED_WITHIN_S = LAG_S + 0.001


async def blocked_while_away(seed: int) -> str:
    """Resume at one hub while another blocks the wallet, at any moment of it."""
    world = World(seed)
    async with running_hubs(world, 3) as (home, away, administration):
        await administration.change(BOB, 2)
        first = home.client()
        login = await first.log_in()
        first.client.live.lost()
        second = away.client()
        landed_s: list[float] = []
        landed = asyncio.Event()

        async def lower() -> None:
            await asyncio.sleep(world.random.uniform(0, WINDOW_S))
            await administration.book.lower(block(ALICE))

        def note() -> None:
            landed_s.append(world.clock.monotonic_s())
            landed.set()

        world.on_append = note
        lowering = asyncio.create_task(lower())
        await asyncio.sleep(WINDOW_S / 2)
        asked_s = world.clock.monotonic_s()
        missed = ResumeSub(1, "trust", EPOCH, 0, [BOB])  # To be read, which takes a while.
        answer = await second.resume(login.resume_token, login.sid, [missed])
        resumed = isinstance(answer, ResumeReply)
        await landed.wait()
        await lowering
        if landed_s[0] <= asked_s:
            assert not resumed, "the block had landed before the resume was asked for"
        if not resumed:
            assert isinstance(answer, ErrorBody), answer
            assert answer.code == ErrorCode.WALLET_BLOCKED
        await asyncio.sleep(CLOSED_WITHIN_S)
        assert second.close_code == CloseCode.WALLET_BLOCKED
        assert away.context.registry.sessions_of(ALICE) == []
        third = home.client()
        answer = await third.resume(login.resume_token, login.sid)
        assert isinstance(answer, ErrorBody), answer
        assert third.close_code in (CloseCode.WALLET_BLOCKED, None)
        return "resumed first" if resumed else "refused"


def test_a_wallet_blocked_at_any_moment_of_a_resume_is_out() -> None:
    seen = {
        run_seeded(lambda seed=seed: blocked_while_away(seed), seed)  # type: ignore[misc]
        for seed in seeds("resume-blocked", SEEDS)
    }
    assert seen == {"resumed first", "refused"}, "the seeds must try both"


async def changes_while_away(seed: int) -> tuple[int, ...]:
    """Cut a watcher off and take it up elsewhere, while what it watches changes all the time."""
    world = World(seed)
    async with running_hubs(world, 3) as (home, away, administration):
        first = home.client()
        login = await first.log_in()
        answer = await first.ask(RequestType.SUBSCRIBE, SubscribeRequest("trust", None, [BOB]))
        assert isinstance(answer, SubscribeReply)
        subscribed = answer

        async def change() -> None:
            for number in range(1, 13):
                await asyncio.sleep(world.random.uniform(0, WINDOW_S / 4))
                await administration.change(BOB, number)

        changing = asyncio.create_task(change())
        await asyncio.sleep(world.random.uniform(0, 2 * WINDOW_S))
        seen = first.offsets()
        first.client.live.lost()
        token, hub = login.resume_token, away
        for _ in range(2):
            position = seen[-1] if seen else subscribed.head
            client = hub.client()
            row = ResumeSub(subscribed.sub, "trust", EPOCH, position, [BOB])
            reply = await client.resume(token, login.sid, [row])
            assert isinstance(reply, ResumeReply), reply
            assert [sub.sub for sub in reply.subs] == [subscribed.sub]
            await asyncio.sleep(world.random.uniform(0, WINDOW_S))
            if hub is home:
                await changing
                await asyncio.sleep(2 * LAG_S)
            seen += client.offsets()
            client.client.live.lost()
            token, hub = reply.resume_token, home
        assert seen == list(range(subscribed.head + 1, 13)), seen
        return tuple(seen)


def test_a_watcher_that_is_cut_off_twice_hears_each_change_once_and_in_order() -> None:
    for seed in seeds("resume-watch", SEEDS):
        run_seeded(lambda seed=seed: changes_while_away(seed), seed)  # type: ignore[misc]


async def two_at_once(seed: int) -> str:
    """Resume with one token from two connections of two hubs at about the same moment."""
    world = World(seed)
    async with running_hubs(world, 2) as (home, away):
        first = home.client()
        login = await first.log_in()
        if world.random.random() < 0.5:
            first.client.live.lost()
        clients = [home.client(), away.client()]

        async def resume(number: int) -> object:
            await asyncio.sleep(world.random.uniform(0, WINDOW_S))
            return await clients[number].resume(login.resume_token, login.sid)

        answers = await asyncio.gather(resume(0), resume(1))
        await asyncio.sleep(WINDOW_S)
        living = [each for each in (first, *clients) if each.alive]
        assert len(living) == 1, [(each.alive, each.close_code) for each in (first, *clients)]
        kept = [entry.family for entry in world.families._kept.values()]
        assert [family.state for family in kept] == [FamilyState.HELD]
        tokens = [answer.resume_token for answer in answers if isinstance(answer, ResumeReply)]
        return f"{len(tokens)} replies"


def test_of_two_that_resume_at_once_one_has_the_session_at_the_end() -> None:
    seen = {
        run_seeded(lambda seed=seed: two_at_once(seed), seed)  # type: ignore[misc]
        for seed in seeds("resume-race", SEEDS)
    }
    assert "2 replies" in seen, "the seeds must try a token that is repeated"


@pytest.mark.parametrize("scenario", [blocked_while_away, changes_while_away, two_at_once])
def test_the_same_seed_gives_the_same_run(scenario: object) -> None:
    run_twice(lambda: scenario(11), 11)  # type: ignore[operator]
