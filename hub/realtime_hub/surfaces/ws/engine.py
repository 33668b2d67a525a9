"""All that keeps sessions going in one process."""

import asyncio

from realtime_hub.session.context import HubContext
from realtime_hub.session.draining import drain_sessions
from realtime_hub.session.housekeeping import Housekeeping
from realtime_hub.surfaces.dispatch import Dispatcher
from realtime_hub.surfaces.ws.asgi import AsgiEndpoint
from realtime_hub.surfaces.ws.transport import make_ws_protocol


class SessionEngine:
    """Give :attr:`ws_protocol` to uvicorn as ``ws=`` and run :meth:`run` beside the server.

    Where the server is another one, mount :attr:`asgi_endpoint`, which is slower, instead.
    The context's fan-out must be listening by then: `Fanout.on_trust_change` to trust,
    `Fanout.on_payment_change` to payments.
    """

    def __init__(self, context: HubContext) -> None:
        self._context = context
        self._housekeeping = Housekeeping(context.registry, context.fanout, context.clock)
        serve = Dispatcher(context).serve
        self.ws_protocol: type[asyncio.Protocol] = make_ws_protocol(context, serve)
        self.asgi_endpoint = AsgiEndpoint(context, serve)

    async def drain(self) -> None:
        """Let nobody in any more and send everybody elsewhere, in small turns."""
        await drain_sessions(self._context.registry, self._context.clock)

    async def run(self) -> None:
        """Own every task of every session until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._context.tasks.run())
            group.create_task(self._context.fanout.run())
            group.create_task(self._context.resumes.run())
            group.create_task(self._context.delegates.run())
            group.create_task(self._housekeeping.run())
