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
from realtime_hub.adapters.key_files import SigningKeyFile, WatchedKeys, read_fleet_key
from realtime_hub.adapters.memory_catalog import MemoryCatalog
from realtime_hub.adapters.memory_challenges import MemoryChallenges
from realtime_hub.adapters.memory_resumes import MemoryResumes
from realtime_hub.adapters.memory_trust import MemoryTrustCache, MemoryTrustLog
from realtime_hub.adapters.networkx_catalog import read_catalog_file
from realtime_hub.adapters.qubic_node import NodeAddress, NodeSettings, QubicNodes
from realtime_hub.adapters.redis_challenges import RedisChallenges
from realtime_hub.adapters.redis_grants import RedisGrants
from realtime_hub.adapters.redis_resumes import RedisResumes
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.redis_trust import RedisTrustLog
from realtime_hub.adapters.redis_trust_cache import RedisTrustCache
from realtime_hub.adapters.sqlite_grants import SqliteGrants
from realtime_hub.adapters.sqlite_payment_file import SqlitePaymentFile
from realtime_hub.adapters.sqlite_trust import SqliteAdminJournal
from realtime_hub.app_wiring import build_apps
from realtime_hub.apps.service import Apps
from realtime_hub.auth.administration import Administration
from realtime_hub.auth.challenges import ChallengeStore
from realtime_hub.auth.decisions import Decisions
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.grant_store import GrantStore, GrantsUnavailable
from realtime_hub.auth.login import Logins
from realtime_hub.auth.model import TrustChange
from realtime_hub.auth.ports import LogUnavailable, TrustCache, TrustLog
from realtime_hub.auth.service import AuthService
from realtime_hub.auth.stewardship import StewardMemory, Stewardship
from realtime_hub.auth.trust import TrustBook, TrustLimits
from realtime_hub.chain.model import NodeUnavailable, ProcessedTick
from realtime_hub.chain.watcher import ChainWatcher, WatcherSettings
from realtime_hub.clock import Clock, Entropy
from realtime_hub.config import DEVNET_CHAIN, HubSettings, SettingsError
from realtime_hub.event_wiring import build_export, event_routes
from realtime_hub.export.service import EventExport
from realtime_hub.keys import Purpose
from realtime_hub.load_wiring import build_load_watch, connections_max
from realtime_hub.metrics import Metrics
from realtime_hub.owner_wiring import OwnerParts, build_ownership
from realtime_hub.pay.desk import PaymentDesk
from realtime_hub.pay.model import PaymentChange
from realtime_hub.pay.ownership import Ownership
from realtime_hub.readiness import Readiness, readiness_of
from realtime_hub.route.service import QuoteService
from realtime_hub.session.context import HubContext, SessionSettings, build_context
from realtime_hub.session.counters import SessionCounters
from realtime_hub.session.coverage import Coverage
from realtime_hub.session.directory import SessionDirectory
from realtime_hub.session.load_watch import LoadWatch
from realtime_hub.session.resume_store import ResumeStore, StoreUnavailable
from realtime_hub.signatures import SignatureChecks, measure_cost, warn_of_pure_python
from realtime_hub.surfaces.admin import AdminContext, build_admin_app
from realtime_hub.surfaces.app_admin import app_admin_routes
from realtime_hub.surfaces.coverage_admin import coverage_routes
from realtime_hub.surfaces.published_keys import key_routes
from realtime_hub.surfaces.rest import RestContext, build_rest_app
from realtime_hub.surfaces.trust_streams import TrustStreams, stream_routes
from realtime_hub.surfaces.ws.engine import SessionEngine
from realtime_hub.trust_sources import SourceParts, build_trust_source
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.limits import Limits, TokenBucket
from realtime_protocol.messages import Position, Quote, TrustStatus
from realtime_protocol.quote_signature import sign_quote
from realtime_protocol.schnorrq import IMPLEMENTATION, is_native

logger = logging.getLogger(__name__)

