"""A hub for tests of programs that use this client: real frames on a free port, no chain behind.

    async with FakeHub() as hub, connect(hub.url, wallet) as session:
        await hub.set_trust(wallet.public_key, TrustStatus.BLOCKED)

It knows what a program can meet: payments that settle, miss or hang, refusals, lost replies and
connections, gaps, and, for the client's own tests, a hub that lies.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from msgspec.structs import replace
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from realtime_client.fake_keys import FakeKeys
from realtime_client.fake_resumes import FakeResumes, FakeSub
from realtime_client.fake_world import FakePayment, now_epoch_ms
from realtime_protocol.codec import encode_push, encode_raw
from realtime_protocol.codes import CloseCode, ErrorCode, close_reason
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.limits import Limits
from realtime_protocol.login_resources import parse_resources
from realtime_protocol.login_text import LoginChallenge, build_login_text
from realtime_protocol.messages import (
    Body,
    Challenge,
    Checkpoint,
    DecisionReply,
    DecisionRequest,
    Empty,
    Gap,
    GapCause,
    Goaway,
    GoawayCause,
    Head,
    Intent,
    KeysListReply,
    KeysListRequest,
    KeysRevokeReply,
    KeysRevokeRequest,
    LoginReply,
    PaymentGetRequest,
    PaymentState,
    PayRequest,
    PayResign,
    PingReply,
    PingRequest,
    PrepareRequest,
    PushType,
    QuoteOpenReply,
    QuoteOpenRequest,
    RequestType,
    ResignReason,
    ResumedSub,
    ResumeReply,
    Scheme,
    SubscribeReply,
    SubscribeRequest,
    TrustChanged,
    TrustStatus,
    WalletTrust,
)
from realtime_protocol.server import (
    ChallengeWanted,
    Closing,
    LoginSent,
    Refused,
    RequestSent,
    ResumeSent,
    ServerSession,
)
from realtime_protocol.versions import SUBPROTOCOL_MSGPACK, WEBSOCKET_PATH
from realtime_protocol.wallet_signatures import verify_login_signature

_CLOSED_WITH: Final = {
    ErrorCode.WALLET_BLOCKED: CloseCode.WALLET_BLOCKED,
    ErrorCode.RESUME_REUSED: CloseCode.RESUME_REUSED,
}


@dataclass(eq=False, slots=True)
class _Client:
    """A connection."""

    websocket: ServerConnection
    session: ServerSession
    subs: dict[int, FakeSub] = field(default_factory=dict)
    next_sub: int = 1
    session_key: bytes | None = None
    sid: str = ""

    @property
    def wallet(self) -> PublicKey:
        """Who is logged in."""
        return self.session.wallet or PublicKey(b"")

    def add(
        self, channel: str, wallets: Sequence[bytes] = (), intent: Intent | None = None
    ) -> FakeSub:
        sub = FakeSub(self.next_sub, channel, frozenset(wallets), intent)
        self.subs[sub.number] = sub
        self.next_sub += 1
        return sub


class FakeHub(FakeKeys, FakeResumes):
    """A `FakeWorld` with sessions that is served; see the module."""

    def __init__(self) -> None:
        super().__init__()
        self.logins = 0
        self.resumes = 0
        self.requests: list[RequestType] = []
        """Every request that came, in order."""
        self.challenge_changes: dict[str, Any] = {}
        """Fields in which the next challenges lie."""
        self._refusals: list[tuple[RequestType, RequestError]] = []
        self._mute: list[tuple[RequestType, bool]] = []
        self._clients: list[_Client] = []
        self._server: Server

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            subprotocols=[Subprotocol(SUBPROTOCOL_MSGPACK)],
            compression=None,
            close_timeout=1,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """What to connect to."""
        return f"ws://{self.domain}{WEBSOCKET_PATH}"

    @property
    def domain(self) -> str:
        """The domain in the login text."""
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    # What a test does to the world ------------------------------------------------------------

    async def set_trust(
        self,
        wallet: bytes,
        status: TrustStatus,
        score: int = 80,
        *,
        reason: int = 0,
        pending: bool = False,
    ) -> None:
        """Change a wallet's trust, tell who watches, and close a blocked wallet's sessions."""
        change = self._record_trust(wallet, status, score, reason=reason, pending=pending)
        for client in list(self._clients):
            await self._tell_trust(client, self._trust_seq, change)
            if status is TrustStatus.BLOCKED and client.session.wallet == wallet:
                await self._close(client, CloseCode.WALLET_BLOCKED)

    async def set_route(self, *, fee_qu: int = 0, executable: bool = True) -> None:
        """Change the one route, and push a new quote to every stream."""
        self.fee_qu, self.executable = fee_qu, executable
        for client in list(self._clients):
            for sub in list(client.subs.values()):
                if sub.intent is not None:
                    await self._push(client, PushType.QUOTE, sub, 0, self._quote(sub.intent))

    async def advance(self, payment_id: bytes, state: PaymentState) -> None:
        """Move a payment on; *missed* also asks for another signature."""
        payment = self.payments[payment_id]
        payment.status = replace(
            payment.status, state=state, state_seq=payment.status.state_seq + 1
        )
        await self._tell_payment(payment, PushType.PAYMENT_STATUS, payment.status)
        if state is PaymentState.MISSED:
            resign = PayResign(payment_id, ResignReason.TICK_WITHOUT_IT, now_epoch_ms() + 600_000)
            await self._tell_payment(payment, PushType.PAY_RESIGN, resign)

    async def drop(self, code: int | None = None, reason: str = "") -> None:
        """End every connection: with a close frame of that code, or by just breaking off."""
        for client in list(self._clients):
            if code is None:
                client.websocket.transport.abort()
            else:
                await client.websocket.close(code, reason)

    async def goaway(self, *, max_ms: int = 0, resume_ok: bool = True) -> None:
        """Ask every client to connect anew, within *max_ms*."""
        for client in list(self._clients):
            body = Goaway(0, max_ms, GoawayCause.DRAINING, resume_ok)
            await self._send(client, encode_push(PushType.GOAWAY, 0, 0, body))

    async def checkpoint(self) -> None:
        """Tell every client that it has heard all there is."""
        for client in list(self._clients):
            heads = [
                Head(sub.number, self._epoch, self._stream_of(client.wallet, sub)[0])
                for sub in client.subs.values()
                if sub.intent is None
            ]
            body = Checkpoint(heads, now_epoch_ms(), backbone_ok=True)
            await self._send(client, encode_push(PushType.CHECKPOINT, 0, 0, body))

    async def gap(self) -> None:
        """Lose positions: every stream gets the word of a gap, then its state anew."""
        self.forget_positions()
        for client in list(self._clients):
            for sub in list(client.subs.values()):
                body = Gap(sub.number, 1, self._trust_seq, GapCause.EPOCH)
                await self._push(client, PushType.GAP, sub, 0, body)
                for wallet in self._watched(client, sub):
                    await self._push(
                        client, PushType.TRUST_CHANGED, sub, self._trust_seq, self._state_of(wallet)
                    )

    def refuse_next(self, kind: RequestType, error: RequestError) -> None:
        """Refuse the next request of that kind."""
        self._refusals.append((kind, error))

    def mute_next(self, kind: RequestType, *, done: bool) -> None:
        """Break the connection instead of answering the next such request, *done* or not."""
        self._mute.append((kind, done))

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    # One connection ---------------------------------------------------------------------------

    async def _serve(self, websocket: ServerConnection) -> None:
        session = ServerSession(
            Limits(requests_per_s=10_000, requests_burst=10_000), now_s=_now_s()
        )
        client = _Client(websocket, session)
        self._clients.append(client)
        try:
            await websocket.send(session.open(self._challenge(10_000), now_s=_now_s()))
            async for frame in websocket:
                if isinstance(frame, bytes):
                    await self._take(client, frame)
        except ConnectionClosed:
            pass
        finally:
            self._clients.remove(client)
            session.close()

    async def _take(self, client: _Client, frame: bytes) -> None:
        session = client.session
        event = session.receive(frame, now_s=_now_s(), now_ms=now_epoch_ms())
        match event:
            case Refused(refusal):
                await self._send(client, refusal)
            case Closing():
                pass
            case ChallengeWanted(request_id, ttl_ms):
                challenge = self._challenge(ttl_ms)
                answer = session.answer_challenge(
                    request_id, challenge, ttl_ms=ttl_ms, now_s=_now_s()
                )
                await self._send(client, answer)
            case LoginSent():
                await self._log_in(client, event)
            case ResumeSent():
                await self._resume(client, event)
            case RequestSent():
                await self._answer(client, event)
        if session.closing is not None:
            await client.websocket.close(session.closing.code, session.closing.reason)

    async def _log_in(self, client: _Client, event: LoginSent) -> None:
        self.requests.append(RequestType.REFRESH if event.refresh else RequestType.LOGIN)
        try:
            self._require_not_refused(RequestType.LOGIN)
            scopes = self._prove(event)
        except RequestError as error:
            await self._send(client, client.session.login_refused(event.id, error))
            if error.code is ErrorCode.WALLET_BLOCKED:
                await self._close(client, CloseCode.WALLET_BLOCKED)
            return
        self.logins += 1
        wallet = PublicKey(event.proof.wallet)
        key = parse_resources(event.proof.resources, now_ms=now_epoch_ms()).key
        client.session_key = None if key is None else key.public_key
        client.sid = client.sid or f"fake-{self.logins}"
        token = b"" if client.session_key is None else secrets.token_bytes(32)
        if client.session_key is not None:
            self._keep(token, client.sid, wallet, client.session_key, scopes)
        reply = LoginReply(
            client.sid,
            token,
            120_000 if token else 0,
            now_epoch_ms() + 86_400_000,
            self._trust_of(wallet),
            scopes,
        )
        await self._send(
            client,
            client.session.login_proven(
                event.id,
                reply,
                wallet=wallet,
                scopes=frozenset(scopes),
                expires_s=_now_s() + 86_400,
            ),
        )

    def _prove(self, event: LoginSent) -> list[str]:
        proof, challenge = event.proof, event.challenge
        text = build_login_text(
            LoginChallenge(
                challenge.nonce,
                challenge.issued_ms,
                challenge.expires_ms,
                challenge.domain,
                challenge.uri,
                challenge.chain,
                challenge.request_id,
            ),
            proof.wallet,
            proof.resources,
        )
        listed = parse_resources(proof.resources, now_ms=now_epoch_ms())
        wallet = PublicKey(proof.wallet)
        if proof.scheme is Scheme.KEY:
            scopes = self._prove_by_key(wallet, listed, text, proof.signature)
            self._require_welcome(wallet)
            return scopes
        if not verify_login_signature(proof.scheme, proof.wallet, text, proof.signature):
            raise RequestError(ErrorCode.BAD_SIGNATURE, "the signature is not this wallet's")
        self._require_welcome(wallet)
        self._grant(wallet, listed, challenge.domain)
        return list(listed.scopes)

    def _require_welcome(self, wallet: PublicKey) -> None:
        if self._trust_of(wallet).status is TrustStatus.BLOCKED:
            raise RequestError(ErrorCode.WALLET_BLOCKED, "the wallet is blocked")

    # Resuming ---------------------------------------------------------------------------------

    async def _resume(self, client: _Client, event: ResumeSent) -> None:
        self.requests.append(RequestType.RESUME)
        muted = self._take_mute(RequestType.RESUME)
        if muted is not None and not muted:
            client.websocket.transport.abort()
            return
        try:
            self._require_not_refused(RequestType.RESUME)
            kept = self._require_kept(event)
        except RequestError as error:
            await self._send(client, client.session.login_refused(event.id, error))
            if error.code in _CLOSED_WITH:
                await self._close(client, _CLOSED_WITH[error.code])
            return
        self.resumes += 1
        client.sid, client.session_key = kept.sid, kept.key
        token, replay, subs = secrets.token_bytes(32), list[bytes](), list[ResumedSub]()
        if muted is None:
            self._keep(token, kept.sid, kept.wallet, kept.key, kept.scopes)
        for row in event.body.subs:
            sub = FakeSub(row.sub, row.channel, frozenset(row.wallets or ()))
            client.subs[row.sub] = sub
            client.next_sub = max(client.next_sub, row.sub + 1)
            resumed, frames = self._restore(kept.wallet, sub, row)
            subs.append(resumed)
            replay += frames
        reply = ResumeReply(kept.sid, token, self._trust_of(kept.wallet), subs)
        frame = client.session.login_proven(
            event.id,
            reply,
            wallet=kept.wallet,
            scopes=frozenset(kept.scopes),
            expires_s=_now_s() + 86_400,
        )
        if muted:
            client.websocket.transport.abort()
            return
        for each in (frame, *replay):
            await self._send(client, each)

    async def _answer(self, client: _Client, event: RequestSent[Any]) -> None:
        self.requests.append(event.kind)
        muted = self._take_mute(event.kind)
        if muted is not None and not muted:
            client.websocket.transport.abort()
            return
        try:
            self._require_not_refused(event.kind)
            body, after = self._do(client, event)
        except RequestError as error:
            await self._send(client, client.session.refuse(event.id, error))
            return
        if muted:
            client.websocket.transport.abort()
            return
        await self._send(client, client.session.answer(event.id, body))
        for frame in after:
            await self._send(client, frame)
        if event.kind is RequestType.PAY:
            await self._carry_out(body.payment_id)
        if event.kind is RequestType.LOGOUT:
            self._kept = {t: k for t, k in self._kept.items() if k.sid != client.sid}
            await client.websocket.close(1000)

    def _do(self, client: _Client, event: RequestSent[Any]) -> tuple[Any, list[bytes]]:
        """Return the reply and the pushes that follow it."""
        match event.body:
            case SubscribeRequest() as request:
                return self._subscribe(client, request)
            case QuoteOpenRequest(intent):
                sub = client.add("quote", intent=intent)
                push = encode_push(PushType.QUOTE, sub.number, 0, self._quote(intent))
                return QuoteOpenReply(sub.number), [push]
            case PrepareRequest() as request:
                return self._prepare(request), []
            case PayRequest() as request:
                return self._pay(client.wallet, request), []
            case PaymentGetRequest(payment_id):
                return self._payment(payment_id).status, []
            case DecisionRequest(audience, nonce):
                signed = self._decide(client.wallet, audience, nonce, client.session_key)
                return DecisionReply(signed), []
            case PingRequest(client_ms):
                return PingReply(client_ms, now_epoch_ms(), [], backbone_ok=True), []
            case KeysListRequest():
                return KeysListReply(self._keys_of(client.wallet)), []
            case KeysRevokeRequest(key):
                return KeysRevokeReply(self._revoke(client.wallet, key)), []
            case list() as wallets:
                return [self._trust_of(wallet) for wallet in wallets], []
        if event.kind in (RequestType.UNSUBSCRIBE, RequestType.QUOTE_CLOSE):
            client.subs.pop(event.body.sub, None)
        elif event.kind is not RequestType.LOGOUT:
            raise RequestError(ErrorCode.UNKNOWN_TYPE, "the fake hub doesn't serve that")
        return Empty(), []

    # Trust ------------------------------------------------------------------------------------

    def _watched(self, client: _Client, sub: FakeSub) -> frozenset[bytes]:
        if sub.channel == "trust:@me":
            return frozenset({client.wallet})
        return sub.wallets

    async def _tell_trust(self, client: _Client, seq: int, change: TrustChanged) -> None:
        for sub in list(client.subs.values()):
            if change.wallet in self._watched(client, sub):
                await self._push(client, PushType.TRUST_CHANGED, sub, seq, change)

    def _subscribe(
        self, client: _Client, request: SubscribeRequest
    ) -> tuple[SubscribeReply, list[bytes]]:
        sub = client.add(request.channel, request.wallets or ())
        position = request.position
        recovered = position is not None and position.epoch == self._epoch
        since = position.offset if position is not None else 0
        if request.channel == "pay:@me":
            mine = [each for each in self.payments.values() if each.payer == client.session.wallet]
            snapshot = [encode_raw(each.status) for each in mine]
            replay = [
                encode_push(kind, sub.number, offset, body)
                for offset, payer, kind, body in self._pay_log
                if offset > since and payer == client.session.wallet
            ]
            head = self._pay_seq
        else:
            watched = self._watched(client, sub)
            snapshot = [encode_raw(WalletTrust(each, self._trust_of(each))) for each in watched]
            replay = [
                encode_push(PushType.TRUST_CHANGED, sub.number, seq, change)
                for seq, change in self._trust_log
                if seq > since and change.wallet in watched
            ]
            head = self._trust_seq
        if recovered:
            return SubscribeReply(sub.number, self._epoch, head, None, recovered=True), replay
        return SubscribeReply(sub.number, self._epoch, head, snapshot, recovered=False), []

    async def _carry_out(self, payment_id: bytes) -> None:
        payment = self.payments[payment_id]
        if payment.status.state is PaymentState.ACCEPTED:
            await self._tell_payment(payment, PushType.PAYMENT_STATUS, payment.status)
            for state in self.outcome:
                await self.advance(payment_id, state)

    async def _tell_payment(self, payment: FakePayment, kind: PushType, body: Body) -> None:
        self._pay_seq += 1
        self._pay_log.append((self._pay_seq, payment.payer, kind, body))
        for client in list(self._clients):
            for sub in list(client.subs.values()):
                if sub.channel == "pay:@me" and client.session.wallet == payment.payer:
                    await self._push(client, kind, sub, self._pay_seq, body)

    # Sending ----------------------------------------------------------------------------------

    async def _push(
        self, client: _Client, kind: PushType, sub: FakeSub, offset: int, body: Body
    ) -> None:
        await self._send(client, encode_push(kind, sub.number, offset, body))

    async def _send(self, client: _Client, frame: bytes) -> None:
        try:
            await client.websocket.send(frame)
        except ConnectionClosed:
            return

    async def _close(self, client: _Client, code: CloseCode) -> None:
        await client.websocket.close(int(code), close_reason(code))

    def _challenge(self, ttl_ms: int) -> Challenge:
        now_ms = now_epoch_ms()
        issued_ms = now_ms - now_ms % 1_000
        challenge = Challenge(
            secrets.token_hex(11),
            issued_ms,
            issued_ms + max(2_000, ttl_ms - ttl_ms % 1_000),
            self.domain,
            self.url,
            "fake",
            secrets.token_hex(8),
            now_ms,
            Limits().as_detail(),
            self._epoch,
        )
        return replace(challenge, **self.challenge_changes)

    def _require_not_refused(self, kind: RequestType) -> None:
        for index, (refused, error) in enumerate(self._refusals):
            if refused is kind:
                del self._refusals[index]
                raise error

    def _take_mute(self, kind: RequestType) -> bool | None:
        for index, (muted, done) in enumerate(self._mute):
            if muted is kind:
                del self._mute[index]
                return done
        return None


def _now_s() -> float:
    return time.monotonic()
