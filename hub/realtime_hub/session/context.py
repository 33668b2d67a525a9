"""What every session of this process works with."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from realtime_hub.apps.service import Apps
from realtime_hub.clock import Clock, Entropy
from realtime_hub.session.counters import SessionCounters
from realtime_hub.session.coverage import Coverage
from realtime_hub.session.delegates import Delegates
from realtime_hub.session.fanout import Fanout
from realtime_hub.session.input_turns import InputTurns
from realtime_hub.session.overload import OverloadMonitor
from realtime_hub.session.ports import (
    SessionAuth,
    SessionDecisions,
    SessionPayments,
    SessionQuotes,
    SessionSignatures,
)
from realtime_hub.session.registry import SessionRegistry
from realtime_hub.session.resume_store import ResumeStore
from realtime_hub.session.resumes import Resumes
from realtime_hub.session.session import LiveSession
from realtime_hub.session.tasks import RequestTasks
from realtime_protocol.codes import CloseCode
from realtime_protocol.identity import PublicKey
from realtime_protocol.limits import Limits
from realtime_protocol.versions import SUBPROTOCOLS

BACKENDS_ONLY: Final = "backends.invalid"
"""Stands in the challenge where no wallet may log in; no page can have this host (RFC 2606)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """What an operator chooses for sessions, beside their limits."""

    uri: str
    """The URL that clients open, as it stands in the login text."""
    origins: Mapping[str, str]
    """Allowed Origin -> the domain that its users sign for."""
    domain_without_origin: str | None
    """The domain of native clients; None: they are not let in."""
    subprotocols: Sequence[str] = SUBPROTOCOLS
    """Those that are served, the best first."""
    connections_max: int = 20_000
    inbound_bytes_max: int = 64 * 1_048_576
    """Kept of messages that are not whole, of all connections; who adds beyond is closed 4004."""
    service_ttl_ms: int = 86_400_000
    """How long the session of a backend lives; it then connects anew."""
    goaway_min_ms: int = 100
    goaway_max_ms: int = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HubContext:
    """The services, and the parts that all sessions share. Made by `build_context`."""

    auth: SessionAuth
    decisions: SessionDecisions
    quotes: SessionQuotes
    payments: SessionPayments
    signatures: SessionSignatures
    apps: Apps
    coverage: Coverage
    clock: Clock
    entropy: Entropy
    settings: SessionSettings
    limits: Limits
    counters: SessionCounters
    registry: SessionRegistry[LiveSession]
    fanout: Fanout
    resumes: Resumes
    delegates: Delegates
    tasks: RequestTasks
    overload: OverloadMonitor
    inputs: InputTurns = field(default_factory=InputTurns)
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to send every session elsewhere while the process lives on."""
    revocation_listeners: list[Callable[[str, PublicKey, str], None]] = field(default_factory=list)
    """Called with sid, wallet and reason when a session is revoked whose wallet is not blocked."""

    @property
    def domain_without_origin(self) -> str | None:
        """The domain of clients without an Origin; None: they are not let in.

        Backends have none to name, so that where there are apps everybody gets as far as the login.
        """
        return self.settings.domain_without_origin or (BACKENDS_ONLY if self.apps.any else None)


def build_context(
    *,
    auth: SessionAuth,
    decisions: SessionDecisions,
    quotes: SessionQuotes,
    payments: SessionPayments,
    resume_store: ResumeStore,
    clock: Clock,
    entropy: Entropy,
    settings: SessionSettings,
    counters: SessionCounters,
    signatures: SessionSignatures,
    apps: Apps | None = None,
    limits: Limits | None = None,
) -> HubContext:
    """Put the shared parts beside the services."""
    limits = limits or Limits()
    registry: SessionRegistry[LiveSession] = SessionRegistry(
        limits, connections_max=settings.connections_max
    )

    coverage = Coverage(registry, clock)
    fanout = Fanout(registry, auth, payments, clock, counters, coverage)
    apps = apps or Apps({}, None, clock)
    apps.block_listeners.append(fanout.on_app_block)

    def end_services(key_id: str) -> None:
        for session in list(registry.connections):
            if session.seat is not None and session.seat.key.key_id == key_id:
                session.fail(CloseCode.SESSION_REVOKED)

    apps.key_listeners.append(end_services)

    def end_sessions(wallet: PublicKey, opened_until_ms: int) -> None:
        for session in registry.sessions_of(wallet):
            if session.opened_ms <= opened_until_ms:
                session.fail(CloseCode.SESSION_REVOKED)

    return HubContext(
        auth=auth,
        decisions=decisions,
        quotes=quotes,
        payments=payments,
        signatures=signatures,
        apps=apps,
        coverage=coverage,
        clock=clock,
        entropy=entropy,
        settings=settings,
        limits=limits,
        counters=counters,
        registry=registry,
        fanout=fanout,
        resumes=Resumes(
            resume_store,
            clock=clock,
            entropy=entropy,
            within_ms=limits.resume_within_ms,
            position=auth.position,
            end_sessions=end_sessions,
        ),
        delegates=Delegates(auth.delegation),
        tasks=RequestTasks(),
        overload=OverloadMonitor(),
    )
