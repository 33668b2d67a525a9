"""Which app a session belongs to, which keys are good, how much each may ask for."""

import asyncio
import hmac
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from realtime_hub.apps.model import ApiKey, App, AppBlock, KeyScope, hash_token, key_id_of
from realtime_hub.apps.ports import AppStore, StoreUnavailable
from realtime_hub.clock import Clock
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.limits import TokenBucket

logger = logging.getLogger(__name__)

REREAD_S: Final = 0.1
"""How soon a running hub takes up what another process wrote."""
REREAD_AGAIN_S: Final = 1.0
SESSIONS_RETRY_MS: Final = 1_000
BURST_S: Final = 2
"""A key's burst: what it may ask for in so many seconds."""
_NOBODY: Final = bytes(32)

BlockListener = Callable[[App, PublicKey, bool], None]
"""Called with the app, the wallet, and whether it is blocked from now on."""


class Apps:
    """The apps of one hub process. One owner runs :meth:`run`; everything else is synchronous."""

    def __init__(
        self, domains: Mapping[str, Sequence[str]], store: AppStore | None, clock: Clock
    ) -> None:
        """*domains*: those of each app, by its name. Without apps there is no store."""
        self.block_listeners: list[BlockListener] = []
        self.key_listeners: list[Callable[[str], None]] = []
        """Called with the id of a key that may be used no longer."""
        self._store = store
        self._clock = clock
        self._apps = {name: App(name, held) for name, held in domains.items()}
        self._by_domain = {domain: app for app in self._apps.values() for domain in app.domains}
        self._keys: dict[str, ApiKey] = {}
        self._rates: dict[str, TokenBucket] = {}
        self._sessions: Counter[str] = Counter()
        self._version = 0
        self.reread()

    @property
    def any(self) -> bool:
        """Whether this hub serves apps at all."""
        return bool(self._apps)

    def all(self) -> Sequence[App]:
        """Return every app."""
        return list(self._apps.values())

    def named(self, name: str) -> App | None:
        """Return an app; None when the settings don't list it."""
        return self._apps.get(name)

    def of_domain(self, domain: str) -> App | None:
        """Return the app whose users sign for *domain*; None: it belongs to the hub itself."""
        return self._by_domain.get(domain)

    def list_keys(self) -> Sequence[ApiKey]:
        """Return every key as the store has it, those included that are not good any more."""
        return [] if self._store is None else self._store.keys()

    # Keys -----------------------------------------------------------------------------------

    def authenticate(self, token: str, scope: KeyScope) -> tuple[ApiKey, App]:
        """Return the key and its app; RequestError 101 for a bad key, 102 without the scope."""
        key = self._keys.get(key_id_of(token) or "")
        expected = _NOBODY if key is None else key.token_hash
        proven = hmac.compare_digest(hash_token(token), expected)
        app = None if key is None else self._apps.get(key.app)
        if not proven or key is None or app is None or not key.is_good(self._clock.now_ms()):
            raise RequestError(
                ErrorCode.NOT_AUTHENTICATED,
                "the API key is unknown, expired or revoked; see realtime apps key list",
            )
        if scope not in key.scopes:
            raise RequestError(
                ErrorCode.FORBIDDEN_SCOPE,
                f"API key {key.key_id} lacks scope {scope}; add one: realtime apps key add",
            )
        return key, app

    def rate_of(self, key: ApiKey) -> TokenBucket:
        """Return the one bucket from which everybody with this key takes in this process."""
        rate = self._rates.get(key.key_id)
        if rate is None:
            rate = self._rates[key.key_id] = TokenBucket(
                key.requests_per_s,
                BURST_S * key.requests_per_s,
                now_s=self._clock.monotonic_s(),
            )
        return rate

    def take(self, key: ApiKey) -> None:
        """Count one request; RequestError 106 above the key's rate."""
        wait_ms = self.rate_of(key).take(1, self._clock.monotonic_s())
        if wait_ms:
            raise RequestError(
                ErrorCode.RATE_LIMITED,
                f"over {key.requests_per_s} requests a second with API key {key.key_id}",
                retry_after_ms=wait_ms,
            )

    def enter(self, key: ApiKey) -> None:
        """Count a session or stream in; RequestError 106 when the key has as many as it may."""
        if self._sessions[key.key_id] >= key.sessions_max:
            raise RequestError(
                ErrorCode.RATE_LIMITED,
                f"API key {key.key_id} has {key.sessions_max} sessions here; close one",
                retry_after_ms=SESSIONS_RETRY_MS,
            )
        self._sessions[key.key_id] += 1

    def leave(self, key: ApiKey) -> None:
        """Count it out again."""
        self._sessions[key.key_id] -= 1
        if not self._sessions[key.key_id]:
            del self._sessions[key.key_id]

    # Blocks ---------------------------------------------------------------------------------

    def block(self, app: App, wallet: PublicKey, *, reason: int) -> None:
        """Let an app refuse a wallet, at once; ValueError when its list is full."""
        self._require_store().put_block(AppBlock(app.name, wallet, reason, self._clock.now_ms()))
        self.reread()

    def unblock(self, app: App, wallet: PublicKey) -> bool:
        """Take a wallet off an app's list, at once; False when it wasn't on it."""
        ended = self._require_store().end_block(app.name, wallet, at_ms=self._clock.now_ms())
        self.reread()
        return ended

    # Following the store --------------------------------------------------------------------

    async def run(self) -> None:
        """Take up what others write, until cancelled."""
        while True:
            await asyncio.sleep(REREAD_S)
            try:
                self.follow()
            except StoreUnavailable as error:
                logger.warning(
                    "keys and lists of apps can't be read; the last ones stand: %s", error
                )
                await asyncio.sleep(REREAD_AGAIN_S)

    def follow(self) -> None:
        """Take up what another process wrote, and let go of keys whose time is over."""
        store = self._store
        if store is not None and store.version() != self._version:
            self.reread()
        now_ms = self._clock.now_ms()
        for key_id in [held.key_id for held in self._keys.values() if not held.is_good(now_ms)]:
            self._let_go(key_id)

    def reread(self) -> None:
        """Read keys and lists again, and tell listeners what changed."""
        if self._store is None:
            return
        self._version = self._store.version()
        now_ms = self._clock.now_ms()
        held = list(self._store.keys())
        good = {key.key_id: key for key in held if key.is_good(now_ms)}
        gone = self._keys.keys() - good.keys()
        for key_id in gone:
            self._let_go(key_id)
        for key in good.values():
            if self._keys.get(key.key_id) != key:
                self._rates.pop(key.key_id, None)
        self._keys = good
        lists: dict[str, list[AppBlock]] = {name: [] for name in self._apps}
        for block in self._store.blocks():
            if block.app in lists:
                lists[block.app].append(block)
        for name, blocks in lists.items():
            self._replace_list(self._apps[name], blocks)

    def _replace_list(self, app: App, blocks: Sequence[AppBlock]) -> None:
        blocked = {block.wallet: block for block in blocks if block.ended_ms is None}
        before, app.blocked = app.blocked, blocked
        app.ended = frozenset(block.wallet for block in blocks if block.ended_ms is not None)
        for wallet in blocked.keys() - before.keys():
            self._tell(app, wallet, blocked=True)
        for wallet in before.keys() - blocked.keys():
            self._tell(app, wallet, blocked=False)

    def _tell(self, app: App, wallet: PublicKey, *, blocked: bool) -> None:
        for listener in self.block_listeners:
            listener(app, wallet, blocked)

    def _let_go(self, key_id: str) -> None:
        self._keys.pop(key_id, None)
        self._rates.pop(key_id, None)
        for listener in self.key_listeners:
            listener(key_id)

    def _require_store(self) -> AppStore:
        if self._store is None:
            raise ValueError("this hub serves no apps; list them as [[hub.apps]]")
        return self._store
