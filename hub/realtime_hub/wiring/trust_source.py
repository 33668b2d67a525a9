"""Which source of trust a hub has, by its settings: the contract, a registry, or none."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from starlette.routing import Route

from realtime_hub.adapters.contract_trust import ContractCaller, ContractTrust
from realtime_hub.adapters.http_registry import HttpRegistry
from realtime_hub.adapters.qubic_http import QubicHttp
from realtime_hub.adapters.qubic_node import NodeAddress, NodeSettings, QubicNodes
from realtime_hub.adapters.sqlite_registry import REGISTRY_FILE, SqliteRegistry
from realtime_hub.auth.administration import AdminChain
from realtime_hub.auth.agreement import AgreeingSources
from realtime_hub.auth.ports import TrustSource
from realtime_hub.auth.succession import Succession
from realtime_hub.chain.model import NodeUnavailable, ProcessedTick
from realtime_hub.chain.second_opinion import SecondOpinion
from realtime_hub.chain.watcher import ChainWatcher
from realtime_hub.clock import Clock, Entropy
from realtime_hub.config import HubSettings, TrustSourceKind
from realtime_hub.surfaces.kept_registry import registry_route
from realtime_protocol.identity import PublicKey, contract_public_key
from realtime_protocol.registry import Registry, registry_key


@dataclass(frozen=True, slots=True)
class SourceParts:
    """A source of trust, and what else comes with it."""

    source: TrustSource | None
    orders: AdminChain
    """Where the administrator's orders go."""
    destination: Callable[[], PublicKey | None]
    """Which key they must name; None where this hub takes none."""
    trouble: Callable[[], str | None]
    """What stands in the source's way besides its own silence."""
    routes: Sequence[Route] = field(default=())


def build_trust_source(
    settings: HubSettings,
    watcher: ChainWatcher,
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
) -> SourceParts:
    """Make the source that the settings name; RegistryError for a registry that was tampered."""
    match settings.trust_kind:
        case TrustSourceKind.CONTRACT:
            return _contract(settings, watcher, clock, entropy, stack)
        case TrustSourceKind.REGISTRY:
            return _registry(settings, watcher, clock, stack)
    return SourceParts(None, _ChainOrders(watcher), lambda: None, lambda: None)


@dataclass(frozen=True, slots=True)
class _ChainOrders:
    """Orders to a contract travel as transactions."""

    watcher: ChainWatcher

    @property
    def current_tick(self) -> int:
        """The newest tick seen."""
        return self.watcher.current_tick

    @property
    def trouble(self) -> str | None:
        """Why the chain can't be vouched for now."""
        return self.watcher.trouble

    async def processed_tick(self, tick: int) -> ProcessedTick | None:
        """Return what a tick held; None while that isn't proven."""
        return await self.watcher.processed_tick(tick)

    async def broadcast(self, signed_tx: bytes) -> bool:
        """Hand a transaction to nodes; False when none took it."""
        try:
            await self.watcher.node.broadcast(signed_tx)
        except NodeUnavailable:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _RegistryOrders(_ChainOrders):
    """Orders to a registry of this hub become entries at once; ticks only limit their life."""

    registry: SqliteRegistry

    async def processed_tick(self, tick: int) -> ProcessedTick | None:
        """Return the orders for a tick that is past, as far as the registry took them."""
        info = self.watcher.tick_info
        if info is None or tick >= info.tick:
            return None
        return ProcessedTick(tick, info.epoch, self.registry.table.taken_for(tick))

    async def broadcast(self, signed_tx: bytes) -> bool:
        """Make an order part of the registry."""
        return await self.registry.append(signed_tx)


def _contract(
    settings: HubSettings,
    watcher: ChainWatcher,
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
) -> SourceParts:
    index = settings.turboauth_index
    if index is None:
        raise ValueError("the settings name no contract")
    callers = _contract_callers(settings, watcher, clock, entropy, stack)

    def source_of(contract_index: int) -> TrustSource:
        sources = [ContractTrust(caller, contract_index) for caller in callers]
        if len(sources) == 1:
            return sources[0]
        return AgreeingSources(sources, need=settings.sources_to_agree)

    succession = Succession(index, source_of)
    return SourceParts(
        source=succession,
        orders=_ChainOrders(watcher),
        destination=lambda: contract_public_key(succession.index),
        trouble=lambda: watcher.trouble,
    )


def _contract_callers(
    settings: HubSettings,
    watcher: ChainWatcher,
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
) -> list[ContractCaller]:
    """Return one for each source. A single one may move from node to node; several may not."""
    timeout_s = settings.node_timeout_ms / 1_000
    callers: list[ContractCaller] = []
    if settings.sources_to_agree == 1:
        callers.append(watcher.node)
    else:
        for address in settings.nodes:
            node = QubicNodes(
                [NodeAddress.parse(address)],
                clock,
                entropy,
                NodeSettings(request_timeout_s=timeout_s),
            )
            stack.callback(node.close)
            callers.append(SecondOpinion(node, lambda: watcher.record))
    for url in settings.contract_http_urls:
        api = QubicHttp(url, timeout_s=timeout_s)
        stack.push_async_callback(api.close)
        callers.append(api)
    return callers


def _registry(
    settings: HubSettings, watcher: ChainWatcher, clock: Clock, stack: AsyncExitStack
) -> SourceParts:
    first_admin = settings.admin_key
    if first_admin is None:
        raise ValueError("a registry needs an administrator")
    name = settings.registry_name

    def begin() -> Registry:
        return Registry(name, first_admin)

    if settings.registry_url is not None:
        timeout_s = settings.node_timeout_ms / 1_000
        followed = HttpRegistry(settings.registry_url, begin(), clock, timeout_s=timeout_s)
        stack.push_async_callback(followed.close)
        source = ContractTrust(followed, 0)
        return SourceParts(source, _ChainOrders(watcher), lambda: None, lambda: None)
    kept = SqliteRegistry(settings.state / REGISTRY_FILE, begin, clock)
    stack.callback(kept.close)
    return SourceParts(
        source=ContractTrust(kept, 0),
        orders=_RegistryOrders(watcher, kept),
        destination=lambda: registry_key(name),
        trouble=lambda: None,
        routes=(registry_route(kept),),
    )