REST_ADDRESSES_MAX: Final = 65_536
_PAYMENTS_FILE: Final = "payments.sqlite3"
_GRANTS_FILE: Final = "grants.sqlite3"
_TRUST_FILE: Final = "trust.sqlite3"
_FLEET_KEY_FILE: Final = "fleet.key"
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


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the hubs of a fleet have in common."""

    log: TrustLog
    cache: TrustCache
    challenges: ChallengeStore
    resumes: ResumeStore
    grants: GrantStore


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
        shared = _build_shared(settings, watcher, clock, entropy, stack)
        log, cache, challenges, resumes = (
            shared.log,
            shared.cache,
            shared.challenges,
            shared.resumes,
        )
        delegation = Delegation(shared.grants, clock=clock, entropy=entropy)
        sources = build_trust_source(settings, watcher, clock, entropy, stack)
        admin_journal = SqliteAdminJournal(state / _TRUST_FILE, lambda: watcher.network_id)
        stack.callback(admin_journal.close_file)
        book = _build_book(settings, log, cache, sources, admin_journal, watcher, clock)
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
            challenges=challenges,
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
            settings,
            watcher,
            book,
            auth,
            quotes,
            signatures,
            desk,
            ownership,
            resumes,
            keys,
            [*sources.routes, *event_routes(settings, export)],
            export,
            build_apps(settings, clock, stack),
            clock,
            entropy,
            metrics,
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


def _build_shared(
    settings: HubSettings,
    watcher: ChainWatcher,
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
) -> _Shared:
    """What hubs share lives in Redis; a hub alone keeps it in memory, and grants in a file."""
    limits = _limits(settings)
    # A killed hub notes no departure: what is kept outlives the last pong by the time for a resume.
    keep_ms = limits.resume_within_ms + limits.ping_every_ms
    if settings.redis_url is None:
        cache = MemoryTrustCache()
        grants = SqliteGrants(
            settings.state / _GRANTS_FILE, _network_id(watcher, GrantsUnavailable)
        )
        stack.callback(grants.close_file)
        return _Shared(
            MemoryTrustLog(entropy, cache),
            cache,
            MemoryChallenges(clock),
            MemoryResumes(clock, keep_ms=keep_ms),
            grants,
        )
    try:
        redis = connect(settings.redis_url)
    except ValueError as error:
        raise SettingsError(f"hub.redis_url: {error}") from error
    stack.push_async_callback(redis.aclose)
    key = read_fleet_key(settings.fleet_key_file or settings.state / _FLEET_KEY_FILE, entropy)
    log = RedisTrustLog(
        redis,
        network_id=_network_id(watcher, LogUnavailable),
        fleet_key=key,
        clock=clock,
        entropy=entropy,
        wait_ready=watcher.wait_ready,
    )
    shared = RedisTrustCache(redis, _network_id(watcher, LogUnavailable), key)
    resumes = RedisResumes(
        redis,
        network_id=_network_id(watcher, StoreUnavailable),
        fleet_key=key,
        entropy=entropy,
        wait_ready=watcher.wait_ready,
        keep_ms=keep_ms,
        session_ms_max=settings.session_ttl_ms,
    )
    granted = RedisGrants(
        redis,
        network_id=_network_id(watcher, GrantsUnavailable),
        fleet_key=key,
        wait_ready=watcher.wait_ready,
    )
    return _Shared(log, shared, RedisChallenges(redis), resumes, granted)


def _network_id(watcher: ChainWatcher, unknown: type[Exception]) -> Callable[[], bytes]:
    """Return how a store learns the network's id; before that is known it raises *unknown*."""

    def network_id() -> bytes:
        try:
            return watcher.network_id
        except NodeUnavailable as error:
            raise unknown(str(error)) from error

    return network_id


def _build_book(
    settings: HubSettings,
    log: TrustLog,
    cache: TrustCache,
    sources: SourceParts,
    stewards: StewardMemory,
    watcher: ChainWatcher,
    clock: Clock,
) -> TrustBook:
    book = TrustBook(
        log=log,
        cache=cache,
        source=sources.source,
        clock=clock,
        stewardship=Stewardship(settings.admin_key, stewards),
        chain_trouble=sources.trouble,
        limits=TrustLimits(wallets_max=settings.trust_l1_wallets_max, ttl_ms=settings.trust_ttl_ms),
    )
    watcher.listeners.append(book.on_tick)
    return book


