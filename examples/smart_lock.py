"""A door lock that needs no network: it believes decisions, and opens for who proves to be there.

TCP on this machine stands for Bluetooth. Each connection is one knock: the lock sends its audience
and a nonce, the phone answers with a decision and its session key's proof of presence. A decision
alone is kept and opens nothing: so anyone may bring the lock the news that a wallet is blocked.

    python examples/smart_lock.py door-7 keys.json lock.json [PORT]

keys.json is what GET /api/v1/keys said when the lock was installed; lock.json is its memory.
"""

import asyncio
import json
import secrets
import sys
import time
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime_protocol.decision import Decision, DecisionRefused, verify_decision
from realtime_protocol.decision_policy import DecisionKeeper, weigh
from realtime_protocol.messages import TrustStatus
from realtime_protocol.session_key import Kind, presence_body, verify_with_session_key

SCORE_MIN = 80
ANSWER_MS_MAX = 30
"""A phone at the door answers at once; a relay over the internet hardly does."""
KNOCK_S_MAX = 5.0


@dataclass(frozen=True)
class Question:
    """What the lock sent, and when, in seconds that never go back."""

    nonce: str
    asked_s: float


class SmartLock:
    """What the lock knows and decides, without I/O. *_s is monotonic, *_ms epoch time."""

    def __init__(
        self,
        audience: str,
        keys: dict[bytes, bytes],
        *,
        newest_issued_ms: int = 0,
        stale_allowed: bool = False,
        answer_ms_max: int = ANSWER_MS_MAX,
    ) -> None:
        self.audience = audience
        self.keeper = DecisionKeeper(newest_issued_ms=newest_issued_ms)
        self.held: dict[bytes, bytes] = {}
        """The signed decision that counts, by wallet: what survives a loss of power."""
        self._keys = keys
        self._stale_allowed = stale_allowed
        self._answer_ms_max = answer_ms_max

    def learn(self, signed: bytes) -> Decision:
        """Take a decision, whoever brings it; DecisionRefused when it isn't one for this lock."""
        decision = verify_decision(signed, self._keys, audience=self.audience)
        if self.keeper.take(decision) is decision:
            self.held[decision.wallet] = signed
        return decision

    def refusal(
        self, question: Question, signed: bytes, presence: bytes, *, now_s: float, clock_ms: int
    ) -> str | None:
        """Say why the door stays closed; None: it opens."""
        took_ms = (now_s - question.asked_s) * 1_000
        try:
            shown = self.learn(signed)
        except DecisionRefused as refused:
            return str(refused)
        if took_ms > self._answer_ms_max:
            return f"the answer took {took_ms:.0f} ms; at most {self._answer_ms_max}"
        # Each phone of a wallet shows its own decision; the newest of the wallet must say yes too.
        for decision in (self.keeper.find(shown.wallet) or shown, shown):
            if (why := self._weigh(decision, clock_ms)) is not None:
                return why
        if shown.session_key is None:
            return "the decision names no session key"
        body = presence_body(audience=self.audience, nonce=question.nonce)
        if not verify_with_session_key(shown.session_key, Kind.PRESENCE, body, presence):
            return "the session key didn't sign this nonce"
        return None

    def _weigh(self, decision: Decision, clock_ms: int) -> str | None:
        now_ms = self.keeper.time_ms(clock_ms)
        verdict = weigh(decision, now_ms=now_ms, stale_allowed=self._stale_allowed)
        if verdict.status is not TrustStatus.ACTIVE:
            return f"the wallet is {verdict.status.name} ({verdict.freshness})"
        if verdict.score < SCORE_MIN:
            return f"a score of {verdict.score}; at least {SCORE_MIN}"
        return None


def remember(lock: SmartLock, path: Path) -> None:
    """Write the lock's memory, whole or not at all."""
    content = {
        "newest_issued_ms": lock.keeper.newest_issued_ms,
        "held": [signed.hex() for signed in lock.held.values()],
    }
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(content))
    beside.replace(path)


def wake(audience: str, keys: dict[bytes, bytes], path: Path, *, answer_ms_max: int) -> SmartLock:
    """Return a lock with what it remembered; a decision whose key is gone is forgotten."""
    known: dict[str, Any] = {"newest_issued_ms": 0, "held": []}
    if path.exists():
        known = json.loads(path.read_text())
    floor_ms = known["newest_issued_ms"]
    lock = SmartLock(audience, keys, newest_issued_ms=floor_ms, answer_ms_max=answer_ms_max)
    for text in known["held"]:
        try:
            lock.learn(bytes.fromhex(text))
        except DecisionRefused:
            continue
    return lock


async def serve_knock(
    lock: SmartLock, memory: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one connection: ask, judge the answer, say whether the door opens."""
    question = Question(secrets.token_urlsafe(16), time.monotonic())
    asked = {"audience": lock.audience, "nonce": question.nonce}
    writer.write(json.dumps(asked).encode() + b"\n")
    try:
        async with asyncio.timeout(KNOCK_S_MAX):
            answer = await reader.readline()
        why = judge(lock, question, answer)
        remember(lock, memory)
    except (TimeoutError, ValueError, TypeError, KeyError) as error:
        why = f"no answer that can be read ({type(error).__name__})"
    took_ms = (time.monotonic() - question.asked_s) * 1_000
    print(f"open after {took_ms:.1f} ms" if why is None else f"closed: {why}", flush=True)
    writer.write(json.dumps({"open": why is None, "why": why}).encode() + b"\n")
    await writer.drain()
    writer.close()


def judge(lock: SmartLock, question: Question, answer: bytes) -> str | None:
    """Read an answer and say why the door stays closed; None: it opens."""
    now_s, clock_ms = time.monotonic(), time.time_ns() // 1_000_000
    fields: dict[str, str] = json.loads(answer)
    signed = from_base64url(fields["decision"])
    if "presence" in fields:
        presence = from_base64url(fields["presence"])
        return lock.refusal(question, signed, presence, now_s=now_s, clock_ms=clock_ms)
    try:
        return f"learned that the wallet is {lock.learn(signed).status.name}"
    except DecisionRefused as refused:
        return str(refused)


def from_base64url(text: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def read_keys(path: Path) -> dict[bytes, bytes]:
    """Return the keys of decisions in what /api/v1/keys said."""
    return {
        bytes.fromhex(key["key_id"]): bytes.fromhex(key["public_key"])
        for key in json.loads(path.read_text())["keys"]
        if key["purpose"] == "decision"
    }


async def main(audience: str, keys: Path, memory: Path, port: int, answer_ms_max: int) -> None:
    """Wait for knocks."""
    lock = wake(audience, read_keys(keys), memory, answer_ms_max=answer_ms_max)
    server = await asyncio.start_server(
        lambda reader, writer: serve_knock(lock, memory, reader, writer), "127.0.0.1", port
    )
    print(f"waiting on port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    name, keys_path, memory_path = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    port_number = int(sys.argv[4]) if len(sys.argv) > 4 else 7_007
    limit_ms = int(sys.argv[5]) if len(sys.argv) > 5 else ANSWER_MS_MAX
    asyncio.run(main(name, keys_path, memory_path, port_number, limit_ms))
