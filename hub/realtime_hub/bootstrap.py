"""The only place that picks concrete classes: settings in, a hub out."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from starlette.routing import Route

from realtime_hub.adapters.chain_route_health import ChainRouteHealth
from realtime_hub.adapters.file_audit import FileAudit
from realtime_hub.adapters.key_files import SigningKeyFile, WatchedKeys
from realtime_hub.adapters.memory_catalog import MemoryCatalog
from realtime_hub.adapters.networkx_catalog import read_catalog_file
from realtime_hub.adapters.qubic_node import NodeAddress, NodeSettings, QubicNodes
from realtime_hub.adapters.sqlite_payment_file import SqlitePaymentFile
from realtime_hub.adapters.sqlite_trust import SqliteAdminJournal
from realtime_hub.apps.service import Apps
from realtime_hub.auth.administration import Administration
from realtime_hub.auth.decisions import Decisions
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.login import Logins
from realtime_hub.auth.model import TrustChange
from realtime_hub.auth.service import AuthService
from realtime_hub.auth.stewardship import StewardMemory, Stewardship
from realtime_hub.auth.trust import TrustBook, TrustLimits
from realtime_hub.chain.model import ProcessedTick
from realtime_hub.chain.watcher import ChainWatcher, WatcherSettings
from realtime_hub.clock import Clock, Entropy
from realtime_hub.config import DEVNET_CHAIN, HubSettings
from realtime_hub.export.service import EventExport
from realtime_hub.keys import Purpose
from realtime_hub.metrics import Metrics
from realtime_hub.pay.desk import PaymentDesk
from realtime_hub.pay.model import PaymentChange
from realtime_hub.pay.ownership import Ownership
from realtime_hub.readiness import Readiness, readiness_of
from realtime_hub.route.service import QuoteService
from realtime_hub.session.context import HubContext, SessionSettings, build_context
from realtime_hub.session.counters import SessionCounters
from realtime_hub.session.directory import SessionDirectory
from realtime_hub.session.load_watch import LoadWatch
from realtime_hub.session.resume_store import ResumeStore
from realtime_hub.signatures import SignatureChecks, measure_cost, warn_of_pure_python
from realtime_hub.surfaces.admin import AdminContext, build_admin_app
from realtime_hub.surfaces.app_admin import app_admin_routes
from realtime_hub.surfaces.coverage_admin import coverage_routes
from realtime_hub.surfaces.published_keys import key_routes
from realtime_hub.surfaces.rest import RestContext, build_rest_app
from realtime_hub.surfaces.rest_admission import RestAdmission
from realtime_hub.surfaces.trust_streams import TrustStreams, stream_routes
from realtime_hub.surfaces.ws.engine import SessionEngine
from realtime_hub.wiring.apps import build_apps
from realtime_hub.wiring.events import build_export, event_routes
from realtime_hub.wiring.figures import show_figures
from realtime_hub.wiring.load import build_load_watch, connections_max
from realtime_hub.wiring.owner import OwnerParts, build_ownership
from realtime_hub.wiring.shared import Shared, build_shared
from realtime_hub.wiring.trust_source import SourceParts, build_trust_source
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import Position, Quote, TrustStatus
from realtime_protocol.quote_signature import sign_quote
from realtime_protocol.schnorrq import IMPLEMENTATION, is_native

logger = logging.getLogger(__name__)

_PAYMENTS_FILE: Final = "payments.sqlite3"
_TRUST_FILE: Final = "trust.sqlite3"
_KEYS_REFRESH_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """A wired hub: what the ports serve, and what runs behind them."""

    public_app: Any
    admin_app: Any
    ws_protocol: type[asyncio.Protocol]
    engine: SessionEngine
    watcher: ChainWatcher
    book: TrustBook
    auth: AuthService
    quotes: QuoteService
    ownership: Ownership
    draining: asyncio.Event
    """Set it to send every session elsewhere while the process lives on."""
    load: LoadWatch
    keys: WatchedKeys
    export: EventExport
    apps: Apps
    streams: TrustStreams

    async def run(self) -> None:
        """Own every long-running part until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watcher.run(), name="chain")
            group.create_task(self.book.run(), name="trust")
            group.create_task(self.quotes.run(), name="quotes")
            group.create_task(self.ownership.run(), name="payments")
            group.create_task(self.engine.run(), name="sessions")
            group.create_task(self.load.run(), name="load")
            group.create_task(self.auth.delegation.run(), name="granted keys")
            group.create_task(self._follow_keys(), name="signing keys")
            group.create_task(self._drain_when_told(), name="draining")
            group.create_task(self.export.run(), name="security events")
            group.create_task(self.apps.run(), name="apps")

    async def _follow_keys(self) -> None:
        while True:
            await asyncio.sleep(_KEYS_REFRESH_S)
            self.keys.refresh()

    async def _drain_when_told(self) -> None:
        await self.draining.wait()
        await self.drain()

    async def drain(self) -> None:
        """Send every session elsewhere, and let another process own the payments."""
        self.streams.stop()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ownership.retire())
            group.create_task(self.engine.drain())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a hub is assembled from."""

    settings: HubSettings
    clock: Clock
    entropy: Entropy
    metrics: Metrics
    keys: WatchedKeys
    watcher: ChainWatcher
    signatures: SignatureChecks
    book: TrustBook
    auth: AuthService
    quotes: QuoteService
    payments: PaymentDesk
    ownership: Ownership
    resumes: ResumeStore
    export: EventExport
    apps: Apps
    further: Sequence[Route]
    """Routes of the public port that come with the source of trust and with the export."""


@asynccontextmanager
async def build_hub(
    settings: HubSettings, clock: Clock, entropy: Entropy, metrics: Metrics
) -> AsyncIterator[Hub]:
    """Open files and connections, wire the parts; leaving closes them again."""
    state = settings.state
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as stack:
        keys = WatchedKeys(
            SigningKeyFile(settings.signing_keys_path, settings.key_overlap_ms), clock, entropy
        )
        file = SqlitePaymentFile.open(state / _PAYMENTS_FILE, shared=settings.redis_url is not None)
        stack.callback(file.close)
        watcher = _build_watcher(settings, file, clock, entropy, stack)
        signatures = _build_signatures(settings, clock, metrics)
        stack.callback(signatures.close)
        shared = build_shared(settings, watcher, clock, entropy, stack)
        delegation = Delegation(shared.grants, clock=clock, entropy=entropy)
        sources = build_trust_source(settings, watcher, clock, entropy, stack)
        admin_journal = SqliteAdminJournal(state / _TRUST_FILE, lambda: watcher.network_id)
        stack.callback(admin_journal.close_file)
        book = _build_book(settings, shared, sources, admin_journal, watcher, clock)
        administration = Administration(
            journal=admin_journal,
            book=book,
            chain=sources.orders,
            verifier=signatures,
            destination=sources.destination,
            audit=FileAudit(state, clock, entropy),
        )
        book.reset_listeners.append(administration.on_log_reset)
        desk = PaymentDesk()
        auth = AuthService(
            logins=Logins(
                verifier=signatures,
                clock=clock,
                entropy=entropy,
                chain=settings.chain,
                session_ttl_ms=settings.session_ttl_ms,
                grants=delegation,
            ),
            book=book,
            orders=desk,
            challenges=shared.challenges,
            clock=clock,
            entropy=entropy,
            delegation=delegation,
            login_when_unavailable=settings.login_when_unavailable == "observe",
        )
        quotes = QuoteService(
            MemoryCatalog(
                read_catalog_file(settings.catalog_file) if settings.catalog_file else ()
            ),
            ChainRouteHealth(
                tick_duration_ms=lambda: watcher.tick_ms, tick_offset=settings.tick_offset
            ),
            entropy,
            lambda: watcher.current_tick,
            sign=_quote_signer(keys, clock) if settings.sign_quotes else None,
        )
        ownership = build_ownership(
            OwnerParts(
                settings=settings,
                file=file,
                watcher=watcher,
                administration=administration,
                trust=auth,
                quotes=quotes,
                signatures=signatures,
                clock=clock,
                entropy=entropy,
            ),
            desk,
            stack,
        )
        watcher.listeners.append(administration.on_tick)
        export = build_export(
            settings,
            book,
            lambda: keys.ring,
            lambda: ownership.fence is not None,
            clock,
            entropy,
            stack,
        )
        yield _assemble(
            _Parts(
                settings=settings,
                clock=clock,
                entropy=entropy,
                metrics=metrics,
                keys=keys,
                watcher=watcher,
                signatures=signatures,
                book=book,
                auth=auth,
                quotes=quotes,
                payments=desk,
                ownership=ownership,
                resumes=shared.resumes,
                export=export,
                apps=build_apps(settings, clock, stack),
                further=[*sources.routes, *event_routes(settings, export)],
            )
        )


def _build_signatures(settings: HubSettings, clock: Clock, metrics: Metrics) -> SignatureChecks:
    cost = measure_cost(clock.monotonic_s)
    logger.info("signatures: %s, %.1f us a check here", IMPLEMENTATION, cost.check_ns / 1_000)
    if not is_native():
        logger.warning(warn_of_pure_python(cost))
    signatures = SignatureChecks(
        pending_max=settings.signature_checks_pending_max, cost=cost, metrics=metrics
    )
    metrics.watch(
        "realtime_signature_checks_pending",
        "Signature checks that wait or run",
        lambda: signatures.pending,
    )
    return signatures


def _quote_signer(keys: WatchedKeys, clock: Clock) -> Callable[[Quote], Quote]:
    def sign(quote: Quote) -> Quote:
        key = keys.ring.signing(Purpose.QUOTE, clock.now_ms())
        return sign_quote(key.seed, quote)

    return sign


def _build_watcher(
    settings: HubSettings,
    file: SqlitePaymentFile,
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
) -> ChainWatcher:
    on_devnet = settings.chain == DEVNET_CHAIN
    nodes = QubicNodes(
        [NodeAddress.parse(address) for address in settings.nodes],
        clock,
        entropy,
        NodeSettings(
            request_timeout_s=settings.node_timeout_ms / 1_000, empty_proofs=1 if on_devnet else 2
        ),
    )
    stack.callback(nodes.close)
    return ChainWatcher(
        nodes, file, clock, WatcherSettings(chain=settings.chain, resets_expected=on_devnet)
    )


def _build_book(
    settings: HubSettings,
    shared: Shared,
    sources: SourceParts,
    stewards: StewardMemory,
    watcher: ChainWatcher,
    clock: Clock,
) -> TrustBook:
    book = TrustBook(
        log=shared.log,
        cache=shared.cache,
        source=sources.source,
        clock=clock,
        stewardship=Stewardship(settings.admin_key, stewards),
        chain_trouble=sources.trouble,
        limits=TrustLimits(wallets_max=settings.trust_l1_wallets_max, ttl_ms=settings.trust_ttl_ms),
    )
    watcher.listeners.append(book.on_tick)
    return book


def _assemble(parts: _Parts) -> Hub:
    """Connect the parts to each other and to the surfaces."""
    decisions = Decisions(
        book=parts.book,
        keys=lambda: parts.keys.ring,
        clock=parts.clock,
        fresh_ms=parts.settings.decision_fresh_ms,
        stale_ms=parts.settings.decision_stale_ms,
    )
    context = build_context(
        auth=parts.auth,
        decisions=decisions,
        quotes=parts.quotes,
        payments=parts.payments,
        signatures=parts.signatures,
        apps=parts.apps,
        resume_store=parts.resumes,
        clock=parts.clock,
        entropy=parts.entropy,
        settings=SessionSettings(
            uri=parts.settings.uri,
            origins=parts.settings.all_origins,
            domain_without_origin=parts.settings.domain_without_origin,
            service_ttl_ms=parts.settings.session_ttl_ms,
            subprotocols=parts.settings.subprotocols,
            connections_max=connections_max(parts.settings),
        ),
        counters=SessionCounters(parts.metrics),
        limits=parts.settings.limits,
    )
    engine = SessionEngine(context)
    _listen(parts, context)
    parts.book.doubt_listeners.append(context.fanout.begin_anew)
    streams = TrustStreams(parts.auth, parts.apps, parts.clock)
    parts.auth.listeners.append(streams.on_trust_change)
    parts.book.doubt_listeners.append(streams.begin_anew)
    show_figures(
        parts.metrics, parts.watcher, parts.book, parts.ownership, parts.export, context.coverage
    )

    draining = context.draining

    def readiness() -> Readiness:
        return readiness_of(
            {
                "draining": lambda: "sessions are sent elsewhere" if draining.is_set() else None,
                "chain": lambda: parts.watcher.trouble,
                "trust": lambda: parts.book.trouble,
                "payments": lambda: parts.payments.trouble,
            }
        )

    public_app = build_rest_app(
        RestContext(
            auth=parts.auth,
            decisions=decisions,
            grants=parts.auth.delegation,
            uri=parts.settings.uri,
            domain_without_origin=parts.settings.domain_without_origin,
            origins=parts.settings.all_origins,
            apps=parts.apps,
            readiness=readiness,
            admit=RestAdmission(
                parts.clock, parts.settings.requests_per_s, parts.settings.requests_burst
            ),
            further=[
                *key_routes(lambda: parts.keys.ring, parts.clock),
                *stream_routes(streams, parts.apps),
                *parts.further,
            ],
        )
    )
    admin_app = build_admin_app(
        AdminContext(
            trust=parts.auth,
            metrics_text=parts.metrics.exposition,
            sessions=SessionDirectory(context.registry, parts.clock),
            readiness=readiness,
            drain=draining.set,
            further=[
                *app_admin_routes(parts.apps, parts.apps.list_keys),
                *coverage_routes(context.coverage),
            ],
        )
    )
    return Hub(
        public_app=public_app,
        admin_app=admin_app,
        ws_protocol=engine.ws_protocol,
        engine=engine,
        watcher=parts.watcher,
        book=parts.book,
        auth=parts.auth,
        quotes=parts.quotes,
        ownership=parts.ownership,
        draining=draining,
        load=build_load_watch(parts.settings, context, parts.signatures, parts.metrics),
        keys=parts.keys,
        export=parts.export,
        apps=parts.apps,
        streams=streams,
    )


def _listen(parts: _Parts, context: HubContext) -> None:
    """Money first: a blocked wallet's payments stop before its sessions are told."""

    def on_trust_change(change: TrustChange) -> None:
        wallet = PublicKey(change.body.wallet)
        if change.body.status is TrustStatus.BLOCKED:
            parts.payments.block(wallet)
            parts.auth.delegation.block(
                wallet, Position(parts.auth.position().epoch, change.log_seq)
            )
        else:
            parts.payments.unblock(wallet)
        context.fanout.on_trust_change(change)
        parts.metrics.trust_changes.labels("pending" if change.body.pending else "standing").inc()

    def on_payment_change(change: PaymentChange) -> None:
        context.fanout.on_payment_change(change)
        if change.status is not None:
            parts.metrics.payments.labels(change.status.state.name.lower()).inc()

    def on_tick(processed: ProcessedTick) -> None:
        parts.quotes.on_tick(parts.watcher.current_tick)
        parts.metrics.ticks.inc()

    parts.auth.listeners.append(on_trust_change)
    if parts.export.has_streams:
        parts.auth.listeners.append(parts.export.on_trust_change)
        context.revocation_listeners.append(parts.export.on_session_revoked)
    parts.payments.listeners.append(on_payment_change)
    parts.payments.gap_listeners.append(context.fanout.on_payment_gap)
    parts.watcher.listeners.append(on_tick)
