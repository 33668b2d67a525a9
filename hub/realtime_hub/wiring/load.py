"""Wires what this process measures of itself to what it refuses and to what it shows."""

import logging
import os
from collections import Counter as Tally
from typing import Final

from realtime_hub.adapters.process_limits import (
    memory_limit_bytes,
    raise_files_limit,
    resident_bytes,
)
from realtime_hub.config import HubSettings, SettingsError
from realtime_hub.metrics import Metrics
from realtime_hub.session.context import HubContext
from realtime_hub.session.load_watch import LoadWatch
from realtime_hub.session.outbox import Urgency
from realtime_hub.session.overload import Load
from realtime_hub.signatures import SignatureChecks

logger = logging.getLogger(__name__)

_MEBIBYTE: Final = 1 << 20


def connections_max(settings: HubSettings) -> int:
    """Return how many connections may be open: what is set, or what open files leave room for.

    The reserved files are for Redis, journals, nodes and the administrator: without them a hub that
    is full of clients could neither pay nor be looked at.
    """
    files_max = raise_files_limit()
    room = files_max - settings.files_reserved
    if room < 1:
        raise SettingsError(
            f"hub.files_reserved: {settings.files_reserved} of the {files_max} files that this "
            "process may open leave none for clients; raise the limit (ulimit -n)"
        )
    if room < settings.sessions_max:
        logger.warning(
            "%d connections at most, not %d: this process may open %d files (ulimit -n)",
            room,
            settings.sessions_max,
            files_max,
        )
    return min(room, settings.sessions_max)


def build_load_watch(
    settings: HubSettings, context: HubContext, signatures: SignatureChecks, metrics: Metrics
) -> LoadWatch:
    """Return what looks at the load; it refuses through the context's monitor."""
    monitor = context.overload
    memory_max = _memory_max_bytes(settings)

    def memory_percent() -> float:
        return 0.0 if memory_max is None else resident_bytes() * 100 / memory_max

    def on_level(level: Load) -> None:
        logger.warning("load: %s", level.name.lower())
        context.registry.shed_connections = level >= Load.REPLIES

    def report_queues() -> None:
        waiting: Tally[Urgency] = Tally()
        for session in context.registry.connections:
            if session.waits:
                waiting.update(session.queued_by_class())
        for urgency in Urgency:
            metrics.queued_bytes.labels(urgency.name.lower()).set(waiting[urgency])

    metrics.before_reading(report_queues)
    metrics.watch(
        "realtime_load_level",
        "0 calm, 1 quotes are refused, 2 logins too, 3 replies too",
        lambda: monitor.level,
    )
    return LoadWatch(
        monitor,
        context.clock,
        context.inputs,
        memory_percent=memory_percent,
        checks_percent=lambda: signatures.pending * 100 / settings.signature_checks_pending_max,
        on_lag=metrics.loop_lag_s.observe,
        on_level=on_level,
    )


def _memory_max_bytes(settings: HubSettings) -> int | None:
    if settings.memory_mib_max is not None:
        return settings.memory_mib_max * _MEBIBYTE
    limit = memory_limit_bytes()
    workers = settings.workers or len(os.sched_getaffinity(0))
    return None if limit is None else limit // workers
