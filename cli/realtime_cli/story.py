"""The whole story against a real hub, step by step with times: what `realtime demo` tells."""

import asyncio
import statistics
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from realtime_cli.console import Console, show_qu
from realtime_cli.errors import CliError
from realtime_cli.hub_access import HubAddress, get_json, open_session, post_trust
from realtime_cli.node_tick import read_current_tick
from realtime_cli.seeds import DemoSeeds
from realtime_cli.stack import StackInfo
from realtime_cli.trust_order import TICKS_AHEAD, sign_trust_order
from realtime_client import (
    CloseCode,
    ConnectionClosedError,
    ErrorCode,
    Intent,
    LoginToSign,
    Payment,
    Quote,
    Reconnect,
    Session,
    ToSign,
    TrustChange,
    TrustStatus,
    TrustWatch,
    Wallet,
    WalletBlockedError,
)
from realtime_protocol.identity import encode_digest_id, parse_identity
from realtime_protocol.qubic.contract_abi import ChainStatus, StatusSetting
from realtime_protocol.schnorrq import keypair, sign, verify

AMOUNT_QU: Final = 1_000
LOGIN_REST_MS_MAX: Final = 10.0
ACCEPTED_MS_MAX: Final = 50.0
REVOCATION_MS_MAX: Final = 10.0
STEP_S_MAX: Final = 30.0
SETTLED_S_MAX: Final = 180.0
ACTIVE_SCORE: Final = 80
REASON_OF_DEMO: Final = 7
LOGINS: Final = 5
NEVER: Final = Reconnect(tries_max=0)
_POLL_S: Final = 0.1
_VERIFY_RUNS: Final = 3

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the story takes place."""

    hub: HubAddress
    admin_url: str
    node: str
    demo: DemoSeeds


@dataclass(slots=True)
class Measured:
    """What the story measured, milliseconds."""

    login_rests_ms: list[float] = field(default_factory=list)
    """Of each login, what its signature operations don't account for."""
    accepted_ms: float = 0.0
    revocation_ms: float = 0.0


class SigningWallet(Wallet):
    """A demo wallet that keeps its login signature, to time a check of it."""

    def __init__(self, seed: str) -> None:
        self._keys = keypair(seed)
        self._login: tuple[bytes, bytes] | None = None
        super().__init__(self._keys.public_key, self._sign)

    def _sign(self, to_sign: ToSign) -> bytes:
        signature = sign(self._keys.subseed, self._keys.public_key, to_sign.message)
        if isinstance(to_sign, LoginToSign):
            self._login = (to_sign.message, signature)
        return signature

    def time_check_ms(self) -> float:
        """Return how long a check of the login signature takes here, at best."""
        if self._login is None:
            return 0.0
        best_s = float("inf")
        for _ in range(_VERIFY_RUNS):
            began_s = time.perf_counter()
            verify(self.public_key, *self._login)
            best_s = min(best_s, time.perf_counter() - began_s)
        return best_s * 1000


