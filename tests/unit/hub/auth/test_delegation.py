"""Granted keys: what lets them in, and everything that doesn't."""

import asyncio
from collections.abc import Awaitable

import pytest

from delegation_fakes import key_signature
from fakes import FakeClock, SeededEntropy
from qubic_vectors import qubic_vectors
from realtime_hub.adapters.memory_grants import MemoryGrants
from realtime_hub.auth.delegation import Delegation
from realtime_hub.auth.grants import (
    CLOCKS_DIFFER_MS_MAX,
    GRANTS_PER_WALLET_MAX,
    Block,
    Grant,
    GrantTerms,
)
from realtime_hub.auth.login import Logins, ProvenLogin
from realtime_hub.signatures import SignatureChecks
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.login_resources import encode_key, encode_scope, encode_spend
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import Position, Scheme
from realtime_protocol.schnorrq import keypair
from realtime_protocol.session_key import session_public_key
from realtime_protocol.wallet_signatures import sign_login

KEYS = keypair(qubic_vectors()["keys"][0]["seed"])
WALLET = PublicKey(KEYS.public_key)
OTHER = PublicKey(keypair(qubic_vectors()["keys"][1]["seed"]).public_key)
SEED = b"\x21" * 32
KEY = session_public_key(SEED)
DOMAIN = "app.example"
SEEN = Position(b"epoch--1", 7)
TTL_MS = 3_600_000
DAY_MS = 86_400_000


