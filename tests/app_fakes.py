"""Apps whose store is a list, and signatures that are good when they say so."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from realtime_hub.apps.model import ApiKey, AppBlock, KeyScope, hash_token, make_token
from realtime_hub.apps.ports import StoreUnavailable
from realtime_hub.apps.service import Apps
from realtime_hub.clock import Clock
from realtime_protocol.identity import PublicKey

GOOD_SIGNATURE = b"\x01" * 64
SHOP = "shop"
SHOP_DOMAIN = "shop.example"
KEY_ID = "0badcafe"
TOKEN = make_token(KEY_ID, bytes(32))


class FakeSignatures:
    """Verdicts without a curve."""

    async def verify_all(self, items: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        return [signature == GOOD_SIGNATURE for _, _, signature in items]


@dataclass
class MemoryApps:
    """The store; a test may write to it as another process would."""

    kept_keys: dict[str, ApiKey] = field(default_factory=dict)
    kept_blocks: dict[tuple[str, PublicKey], AppBlock] = field(default_factory=dict)
    writes: int = 0
    failing: bool = False

    def version(self) -> int:
        if self.failing:
            raise StoreUnavailable("disk I/O error")
        return self.writes

    def keys(self) -> list[ApiKey]:
        return list(self.kept_keys.values())

    def blocks(self) -> list[AppBlock]:
        return list(self.kept_blocks.values())

    def put_block(self, block: AppBlock) -> None:
        self.writes += 1
        self.kept_blocks[block.app, block.wallet] = block

    def end_block(self, app: str, wallet: bytes, *, at_ms: int) -> bool:
        self.writes += 1
        held = self.kept_blocks.get((app, PublicKey(wallet)))
        if held is None or held.ended_ms is not None:
            return False
        ended = AppBlock(held.app, held.wallet, held.reason, held.at_ms, at_ms)
        self.kept_blocks[app, held.wallet] = ended
        return True


def api_key(
    key_id: str = KEY_ID,
    *,
    app: str = SHOP,
    token: str = TOKEN,
    scopes: frozenset[str] = frozenset(KeyScope),
    requests_per_s: int = 1_000,
    sessions_max: int = 2,
    expires_ms: int | None = None,
    revoked_ms: int | None = None,
) -> ApiKey:
    """Return a key as it is kept."""
    return ApiKey(
        key_id=key_id,
        app=app,
        token_hash=hash_token(token),
        scopes=scopes,
        requests_per_s=requests_per_s,
        sessions_max=sessions_max,
        created_ms=1,
        expires_ms=expires_ms,
        revoked_ms=revoked_ms,
    )


def fake_apps(clock: Clock, *keys: ApiKey) -> tuple[Apps, MemoryApps]:
    """Return one app, `shop`, with its store."""
    store = MemoryApps({key.key_id: key for key in keys or (api_key(),)})
    return Apps({SHOP: [SHOP_DOMAIN]}, store, clock), store
