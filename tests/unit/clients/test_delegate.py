"""A delegated key: one prompt, then none until its grant has ended."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from realtime_client import (
    Delegate,
    ErrorCode,
    LoginError,
    LoginToSign,
    Reconnect,
    Wallet,
    WalletBlockedError,
    connect,
)
from realtime_client.fake_hub import FakeHub
from realtime_protocol.codes import ErrorCode as Code
from realtime_protocol.errors import RequestError
from realtime_protocol.messages import RequestType, TrustStatus
from realtime_protocol.schnorrq import keypair, sign
from realtime_protocol.session_key import session_public_key
from waiting import eventually

KEYS = keypair("b" * 55)


class Prompted:
    """A wallet that counts how often it is asked, and what it was shown."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.wallet = Wallet(KEYS.public_key, self._sign)

    def _sign(self, to_sign: Any) -> bytes:
        assert isinstance(to_sign, LoginToSign)
        self.texts.append(to_sign.text.decode())
        return sign(KEYS.subseed, KEYS.public_key, to_sign.message)


async def test_the_wallet_is_asked_once_and_the_key_logs_in_from_then_on(hub: FakeHub) -> None:
    prompted, delegate = Prompted(), Delegate()
    for _ in range(3):
        async with connect(hub.url, prompted.wallet, delegate=delegate) as session:
            assert session.login.scopes == ["trust", "quote", "pay"]
            assert (await session.ping()).backbone_ok
    assert len(prompted.texts) == 1
    assert "urn:qubic:realtime:key:ed25519:" in prompted.texts[0]
    assert "?until=" in prompted.texts[0]
    assert hub.logins == 3


async def test_a_key_in_a_file_needs_no_prompt_at_the_next_start(
    hub: FakeHub, tmp_path: Path
) -> None:
    prompted, path = Prompted(), tmp_path / "keys" / "hub.json"
    for _ in range(2):
        async with connect(hub.url, prompted.wallet, delegate=Delegate.at(path)):
            pass
    assert len(prompted.texts) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["hub.json"]


def test_a_file_that_others_may_read_or_that_holds_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hub.json"
    path.write_text("{}")
    path.chmod(0o640)
    with pytest.raises(PermissionError, match="chmod 600"):
        Delegate.at(path)
    path.chmod(0o600)
    with pytest.raises(ValueError, match="holds no delegated key"):
        Delegate.at(path)


def test_a_delegate_shows_its_public_half_only() -> None:
    delegate = Delegate()
    assert delegate.public_key.hex() in repr(delegate)
    assert delegate.seed.hex() not in repr(delegate)
    assert delegate.public_key == session_public_key(delegate.seed)


async def test_after_a_revocation_the_wallet_is_asked_for_another_key(
    hub: FakeHub, tmp_path: Path
) -> None:
    prompted, path = Prompted(), tmp_path / "key.json"
    delegate = Delegate.at(path)
    async with connect(hub.url, prompted.wallet, delegate=delegate) as session:
        [listed] = await session.keys.list()
        assert (listed.key, listed.domain) == (delegate.public_key, hub.domain)
        assert listed.until_ms == delegate.until_ms
        assert await session.keys.revoke(listed.key) == 1
        assert await session.keys.list() == []
    revoked = delegate.public_key
    async with connect(hub.url, prompted.wallet, delegate=delegate) as session:
        [listed] = await session.keys.list()
        assert listed.key == delegate.public_key != revoked
    assert len(prompted.texts) == 2
    assert Delegate.at(path).public_key == delegate.public_key


async def test_a_key_asks_the_wallet_for_scopes_that_it_was_not_granted(hub: FakeHub) -> None:
    prompted, delegate = Prompted(), Delegate()
    async with connect(hub.url, prompted.wallet, delegate=delegate, scopes=["trust"]):
        pass
    key = delegate.public_key
    for scopes in (["trust"], ["trust", "quote"], ["quote"]):
        async with connect(hub.url, prompted.wallet, delegate=delegate, scopes=scopes) as session:
            assert session.login.scopes == scopes
    assert len(prompted.texts) == 2
    assert delegate.public_key == key


async def test_a_grant_that_has_ended_or_is_another_wallets_isnt_used(hub: FakeHub) -> None:
    prompted, delegate = Prompted(), Delegate(lives_s=2)
    other = Wallet.from_seed("c" * 55)
    async with connect(hub.url, prompted.wallet, delegate=delegate):
        pass
    async with connect(hub.url, prompted.wallet, delegate=delegate):  # It ends within 5 s.
        pass
    assert len(prompted.texts) == 2
    lasting = Delegate()
    async with connect(hub.url, prompted.wallet, delegate=lasting):
        pass
    assert not lasting.may_log_in(other.public_key, hub.domain, now_ms=0)
    assert not lasting.may_log_in(prompted.wallet.public_key, "other.example", now_ms=0)
    async with connect(hub.url, other, delegate=lasting) as session:
        assert session.login.scopes


async def test_a_blocked_wallets_key_is_kept_out_without_a_prompt(hub: FakeHub) -> None:
    prompted, delegate = Prompted(), Delegate()
    async with connect(hub.url, prompted.wallet, delegate=delegate):
        pass
    await hub.set_trust(prompted.wallet.public_key, TrustStatus.BLOCKED)
    with pytest.raises(WalletBlockedError):
        await connect(hub.url, prompted.wallet, delegate=delegate).__aenter__()
    assert len(prompted.texts) == 1


async def test_a_hub_that_is_busy_costs_no_prompt_and_no_key(hub: FakeHub) -> None:
    prompted, delegate = Prompted(), Delegate()
    async with connect(hub.url, prompted.wallet, delegate=delegate):
        pass
    hub.refuse_next(RequestType.LOGIN, RequestError(Code.BACKBONE_UNAVAILABLE, "busy"))
    with pytest.raises(LoginError) as refused:
        await connect(hub.url, prompted.wallet, delegate=delegate).__aenter__()
    assert refused.value.code is ErrorCode.BACKBONE_UNAVAILABLE
    async with connect(hub.url, prompted.wallet, delegate=delegate):
        pass
    assert len(prompted.texts) == 1


async def test_a_session_that_can_not_be_resumed_comes_back_by_key(
    hub: FakeHub, quick: Reconnect
) -> None:
    prompted, delegate = Prompted(), Delegate()
    async with connect(hub.url, prompted.wallet, delegate=delegate, reconnect=quick) as session:
        hub.forget_sessions()
        await hub.drop()
        async with asyncio.timeout(5):
            await eventually(lambda: session.reconnects == 1)
        assert (await session.ping()).backbone_ok
    assert (hub.logins, hub.resumes, len(prompted.texts)) == (2, 0, 1)


async def test_a_refresh_is_signed_by_the_key_where_that_reaches_further(hub: FakeHub) -> None:
    prompted = Prompted()
    for lives_s, prompts in ((7 * 86_400, 1), (3_600, 2)):
        prompted.texts.clear()
        delegate = Delegate(lives_s=lives_s)
        async with connect(hub.url, prompted.wallet, delegate=delegate) as session:
            await session.refresh()
        assert len(prompted.texts) == prompts


async def test_a_login_names_one_key(wallet: Wallet) -> None:
    with pytest.raises(ValueError, match="not both"):
        connect("ws://127.0.0.1:1/v1", wallet, delegate=Delegate(), session_key=b"k" * 32)
    with pytest.raises(ValueError, match="at least a second"):
        Delegate(lives_s=0)