def _assemble(
    settings: HubSettings,
    watcher: ChainWatcher,
    book: TrustBook,
    auth: AuthService,
    quotes: QuoteService,
    signatures: SignatureChecks,
    payments: PaymentDesk,
    ownership: Ownership,
    resumes: ResumeStore,
    keys: WatchedKeys,
    further: Sequence[Route],
    export: EventExport,
    apps: Apps,
    clock: Clock,
    entropy: Entropy,
    metrics: Metrics,
) -> Hub:
    """Connect the parts to each other and to the surfaces."""
    decisions = Decisions(
        book=book,
        keys=lambda: keys.ring,
        clock=clock,
        fresh_ms=settings.decision_fresh_ms,
        stale_ms=settings.decision_stale_ms,
    )
    context = build_context(
        auth=auth,
        decisions=decisions,
        quotes=quotes,
        payments=payments,
        signatures=signatures,
        apps=apps,
        resume_store=resumes,
        clock=clock,
        entropy=entropy,
        settings=SessionSettings(
            uri=settings.uri,
            origins=settings.all_origins,
            domain_without_origin=settings.domain_without_origin,
            service_ttl_ms=settings.session_ttl_ms,
            connections_max=connections_max(settings),
        ),
        counters=SessionCounters(metrics),
        limits=_limits(settings),
    )
    engine = SessionEngine(context)
    _listen(context, watcher, auth, quotes, payments, export, metrics)
    book.doubt_listeners.append(context.fanout.begin_anew)
    streams = TrustStreams(auth, apps, clock)
    auth.listeners.append(streams.on_trust_change)
    book.doubt_listeners.append(streams.begin_anew)
    _watch(metrics, watcher, book, ownership, export, context.coverage)

    draining = context.draining

    def readiness() -> Readiness:
        return readiness_of(
            {
                "draining": lambda: "sessions are sent elsewhere" if draining.is_set() else None,
                "chain": lambda: watcher.trouble,
                "trust": lambda: book.trouble,
                "payments": lambda: payments.trouble,
            }
        )

    public_app = build_rest_app(
        RestContext(
            auth=auth,
            decisions=decisions,
            uri=settings.uri,
            domain_without_origin=settings.domain_without_origin,
            origins=settings.all_origins,
            apps=apps,
            readiness=readiness,
            admit=RestAdmission(clock, settings.requests_per_s, settings.requests_burst),
            further=[
                *key_routes(lambda: keys.ring, clock),
                *stream_routes(streams, apps),
                *further,
            ],
        )
    )
    admin_app = build_admin_app(
        AdminContext(
            trust=auth,
            metrics_text=metrics.exposition,
            sessions=SessionDirectory(context.registry),
            readiness=readiness,
            drain=draining.set,
            further=[
                *app_admin_routes(apps, apps.list_keys),
                *coverage_routes(context.coverage),
            ],
        )
    )
    return Hub(
        public_app=public_app,
        admin_app=admin_app,
        ws_protocol=engine.ws_protocol,
        engine=engine,
        watcher=watcher,
        book=book,
        auth=auth,
        quotes=quotes,
        ownership=ownership,
        draining=draining,
        load=build_load_watch(settings, context, signatures, metrics),
        keys=keys,
        export=export,
        apps=apps,
        streams=streams,
    )


def _limits(settings: HubSettings) -> Limits:
    return Limits(
        resume_within_ms=settings.resume_within_ms,
        requests_per_s=settings.requests_per_s,
        requests_burst=settings.requests_burst,
        requests_per_wallet_per_s=settings.requests_per_wallet_per_s or 3 * settings.requests_per_s,
        requests_per_ip_per_s=settings.requests_per_ip_per_s or 10 * settings.requests_per_s,
        upgrades_per_ip_per_s=settings.upgrades_per_ip_per_s,
        sessions_per_ip_max=settings.sessions_per_ip_max,
        sessions_per_wallet_max=settings.sessions_per_wallet_max,
    )


