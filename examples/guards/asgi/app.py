"""An API that lets wallets in: Starlette behind the guard, fed by the hub's pushes.

export HUB_URL=ws://127.0.0.1:8080/v1 REALTIME_API_KEY=rtk_...
uvicorn --app-dir examples/guards/asgi app:app
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from realtime_client.decision_keys import DecisionKeys
from realtime_client.guard import GuardedWallet, RealtimeGuard
from realtime_client.trust_feed import TrustFeed

HUB = os.environ.get("HUB_URL", "ws://127.0.0.1:8080/v1")
WEB = f"{'https' if HUB.startswith('wss') else 'http'}://{urlsplit(HUB).netloc}/api/v1"
feed = TrustFeed(HUB, os.environ["REALTIME_API_KEY"])
keys = DecisionKeys(WEB)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with keys, feed:
        yield


async def account(request: Request) -> JSONResponse:
    who: GuardedWallet = request.scope["realtime"]
    return JSONResponse({"wallet": who.identity, "score": who.state.score})


async def health(_request: Request) -> JSONResponse:
    return JSONResponse({"fresh": feed.is_fresh})


app = Starlette(
    routes=[Route("/account", account), Route("/health", health)],
    middleware=[
        Middleware(
            RealtimeGuard,
            feed=feed,
            keys=keys,
            audience="shop.example",
            score_min=30,
            open_paths=frozenset({"/health"}),
        )
    ],
    lifespan=lifespan,
)
