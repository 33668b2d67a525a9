"""The HTTP API's paths, as an ASGI application over :class:`HttpAnswers`."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from realtime_devnet.http_answers import ApiRefusal, HttpAnswers
from realtime_protocol.qubic import http_api as api
from realtime_protocol.qubic.http_api import ApiCode

BODY_BYTES_MAX: Final = 128 * 1024
_UINT32_DIGITS: Final = 10

_Asked = TypeVar("_Asked", bound=api.Shape)
_Handler = Callable[[Request], Awaitable[Response]]


def build_app(answers: HttpAnswers) -> Starlette:
    """Return the application: live, query and old paths."""
    live = _live_routes(answers)
    return Starlette(
        routes=[
            *_under("/live/v1", live),
            *_under("/query/v1", _query_routes(answers)),
            *_under("/v1", {**live, **_old_routes(answers)}),
            *_under("/v2", _old_v2_routes(answers)),
        ],
        # Web wallets ask the public API from any page; so may they here: nothing in it is secret.
        middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["*"])],
        exception_handlers={ApiRefusal: _refused, HTTPException: _no_such_path},
    )


_Routes = dict[str, tuple[str, _Handler]]


def _live_routes(answers: HttpAnswers) -> _Routes:
    return {
        "/tick-info": ("GET", _plain(answers.tick_info)),
        "/block-height": ("GET", _plain(answers.block_height)),
        "/balances/{identity}": ("GET", _named("identity", answers.balance)),
        "/broadcast-transaction": ("POST", _asked(api.BroadcastRequest, answers.broadcast)),
        "/querySmartContract": ("POST", _asked(api.ContractQuery, answers.query_contract)),
    }


def _query_routes(answers: HttpAnswers) -> _Routes:
    return {
        "/getLastProcessedTick": ("GET", _plain(answers.last_processed)),
        "/getProcessedTickIntervals": ("GET", _plain(answers.intervals)),
        "/getTransactionByHash": (
            "POST",
            _asked(api.TransactionQuery, answers.transaction_by_hash),
        ),
        "/getTransactionsForTick": ("POST", _asked(api.TickQuery, answers.transactions_for_tick)),
        "/getTickData": ("POST", _asked(api.TickQuery, answers.tick_data)),
    }


def _old_routes(answers: HttpAnswers) -> _Routes:
    return {
        "/latestTick": ("GET", _plain(answers.latest_tick)),
        "/status": ("GET", _plain(answers.status)),
        "/latest-stats": ("GET", _plain(answers.stats)),
        "/transactions/{id}": ("GET", _named("id", answers.old_transaction)),
        "/tx-status/{id}": ("GET", _named("id", answers.transaction_status)),
        "/ticks/{tick}/tick-data": ("GET", _numbered("tick", answers.old_tick_data)),
        "/ticks/{tick}/approved-transactions": (
            "GET",
            _numbered("tick", answers.approved_transactions),
        ),
        "/epochs/{epoch}/computors": ("GET", _numbered("epoch", answers.computors)),
    }


def _old_v2_routes(answers: HttpAnswers) -> _Routes:
    return {
        "/ticks/{tick}/transactions": ("GET", _numbered("tick", answers.old_transactions)),
    }


def _under(prefix: str, routes: _Routes) -> list[Route]:
    return [
        Route(prefix + path, handler, methods=[method])
        for path, (method, handler) in routes.items()
    ]


def _plain(answer: Callable[[], object]) -> _Handler:
    async def handle(request: Request) -> Response:
        return _json(answer())

    return handle


def _named(name: str, answer: Callable[[str], object]) -> _Handler:
    async def handle(request: Request) -> Response:
        return _json(answer(request.path_params[name]))

    return handle


def _numbered(name: str, answer: Callable[[int], object]) -> _Handler:
    async def handle(request: Request) -> Response:
        text: str = request.path_params[name]
        digits = text.isascii() and text.isdigit() and len(text) <= _UINT32_DIGITS
        if not digits or int(text) > 0xFFFF_FFFF:
            raise ApiRefusal(ApiCode.INVALID_ARGUMENT, f"{name} {text[:32]!r} is not a uint32")
        return _json(answer(int(text)))

    return handle


def _asked(shape: type[_Asked], answer: Callable[[_Asked], object]) -> _Handler:
    async def handle(request: Request) -> Response:
        body = await _body(request)
        try:
            # As the gateways do, "29" is taken for 29.
            asked = msgspec.json.decode(body, type=shape, strict=False)
        except msgspec.MsgspecError as error:
            raise ApiRefusal(ApiCode.INVALID_ARGUMENT, f"invalid request: {error}") from error
        return _json(answer(asked))

    return handle


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise ApiRefusal(ApiCode.INVALID_ARGUMENT, f"a body has at most {BODY_BYTES_MAX} bytes")
    return body


def _json(answer: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


def _error(code: ApiCode, message: str, status: int) -> Response:
    return _json(api.ApiError(int(code), message), status)


async def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, ApiRefusal)  # noqa: S101  (registered for it)
    return _error(refusal.code, refusal.message, refusal.code.http_status)


async def _no_such_path(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = ApiCode.NOT_FOUND if status == 404 else ApiCode.UNIMPLEMENTED
    return _error(code, f"{request.method} {request.url.path} is not served", status)
