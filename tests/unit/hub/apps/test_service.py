"""Apps: whose a domain is, which keys are good, what each may ask for."""

import asyncio

import pytest

from app_fakes import KEY_ID, SHOP, SHOP_DOMAIN, TOKEN, api_key, fake_apps
from fakes import FakeClock
from realtime_hub.apps import service
from realtime_hub.apps.model import ApiKey, App, KeyScope, hash_token, key_id_of, make_token
from realtime_hub.apps.service import Apps
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey

ALICE = PublicKey(b"\x0a" * 32)


def test_a_token_holds_its_keys_id_and_nothing_else_passes_for_one() -> None:
    assert key_id_of(make_token("00c0ffee", bytes(range(32)))) == "00c0ffee"
    for text in ("", "rtk_", TOKEN[:-1], TOKEN + "A", TOKEN.upper(), TOKEN + "\n"):
        assert key_id_of(text) is None


def test_what_is_kept_of_a_token_shows_nowhere() -> None:
    assert "hash" not in repr(api_key())
    assert hash_token(TOKEN).hex() not in repr(api_key())


def test_a_secret_has_at_least_128_bits() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        make_token(KEY_ID, bytes(16))


def test_a_domain_belongs_to_one_app_or_to_the_hub() -> None:
    apps, _ = fake_apps(FakeClock())
    app = apps.of_domain(SHOP_DOMAIN)
    assert app is not None
    assert app.name == SHOP
    assert apps.of_domain("other.example") is None


@pytest.mark.parametrize(
    ("key", "token"),
    [
        (api_key(), make_token(KEY_ID, b"\x01" * 32)),
        (api_key(), make_token("ffffffff", bytes(32))),
        (api_key(revoked_ms=1), TOKEN),
        (api_key(expires_ms=1), TOKEN),
        (api_key(app="gone-from-the-settings"), TOKEN),
    ],
)
def test_wrong_unknown_revoked_expired_and_orphaned_keys_look_alike(
    key: ApiKey, token: str
) -> None:
    apps, _ = fake_apps(FakeClock(), key)
    with pytest.raises(RequestError) as refused:
        apps.authenticate(token, KeyScope.REST)
    assert refused.value.code is ErrorCode.NOT_AUTHENTICATED
    assert refused.value.message.startswith("the API key is unknown, expired or revoked")


def test_a_key_runs_out_while_the_hub_runs() -> None:
    clock = FakeClock()
    apps, _ = fake_apps(clock, api_key(expires_ms=clock.now_ms() + 10))
    gone: list[str] = []
    apps.key_listeners.append(gone.append)
    apps.authenticate(TOKEN, KeyScope.REST)
    clock.advance_ms(10)
    with pytest.raises(RequestError):
        apps.authenticate(TOKEN, KeyScope.REST)
    apps.follow()
    assert gone == [KEY_ID]


def test_a_key_has_a_rate_and_a_burst_of_two_seconds() -> None:
    clock = FakeClock()
    apps, _ = fake_apps(clock, api_key(requests_per_s=3))
    key, _ = apps.authenticate(TOKEN, KeyScope.REST)
    for _ in range(6):
        apps.take(key)
    with pytest.raises(RequestError) as refused:
        apps.take(key)
    assert (refused.value.code, refused.value.retry_after_ms) == (ErrorCode.RATE_LIMITED, 334)
    clock.advance_ms(334)
    apps.take(key)


def test_what_another_process_wrote_is_taken_up_and_told() -> None:
    clock = FakeClock()
    apps, store = fake_apps(clock)
    other = Apps({SHOP: [SHOP_DOMAIN]}, store, clock)
    told: list[tuple[str, PublicKey, bool]] = []

    def note(app: App, wallet: PublicKey, blocked: bool) -> None:
        told.append((app.name, wallet, blocked))

    apps.block_listeners.append(note)
    shop = other.named(SHOP)
    assert shop is not None
    other.block(shop, ALICE, reason=1)
    apps.follow()
    assert other.unblock(shop, ALICE)
    assert not other.unblock(shop, ALICE)
    apps.follow()
    assert told == [(SHOP, ALICE, True), (SHOP, ALICE, False)]
    here = apps.named(SHOP)
    assert here is not None
    assert here.ended == {ALICE}


def test_without_apps_nobody_has_a_key() -> None:
    apps = Apps({}, None, FakeClock())
    assert not apps.any
    with pytest.raises(RequestError):
        apps.authenticate(TOKEN, KeyScope.SERVICE)


async def test_a_disk_that_fails_ends_nothing_and_what_was_read_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "REREAD_S", 0)
    monkeypatch.setattr(service, "REREAD_AGAIN_S", 0)
    apps, store = fake_apps(FakeClock())
    store.failing = True
    running = asyncio.create_task(apps.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not running.done()
    apps.authenticate(TOKEN, KeyScope.REST)
    store.failing = False
    store.kept_keys[KEY_ID] = api_key(revoked_ms=1)
    store.writes += 1
    for _ in range(5):
        await asyncio.sleep(0)
    with pytest.raises(RequestError):
        apps.authenticate(TOKEN, KeyScope.REST)
    running.cancel()
