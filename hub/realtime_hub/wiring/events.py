"""Wires the export of security events: settings in, streams and their routes out."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from starlette.routing import Route

from realtime_hub.adapters.http_push import HttpReceiver
from realtime_hub.adapters.key_files import read_private
from realtime_hub.adapters.sqlite_events import SqliteEvents
from realtime_hub.clock import Clock, Entropy
from realtime_hub.config import EventStreamSettings, HubSettings, SettingsError
from realtime_hub.export.events import EVENT_TYPES
from realtime_hub.export.ports import QueueUnavailable
from realtime_hub.export.service import EventExport, Stream, TrustHistory
from realtime_hub.keys import KeyRing
from realtime_hub.surfaces.event_polls import PollContext, hash_token, poll_routes

TOKEN_LETTERS_MIN: Final = 16
_TOKEN_BYTES_MAX: Final = 4_096
_EVENTS_FILE: Final = "events.sqlite3"


def build_export(
    settings: HubSettings,
    history: TrustHistory,
    keys: Callable[[], KeyRing],
    leads: Callable[[], bool],
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
) -> EventExport:
    """Open the queues and make the streams; *stack* closes them.

    *leads*: whether this process is the one of those in its state folder that owns what they share.
    """
    queue = SqliteEvents(settings.state / _EVENTS_FILE, events_max=settings.events_waiting_max)
    stack.callback(queue.close_file)
    return EventExport(
        streams=[_build_stream(stream) for stream in settings.event_streams],
        queue=queue,
        history=history,
        keys=keys,
        clock=clock,
        entropy=entropy,
        issuer=settings.issuer,
        chain=settings.chain,
        leads=leads,
    )


def event_routes(settings: HubSettings, export: EventExport) -> Sequence[Route]:
    """Return what receivers may ask; nothing where there are none."""
    if not settings.event_streams:
        return ()
    tokens = {
        stream.name: hash_token(_read_token(stream.token_file))
        for stream in settings.event_streams
        if stream.push_url is None and stream.token_file is not None
    }
    return poll_routes(PollContext(export, tokens, settings.issuer, QueueUnavailable))


def _build_stream(settings: EventStreamSettings) -> Stream:
    token = None if settings.token_file is None else _read_token(settings.token_file)
    url = settings.push_url
    return Stream(
        name=settings.name,
        audience=settings.audience,
        event_types=frozenset(EVENT_TYPES[name] for name in settings.events),
        receiver=None if url is None else HttpReceiver(url, token),
    )


def _read_token(path: Path) -> str:
    token = read_private(path, bytes_max=_TOKEN_BYTES_MAX).decode("ascii", "replace").strip()
    if len(token) < TOKEN_LETTERS_MIN or not token.isascii() or not token.isprintable():
        raise SettingsError(
            f"{path} holds no token: it needs at least {TOKEN_LETTERS_MIN} printable letters"
        )
    return token