def _listen(
    context: HubContext,
    watcher: ChainWatcher,
    auth: AuthService,
    quotes: QuoteService,
    payments: PaymentDesk,
    export: EventExport,
    metrics: Metrics,
) -> None:
    """Money first: a blocked wallet's payments stop before its sessions are told."""

    def on_trust_change(change: TrustChange) -> None:
        wallet = PublicKey(change.body.wallet)
        if change.body.status is TrustStatus.BLOCKED:
            payments.block(wallet)
            auth.delegation.block(wallet, Position(auth.position().epoch, change.log_seq))
        else:
            payments.unblock(wallet)
        context.fanout.on_trust_change(change)
        metrics.trust_changes.labels("pending" if change.body.pending else "standing").inc()

    def on_payment_change(change: PaymentChange) -> None:
        context.fanout.on_payment_change(change)
        if change.status is not None:
            metrics.payments.labels(change.status.state.name.lower()).inc()

    def on_tick(processed: ProcessedTick) -> None:
        quotes.on_tick(watcher.current_tick)
        metrics.ticks.inc()

    auth.listeners.append(on_trust_change)
    if export.has_streams:
        auth.listeners.append(export.on_trust_change)
        context.revocation_listeners.append(export.on_session_revoked)
    payments.listeners.append(on_payment_change)
    payments.gap_listeners.append(context.fanout.on_payment_gap)
    watcher.listeners.append(on_tick)


def _watch(
    metrics: Metrics,
    watcher: ChainWatcher,
    book: TrustBook,
    ownership: Ownership,
    export: EventExport,
    coverage: Coverage,
) -> None:
    metrics.watch("realtime_chain_tick", "Newest tick seen", lambda: watcher.current_tick)
    metrics.watch("realtime_chain_frozen", "1: another network", lambda: watcher.frozen is not None)
    metrics.watch("realtime_backbone_ok", "1: trust is vouched for", lambda: book.backbone_ok)
    metrics.watch("realtime_trust_log_gaps", "Missed and read back", lambda: book.gaps)
    metrics.watch("realtime_trust_log_head", "Place in the log", lambda: book.position().offset)
    metrics.watch(
        "realtime_payments_owner",
        "1: this process writes the journals and broadcasts",
        lambda: ownership.fence is not None,
    )
    metrics.watch("realtime_payments_open", "Payments under way", lambda: ownership.open_count)
    metrics.watch("realtime_events_delivered", "Events taken", lambda: export.counts.delivered)
    metrics.watch("realtime_events_dropped", "Events lost", lambda: export.counts.dropped)
    metrics.watch("realtime_events_refused", "Events refused", lambda: export.counts.refused)
    metrics.watch(
        "realtime_revocations_waiting",
        "Revocations that sessions were sent and may not have seen: of each session each",
        lambda: coverage.waiting,
    )
    metrics.watch(
        "realtime_revocations_oldest_waiting_seconds",
        "For how long the oldest revocation that not all have seen has been on its way",
        lambda: coverage.oldest_waiting_ms / 1_000,
    )


class RestAdmission:
    """A rate for each address; the address that asked longest ago is forgotten at the bound."""

    def __init__(
        self, clock: Clock, per_s: int, burst: int, *, addresses_max: int = REST_ADDRESSES_MAX
    ) -> None:
        self._clock = clock
        self._per_s = per_s
        self._burst = burst
        self._addresses_max = addresses_max
        self._buckets: dict[str, TokenBucket] = {}

    def __call__(self, address: str) -> None:
        """Count one request; RequestError 106 at the limit."""
        now_s = self._clock.monotonic_s()
        bucket = self._buckets.pop(address, None)
        if bucket is None:
            bucket = TokenBucket(self._per_s, self._burst, now_s=now_s)
        self._buckets[address] = bucket
        if len(self._buckets) > self._addresses_max:
            del self._buckets[next(iter(self._buckets))]
        wait_ms = bucket.take(1, now_s=now_s)
        if wait_ms:
            raise RequestError(
                ErrorCode.RATE_LIMITED,
                f"over {self._per_s} requests a second from one address",
                retry_after_ms=wait_ms,
            )