class Hub:
    """Logins and the grants behind them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryGrants()
        self.delegation = self.another()
        self.logins = Logins(
            verifier=SignatureChecks(),
            clock=self.clock,
            entropy=SeededEntropy(),
            chain="devnet",
            session_ttl_ms=TTL_MS,
            grants=self.delegation,
        )
        self.until_ms = self.clock.now_ms() + DAY_MS

    def another(self) -> Delegation:
        """Another hub on the same store."""
        return Delegation(self.store, clock=self.clock, entropy=SeededEntropy(9))

    def challenge(self, domain: str = DOMAIN) -> LoginChallenge:
        return self.logins.issue_challenge(domain=domain, uri="wss://hub.example/v1", ttl_ms=60_000)

    def key_line(self, key: bytes = KEY) -> str:
        return encode_key(key, until_ms=self.until_ms)

    async def grant(self, *more: str, key: bytes = KEY, seen: Position = SEEN) -> Grant:
        """Have the wallet sign for a key, and keep that."""
        challenge, lines = self.challenge(), [self.key_line(key), *more]
        text = build_login_text(challenge, WALLET, lines)
        proven = await self.logins.prove(
            challenge,
            wallet=WALLET,
            scheme=Scheme.WC,
            signature=sign_login(Scheme.WC, KEYS, text),
            resources=lines,
        )
        assert proven.terms is not None
        return await self.delegation.open(WALLET, proven.terms, seen=seen)

    async def log_in(
        self,
        *lines: str,
        wallet: bytes = WALLET,
        seed: bytes = SEED,
        domain: str = DOMAIN,
        signature: bytes | None = None,
    ) -> ProvenLogin:
        """Log in by key."""
        challenge = self.challenge(domain)
        listed = list(lines) or [self.key_line()]
        return await self.logins.prove(
            challenge,
            wallet=wallet,
            scheme=Scheme.KEY,
            signature=signature or key_signature(challenge, wallet, seed, listed),
            resources=listed,
        )


async def refusal(work: Awaitable[object]) -> ErrorCode:
    with pytest.raises(RequestError) as refused:
        await work
    return refused.value.code


async def test_a_granted_key_logs_in_with_the_grants_scopes_until_the_grants_end() -> None:
    hub = Hub()
    await hub.grant(encode_scope("trust"), encode_scope("quote"))
    hub.clock.advance_ms(DAY_MS - 1_000)
    proven = await hub.log_in()
    assert (proven.wallet, proven.scopes, proven.by_key) == (WALLET, ("trust", "quote"), True)
    assert proven.session_key == KEY
    assert proven.session_exp_ms == hub.until_ms  # Not a whole session's time from now.


async def test_the_key_line_may_leave_until_out_and_scopes_may_be_fewer() -> None:
    hub = Hub()
    await hub.grant()
    proven = await hub.log_in(encode_key(KEY), encode_scope("trust"))
    assert proven.scopes == ("trust",)


async def test_a_scope_beyond_the_grants_is_refused() -> None:
    hub = Hub()
    await hub.grant(encode_scope("trust"))
    code = await refusal(hub.log_in(hub.key_line(), encode_scope("pay")))
    assert code is ErrorCode.FORBIDDEN_SCOPE


async def test_a_key_without_until_is_its_sessions_only() -> None:
    hub = Hub()
    challenge, lines = hub.challenge(), [encode_key(KEY)]
    proven = await hub.logins.prove(
        challenge,
        wallet=WALLET,
        scheme=Scheme.WC,
        signature=sign_login(Scheme.WC, KEYS, build_login_text(challenge, WALLET, lines)),
        resources=lines,
    )
    assert (proven.terms, proven.session_key) == (None, KEY)
    assert await refusal(hub.log_in(encode_key(KEY))) is ErrorCode.BAD_SIGNATURE


async def test_a_key_that_nobody_granted_or_for_another_wallet_is_refused() -> None:
    hub = Hub()
    assert await refusal(hub.log_in()) is ErrorCode.BAD_SIGNATURE
    await hub.grant()
    assert await refusal(hub.log_in(wallet=OTHER)) is ErrorCode.BAD_SIGNATURE


async def test_another_keys_signature_and_that_of_another_kind_are_refused() -> None:
    hub = Hub()
    await hub.grant()
    assert await refusal(hub.log_in(seed=b"\x22" * 32)) is ErrorCode.BAD_SIGNATURE
    assert await refusal(hub.log_in(signature=bytes(64))) is ErrorCode.BAD_SIGNATURE


async def test_a_key_logs_in_for_the_app_that_it_was_granted_to_only() -> None:
    hub = Hub()
    await hub.grant()
    assert await refusal(hub.log_in(domain="other.example")) is ErrorCode.DOMAIN_MISMATCH


async def test_an_expired_challenge_and_an_ended_grant_are_refused() -> None:
    hub = Hub()
    await hub.grant()
    challenge, lines = hub.challenge(), [encode_key(KEY)]
    signature = key_signature(challenge, WALLET, SEED, lines)
    hub.clock.advance_ms(61_000)
    late = hub.logins.prove(
        challenge, wallet=WALLET, scheme=Scheme.KEY, signature=signature, resources=lines
    )
    assert await refusal(late) is ErrorCode.CHALLENGE_EXPIRED
    hub.clock.advance_ms(DAY_MS)
    assert await refusal(hub.log_in(encode_key(KEY))) is ErrorCode.BAD_SIGNATURE


async def test_a_login_by_key_lists_its_key_with_the_granted_until_and_no_spending_wallet() -> None:
    hub = Hub()
    await hub.grant()
    spend = encode_spend(OTHER, max_qu=5, until_ms=hub.until_ms)
    later = encode_key(KEY, until_ms=hub.until_ms + 1_000)
    for lines in ([encode_scope("trust")], [hub.key_line(), spend], [later]):
        assert await refusal(hub.log_in(*lines)) is ErrorCode.BAD_MESSAGE


async def test_a_spending_wallet_without_a_key_that_may_log_in_is_refused() -> None:
    hub = Hub()
    spend = encode_spend(OTHER, max_qu=5, until_ms=hub.until_ms)
    for lines in ([spend], [encode_key(KEY), spend]):
        challenge = hub.challenge()
        signature = sign_login(Scheme.WC, KEYS, build_login_text(challenge, WALLET, lines))
        proving = hub.logins.prove(
            challenge, wallet=WALLET, scheme=Scheme.WC, signature=signature, resources=lines
        )
        assert await refusal(proving) is ErrorCode.BAD_MESSAGE


async def test_a_wallet_has_so_many_keys_and_may_sign_for_the_same_again() -> None:
    hub = Hub()
    keys = [bytes([number]) * 32 for number in range(1, GRANTS_PER_WALLET_MAX + 1)]
    first, *_ = [await hub.grant(key=key) for key in keys]
    assert await refusal(hub.grant()) is ErrorCode.KEY_LIMIT
    again = await hub.grant(key=keys[0])
    assert again.grant_id == first.grant_id
    assert again.terms_id != first.terms_id
    assert await hub.delegation.revoke(WALLET, keys[3]) == 1
    await hub.grant()
    assert len(await hub.delegation.grants_of(WALLET)) == GRANTS_PER_WALLET_MAX
    hub.clock.advance_ms(DAY_MS)
    assert await hub.delegation.grants_of(WALLET) == ()


async def test_a_login_notes_when_the_key_was_used() -> None:
    hub = Hub()
    grant = await hub.grant()
    hub.clock.advance_ms(5_000)
    await hub.delegation.use(WALLET, grant)
    [listed] = await hub.delegation.grants_of(WALLET)
    assert listed.last_used_ms == listed.created_ms + 5_000


async def test_a_key_that_is_revoked_while_it_logs_in_doesnt_get_in() -> None:
    hub = Hub()
    await hub.grant()
    proven = await hub.log_in()
    assert proven.grant is not None
    assert await hub.another().revoke(WALLET, None) == 1
    assert await refusal(hub.delegation.use(WALLET, proven.grant)) is ErrorCode.BAD_SIGNATURE
    assert await hub.delegation.revoke(WALLET, KEY) == 0


async def test_a_block_ends_grants_in_the_same_instant_and_for_good() -> None:
    hub = Hub()
    grant = await hub.grant()
    hub.delegation.block(WALLET, Position(SEEN.epoch, SEEN.offset + 1))
    # Nothing was written yet: it counts all the same, also after the wallet is welcome again.
    assert await refusal(hub.log_in()) is ErrorCode.BAD_SIGNATURE
    assert await hub.delegation.resume(WALLET, grant.grant_id) is None
    ended: list[bytes] = []
    hub.delegation.listeners.append(ended.append)
    assert await hub.delegation.write_blocks()
    assert ended == [grant.grant_id]
    assert await hub.store.load([WALLET]) == [()]
    assert await hub.another().grants_of(WALLET) == ()
    await hub.grant(seen=Position(SEEN.epoch, SEEN.offset + 2))
    assert (await hub.log_in()).by_key


async def test_a_grant_whose_wallet_is_blocked_while_it_is_written_is_refused_and_goes() -> None:
    hub = Hub()
    hub.delegation.block(WALLET, Position(SEEN.epoch, SEEN.offset + 1))
    assert await hub.delegation.write_blocks()
    assert await refusal(hub.grant()) is ErrorCode.WALLET_BLOCKED
    assert await hub.delegation.write_blocks()
    assert await hub.store.load([WALLET]) == [()]


@pytest.mark.parametrize(
    ("place", "heard_after_ms", "ended"),
    [
        (Position(SEEN.epoch, SEEN.offset), 0, False),
        (Position(SEEN.epoch, SEEN.offset + 1), 0, True),
        (Position(b"epoch--2", 1), -CLOCKS_DIFFER_MS_MAX, True),
        (Position(b"epoch--2", 1), -CLOCKS_DIFFER_MS_MAX - 1, False),
    ],
)
def test_a_block_ends_what_was_granted_before_it(
    place: Position, heard_after_ms: int, ended: bool
) -> None:
    grant = Grant(
        grant_id=b"g" * 16,
        terms_id=b"t" * 16,
        terms=GrantTerms(key=KEY, scopes=("trust",), until_ms=1, domain=DOMAIN),
        created_ms=100_000,
        last_used_ms=100_000,
        seen=SEEN,
    )
    assert Block(place, 100_000 + heard_after_ms).ends(grant) is ended


async def test_of_grants_and_revocations_at_once_none_is_lost() -> None:
    hub = Hub()
    keys = [bytes([number]) * 32 for number in range(1, 7)]
    await asyncio.gather(*(hub.grant(key=key) for key in keys))
    ended = await asyncio.gather(*(hub.delegation.revoke(WALLET, key) for key in keys[:3]))
    assert ended == [1, 1, 1]
    left = await hub.delegation.grants_of(WALLET)
    assert {one.terms.key for one in left} == set(keys[3:])
