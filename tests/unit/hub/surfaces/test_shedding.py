"""What clients of an overloaded hub meet: fast refusals, in the order that was promised."""

import pytest

from realtime_hub.session.overload import Load
from realtime_protocol.codec import ErrorReply, Push
from realtime_protocol.codes import ErrorCode
from realtime_protocol.messages import (
    PayReply,
    PayRequest,
    PingReply,
    PingRequest,
    PushType,
    QuoteOpenReply,
    QuoteOpenRequest,
    RequestType,
)
from session_fakes import ALICE, FakeHub, intent, proof, quote, settle


def is_overloaded(answer: object) -> bool:
    return (
        isinstance(answer, ErrorReply)
        and answer.error.code == ErrorCode.OVERLOADED
        and bool(answer.error.retry_after_ms)
    )


async def test_quotes_are_refused_first_and_those_that_are_open_pause() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        opened = await client.ask(RequestType.QUOTE_OPEN, QuoteOpenRequest(intent()))
        assert isinstance(opened, QuoteOpenReply)
        client.wire.take()
        hub.context.overload.level = Load.QUOTES
        hub.quotes.streams[0].deliver(quote(1))
        client.send(RequestType.QUOTE_OPEN, QuoteOpenRequest(intent()))
        [refused] = client.wire.take()
        assert is_overloaded(refused)
        assert hub.metric("realtime_quotes_shed_total") == 1
        hub.context.overload.level = Load.CALM
        hub.quotes.streams[0].deliver(quote(2))
        [push] = client.wire.take()
        assert isinstance(push, Push)
        assert push.type is PushType.QUOTE


@pytest.mark.parametrize(("level", "served"), [(Load.QUOTES, True), (Load.LOGINS, False)])
async def test_logins_are_refused_next(level: Load, served: bool) -> None:
    async with FakeHub().running() as hub:
        hub.context.overload.level = level
        client = hub.client()
        client.wire.take()
        client.send(RequestType.LOGIN, proof())
        await settle()
        [answer] = client.wire.take()
        assert is_overloaded(answer) is not served


async def test_replies_are_refused_last_and_payments_and_pings_never() -> None:
    async with FakeHub().running() as hub:
        client = await hub.session()
        client.wire.take()
        hub.context.overload.level = Load.REPLIES
        hub.auth.cold = frozenset({ALICE})
        client.send(RequestType.TRUST_GET, [ALICE])
        await settle()
        [refused] = client.wire.take()
        assert is_overloaded(refused)
        paid = await client.ask(RequestType.PAY, PayRequest(b"i" * 16, b"q" * 16, bytes(144), 1))
        assert isinstance(paid, PayReply)
        assert isinstance(await client.ask(RequestType.PING, PingRequest(1)), PingReply)


async def test_newcomers_are_turned_away_while_there_is_no_room() -> None:
    async with FakeHub().running() as hub:
        assert not hub.context.registry.is_full
        hub.context.registry.shed_connections = True
        assert hub.context.registry.is_full
