"""The sessions that a fake hub keeps: who may resume which, and what it missed."""

from collections.abc import Sequence
from dataclasses import dataclass

from realtime_client.fake_world import FakeWorld
from realtime_protocol.codec import encode_push
from realtime_protocol.codes import ErrorCode
from realtime_protocol.errors import RequestError
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import (
    Body,
    Gap,
    GapCause,
    Intent,
    PushType,
    ResumedSub,
    ResumeOutcome,
    ResumeSub,
    TrustStatus,
)
from realtime_protocol.server import ResumeSent
from realtime_protocol.session_key import Kind, resume_body, verify_with_session_key


@dataclass(slots=True)
class FakeSub:
    """A subscription of one connection."""

    number: int
    channel: str
    wallets: frozenset[bytes] = frozenset()
    intent: Intent | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A session that can be resumed."""

    sid: str
    wallet: PublicKey
    key: bytes
    scopes: list[str]


class FakeResumes(FakeWorld):
    """A `FakeWorld` whose sessions can be resumed."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[bytes, _Kept] = {}
        """Sessions by the token that resumes them."""
        self._used: dict[bytes, _Kept] = {}

    def forget_sessions(self) -> None:
        """Let no session be resumed: their clients must log in."""
        self._kept.clear()

    def _keep(
        self, token: bytes, sid: str, wallet: PublicKey, key: bytes, scopes: Sequence[str]
    ) -> None:
        for old in [old for old, kept in self._kept.items() if kept.sid == sid]:
            self._used[old] = self._kept.pop(old)
        self._kept[token] = _Kept(sid, wallet, key, list(scopes))

    def _require_kept(self, event: ResumeSent) -> _Kept:
        token, challenge = event.body.token, event.challenge
        if token in self._used:
            self._kept = {t: k for t, k in self._kept.items() if k.sid != self._used[token].sid}
            raise RequestError(ErrorCode.RESUME_REUSED, "the token was used before")
        kept = self._kept.get(token)
        if kept is None:
            raise RequestError(ErrorCode.RESUME_UNKNOWN, "no session has this token")
        body = resume_body(
            domain=challenge.domain, uri=challenge.uri, sid=kept.sid, nonce=challenge.nonce
        )
        if not verify_with_session_key(kept.key, Kind.RESUME, body, event.body.proof):
            raise RequestError(ErrorCode.RESUME_UNKNOWN, "the proof is not this session's")
        if self._trust_of(kept.wallet).status is TrustStatus.BLOCKED:
            raise RequestError(ErrorCode.WALLET_BLOCKED, "the wallet is blocked")
        return kept

    def _restore(
        self, wallet: PublicKey, sub: FakeSub, row: ResumeSub
    ) -> tuple[ResumedSub, list[bytes]]:
        """Return what becomes of a subscription, and the frames that follow for it."""
        head, changes, state = self._stream_of(wallet, sub)
        if row.epoch == self._epoch:
            missed = [change for change in changes if change[0] > row.offset]
            frames = [encode_push(kind, sub.number, at, body) for at, kind, body in missed]
            outcome = ResumeOutcome.REPLAYING if missed else ResumeOutcome.CAUGHT_UP
            return ResumedSub(sub.number, outcome, self._epoch, head), frames
        gap = Gap(sub.number, row.offset + 1, head, GapCause.EPOCH)
        frames = [encode_push(PushType.GAP, sub.number, head, gap)]
        frames += [encode_push(kind, sub.number, head, body) for kind, body in state]
        return ResumedSub(sub.number, ResumeOutcome.GAP, self._epoch, head), frames

    def _stream_of(
        self, wallet: PublicKey, sub: FakeSub
    ) -> tuple[int, list[tuple[int, PushType, Body]], list[tuple[PushType, Body]]]:
        """Return a channel's head, its changes and its state."""
        if sub.channel == "pay:@me":
            paid = [(at, kind, body) for at, payer, kind, body in self._pay_log if payer == wallet]
            mine = [each for each in self.payments.values() if each.payer == wallet]
            return self._pay_seq, paid, [(PushType.PAYMENT_STATUS, each.status) for each in mine]
        watched = frozenset({wallet}) if sub.channel == "trust:@me" else sub.wallets
        changed: list[tuple[int, PushType, Body]] = [
            (seq, PushType.TRUST_CHANGED, change)
            for seq, change in self._trust_log
            if change.wallet in watched
        ]
        state = [(PushType.TRUST_CHANGED, self._state_of(each)) for each in sorted(watched)]
        return self._trust_seq, changed, list(state)