@dataclass(slots=True)
class Story:
    """One telling. *restore* undoes the block at the end, so that it can be told again."""

    place: Place
    console: Console
    restore: bool
    measured: Measured = field(default_factory=Measured)
    began_s: float = 0.0

    async def tell(self) -> bool:
        """Tell it; return whether every time was within its bound."""
        payer = SigningWallet(self.place.demo.wallet_seeds[0])
        payee = self.place.demo.identities[1]
        await self._make_active(payer.identity)
        self.console.line(f"hub {self.place.hub.url}, wallet {payer.identity}")
        self.console.line()
        self.began_s = time.perf_counter()
        async with open_session(self.place.hub, payer, reconnect=NEVER) as session:
            self._tell_login(session, payer)
            watch = await self._watch(session)
            quote = await self._quote(session, payee)
            await self._pay(session, payee, quote)
            await self._log_in_more(payer)
            await self._be_blocked(session, watch, payer)
        await self._be_refused(payer)
        if self.restore:
            await self._make_active(payer.identity)
        return self._judge()

    # The steps --------------------------------------------------------------------------------

    def _tell_login(self, session: Session, payer: SigningWallet) -> None:
        timing = session.login_timing
        check_ms, rest_ms = self._note_login(session, payer)
        self._step("connect", "WebSocket open", at_s=timing.challenge_s)
        self._step("challenge", "for this URL and domain, checked", at_s=timing.challenge_s)
        self._step(
            "login",
            f"{timing.login_ms:.1f} ms from challenge to reply: signature operations "
            f"{timing.wallet_ms + check_ms:.1f} ms ({timing.wallet_ms:.1f} to sign, "
            f"{check_ms:.1f} to check), the rest {rest_ms:.1f} ms",
            at_s=timing.open_s,
        )

    def _note_login(self, session: Session, payer: SigningWallet) -> tuple[float, float]:
        """Return what the check of its signature takes here, and what is left for the rest."""
        timing = session.login_timing
        check_ms = payer.time_check_ms()
        rest_ms = max(0.0, timing.login_ms - timing.wallet_ms - check_ms)
        self.measured.login_rests_ms.append(rest_ms)
        return check_ms, rest_ms

    async def _log_in_more(self, payer: SigningWallet) -> None:
        """Log in a few times more: one figure alone says more of the machine than of the hub."""
        for _ in range(LOGINS - 1):
            async with open_session(self.place.hub, payer, reconnect=NEVER) as session:
                self._note_login(session, payer)

    async def _watch(self, session: Session) -> TrustWatch:
        watch = await session.trust.subscribe()
        trust = watch.current[session.wallet.public_key]
        self._step("trust", f"subscribed; {trust.status.name}, score {trust.score}")
        return watch

    async def _quote(self, session: Session, payee: str) -> Quote:
        async with session.quotes(Intent(payee, AMOUNT_QU)) as quotes:
            quote = await _within(anext(quotes), "a quote")
        if quote.route is None:
            raise CliError("the hub quotes no route, not even the direct one")
        self._step(
            "quote",
            f"{show_qu(AMOUNT_QU)} by {quote.route.kind}, fee {show_qu(quote.fee_qu)}, "
            f"accepted in about {quote.est_ms} ms",
        )
        return quote

    async def _pay(self, session: Session, payee: str, quote: Quote) -> None:
        began_s = time.perf_counter()
        payment = session.pay(Intent(payee, AMOUNT_QU), quote=quote)
        async with asyncio.timeout(SETTLED_S_MAX):
            await payment.accepted()
            moments_s = payment.moments_s
            self._step(
                "prepare", "transaction compared with the intent", at_s=moments_s["prepared"]
            )
            self._step("pay", "signed by the wallet, handed over", at_s=moments_s["signed"])
            self.measured.accepted_ms = (moments_s["accepted"] - began_s) * 1000
            await self._follow(payment)
            status = await payment
        self._step("", f"transaction {encode_digest_id(status.txid)}")

    async def _follow(self, payment: Payment) -> None:
        async for status in payment:
            name = status.state.name.lower()
            text = f"for tick {status.tick}"
            if name == "accepted":
                text = f"{self.measured.accepted_ms:.1f} ms after the call; durable; {text}"
            self._step(name, text, at_s=payment.moments_s[name])

    async def _be_blocked(self, session: Session, watch: TrustWatch, payer: SigningWallet) -> None:
        answer = await self._order(payer.identity, ChainStatus.BLOCKED, 0)
        self._step("admin blocks", f"{answer['state']}, in the log as {answer['log_seq']}")
        change = await _within(_next_block(watch), "the block's push")
        event_ms = change.received_ms if change.event_ms is None else change.event_ms
        self.measured.revocation_ms = change.received_ms - event_ms
        self._step(
            "trust.changed",
            f"{change.status.name}{', pending' if change.pending else ''}; "
            f"{self.measured.revocation_ms:.0f} ms from the log's append to this frame",
        )
        error = await _within(session.wait_closed(), "the end of the session")
        if (
            not isinstance(error, ConnectionClosedError)
            or error.code is not CloseCode.WALLET_BLOCKED
        ):
            raise CliError(f"the session should end with 4503 wallet_blocked, not: {error}")
        self._step("closed", f"{int(error.code)} {error.reason}")

    async def _be_refused(self, payer: SigningWallet) -> None:
        try:
            async with open_session(self.place.hub, payer, reconnect=NEVER):
                raise CliError("a blocked wallet was let in")
        except WalletBlockedError as error:
            if error.code is not ErrorCode.WALLET_BLOCKED:
                raise
            self._step("login refused", str(error))

    def _judge(self) -> bool:
        measured = self.measured
        results = [
            (
                statistics.median(measured.login_rests_ms),
                LOGIN_REST_MS_MAX,
                f"login without its signature operations, median of {LOGINS}",
            ),
            (measured.accepted_ms, ACCEPTED_MS_MAX, "payment accepted"),
            (measured.revocation_ms, REVOCATION_MS_MAX, "trust log's append to the client's frame"),
        ]
        self.console.line()
        for took_ms, bound_ms, name in results:
            self.console.check(
                took_ms < bound_ms, f"{name}: {took_ms:.1f} ms (< {bound_ms:.0f} ms)"
            )
        return all(took_ms < bound_ms for took_ms, bound_ms, _ in results)

    # The administrator ------------------------------------------------------------------------

    async def _order(self, identity: str, status: ChainStatus, score: int) -> dict[str, Any]:
        setting = StatusSetting(parse_identity(identity), status, score, REASON_OF_DEMO)
        return await asyncio.to_thread(self._sign_and_post, setting)

    def _sign_and_post(self, setting: StatusSetting) -> dict[str, Any]:
        tick = read_current_tick(self.place.node) + TICKS_AHEAD
        demo = self.place.demo
        signed = sign_trust_order(
            keypair(demo.admin_seed), setting, contract_index=demo.contract_index, tick=tick
        )
        return post_trust(self.place.admin_url, signed)

    async def _make_active(self, identity: str) -> None:
        """Let the administrator list the wallet as ACTIVE, unless it is; wait for the chain."""
        if await self._status(identity) == TrustStatus.ACTIVE.name:
            return
        self.console.line(f"the administrator sets {identity[:8]}... ACTIVE; waiting for the chain")
        await self._order(identity, ChainStatus.ACTIVE, ACTIVE_SCORE)

        async def active() -> None:
            # The hub has no event for those who are not logged in.
            while await self._status(identity) != TrustStatus.ACTIVE.name:  # noqa: ASYNC110  (asked)
                await asyncio.sleep(_POLL_S)

        await _within(active(), "the wallet to be ACTIVE on chain")

    async def _status(self, identity: str) -> str:
        answer = await asyncio.to_thread(get_json, f"{self.place.hub.rest_url}/status/{identity}")
        return str(answer["status"])

    def _step(self, name: str, text: str = "", *, at_s: float | None = None) -> None:
        now_s = time.perf_counter() if at_s is None else at_s
        self.console.step((now_s - self.began_s) * 1000, name, text)


async def _next_block(watch: TrustWatch) -> TrustChange:
    async for change in watch:
        if change.status is TrustStatus.BLOCKED:
            return change
    raise CliError("the trust stream ended before the block")


async def _within(work: Awaitable[Result], what: str) -> Result:
    try:
        async with asyncio.timeout(STEP_S_MAX):
            return await work
    except TimeoutError as error:
        raise CliError(f"waited {STEP_S_MAX:.0f} s for {what}") from error


def place_of_stack(info: StackInfo, demo: DemoSeeds) -> Place:
    """Return the place that a stack of our own is."""
    netloc = info.url.partition("://")[2].partition("/")[0]
    return Place(HubAddress(info.url, netloc), info.admin_url, info.node, demo)
