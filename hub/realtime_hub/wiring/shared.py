"""What the hubs of a fleet share lives in Redis; a hub alone keeps it in memory and in files."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from realtime_hub.adapters.key_files import read_fleet_key
from realtime_hub.adapters.memory_challenges import MemoryChallenges
from realtime_hub.adapters.memory_resumes import MemoryResumes
from realtime_hub.adapters.memory_trust import MemoryTrustCache, MemoryTrustLog
from realtime_hub.adapters.redis_challenges import RedisChallenges
from realtime_hub.adapters.redis_grants import RedisGrants
from realtime_hub.adapters.redis_resumes import RedisResumes
from realtime_hub.adapters.redis_servers import connect
from realtime_hub.adapters.redis_trust import RedisTrustLog
from realtime_hub.adapters.redis_trust_cache import RedisTrustCache
from realtime_hub.adapters.sqlite_grants import SqliteGrants
from realtime_hub.auth.challenges import ChallengeStore
from realtime_hub.auth.grant_store import GrantStore, GrantsUnavailable
from realtime_hub.auth.ports import LogUnavailable, TrustCache, TrustLog
from realtime_hub.chain.model import NodeUnavailable
from realtime_hub.chain.watcher import ChainWatcher
from realtime_hub.clock import Clock, Entropy
from realtime_hub.config import HubSettings, SettingsError
from realtime_hub.session.resume_store import ResumeStore, StoreUnavailable

GRANTS_FILE: Final = "grants.sqlite3"
FLEET_KEY_FILE: Final = "fleet.key"


@dataclass(frozen=True, slots=True)
class Shared:
    """What the hubs of a fleet have in common."""

    log: TrustLog
    cache: TrustCache
    challenges: ChallengeStore
    resumes: ResumeStore
    grants: GrantStore


def build_shared(
    settings: HubSettings,
    watcher: ChainWatcher,
    clock: Clock,
    entropy: Entropy,
    stack: AsyncExitStack,
) -> Shared:
    """What hubs share lives in Redis; a hub alone keeps it in memory, and grants in a file."""
    limits = settings.limits
    # A killed hub notes no departure: what is kept outlives the last pong by the time for a resume.
    keep_ms = limits.resume_within_ms + limits.ping_every_ms
    if settings.redis_url is None:
        cache = MemoryTrustCache()
        grants = SqliteGrants(settings.state / GRANTS_FILE, _network_id(watcher, GrantsUnavailable))
        stack.callback(grants.close_file)
        return Shared(
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
    key = read_fleet_key(settings.fleet_key_file or settings.state / FLEET_KEY_FILE, entropy)
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
    return Shared(log, shared, RedisChallenges(redis), resumes, granted)


def _network_id(watcher: ChainWatcher, unknown: type[Exception]) -> Callable[[], bytes]:
    """Return how a store learns the network's id; before that is known it raises *unknown*."""

    def network_id() -> bytes:
        try:
            return watcher.network_id
        except NodeUnavailable as error:
            raise unknown(str(error)) from error

    return network_id
