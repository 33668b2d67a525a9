"""How many signatures a second a backend has checked over a service session, 64 a message.

Hub and devnet run as programs of their own on this machine, and this program is the backend: it
sends signatures of wallets that the hub has seen, or of ever new ones (--new), over WebSocket.
libsodium's Ed25519 verification (PyNaCl) in the same run is the yardstick. The clock's figure needs
two cores that are free; the processor's time that the hub uses for one signature doesn't.
"""

import argparse
import asyncio
import re
import secrets
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nacl import bindings
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from realtime_cli.machine import describe_machine
from realtime_cli.stack import Stack, StackOptions
from realtime_hub.adapters.sqlite_apps import SqliteApps
from realtime_hub.apps.model import ApiKey, KeyScope, hash_token, make_token
from realtime_hub.wiring.apps import APPS_FILE
from realtime_protocol.codec import Reply, decode_answer, decode_reply_body, encode_request
from realtime_protocol.messages import RequestType, Scheme, ServiceRequest, SignedText
from realtime_protocol.signature_timing import sample_message
from realtime_protocol.versions import SUBPROTOCOL_MSGPACK

A_MESSAGE: Final = 64
IN_FLIGHT: Final = 6
"""Messages; more of them than half the hub's queue would make it shed what else it serves."""
MESSAGES_KNOWN: Final = 16
RATE_MIN: Final = 100_000
_CPU: Final = re.compile(rb"^process_cpu_seconds_total (\S+)$", re.MULTILINE)
_KEY_ID: Final = "be9c4be9"
_YARDSTICK_CHECKS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found."""

    rate: float
    cpu_us: float
    """Of the hub, all its threads, for one signature."""
    ed25519_us: float

    def lines(self) -> list[str]:
        """Return it for people."""
        return [
            f"verify over a socket      {self.rate:>9,.0f} signatures/s (to reach: {RATE_MIN:,})",
            f"the hub's processor time  {self.cpu_us:>9.2f} us a signature, "
            f"{2e6 / self.cpu_us:,.0f}/s on two whole cores",
            f"PyNaCl's Ed25519 verify   {self.ed25519_us:>9.2f} us, {1e6 / self.ed25519_us:,.0f}/s "
            f"on one core, {2e6 / self.ed25519_us:,.0f}/s on two",
            f"ratio to two cores of it  {self.rate * self.ed25519_us / 2e6:>9.2f} by the clock, "
            f"{self.ed25519_us / self.cpu_us:.2f} by processor time",
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench-services", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="(5)")
    parser.add_argument("--new", action="store_true", help="every signature of a new wallet")
    options = parser.parse_args(arguments)
    if not 0.5 <= options.seconds <= 60:
        parser.error("--seconds is not in 0.5..60")
    print(", ".join(describe_machine().values()))
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(measure(Path(folder), options.seconds, new=options.new))
    print("\n".join(measured.lines()))
    return 0


async def measure(folder: Path, seconds: float, *, new: bool) -> Measured:
    """Run hub and devnet, and measure."""
    config, state = folder / "realtime.toml", folder / "hub"
    config.write_text('[[hub.apps]]\nname = "bench"\ndomains = ["bench.example"]\n')
    state.mkdir()
    token = _make_key(state)
    frames = _frames(int(seconds * RATE_MIN / A_MESSAGE) if new else MESSAGES_KNOWN)
    devnet = ["--node-port", "0", "--http-port", "0", "--state", str(folder / "devnet")]
    hub = ["--config", str(config), "--port", "0", "--admin-port", "0", "--state", str(state)]
    options = StackOptions(devnet, hub, logs=folder / "logs")
    async with Stack(options) as stack, _connected(stack.info.url) as socket:
        await _log_in(socket, token)
        if not new:
            await _ask(socket, frames, until_s=time.perf_counter() + 1)
        before_us = _ed25519_us()
        cpu_s, begin_s = _cpu_s(stack.info.admin_url), time.perf_counter()
        count = await _ask(socket, frames, until_s=begin_s + seconds, once=new)
        spent_s = time.perf_counter() - begin_s
        cpu_s = _cpu_s(stack.info.admin_url) - cpu_s
    ed25519_us = min(before_us, _ed25519_us())
    return Measured(count / spent_s, cpu_s * 1e6 / count, ed25519_us)


def _make_key(state: Path) -> str:
    token = make_token(_KEY_ID, secrets.token_bytes(32))
    store = SqliteApps(state / APPS_FILE)
    store.add_key(
        ApiKey(
            key_id=_KEY_ID,
            app="bench",
            token_hash=hash_token(token),
            scopes=frozenset(KeyScope),
            requests_per_s=100_000,
            sessions_max=4,
            created_ms=1,
        )
    )
    store.close_file()
    return token


def _frames(count: int) -> list[list[SignedText]]:
    print(f"signing {count * A_MESSAGE:,} texts", file=sys.stderr)
    texts = []
    for number in range(count * A_MESSAGE):
        wallet, message, signature = sample_message(number)
        texts.append(SignedText(wallet, Scheme.RAW, message, signature))
    return [texts[at : at + A_MESSAGE] for at in range(0, len(texts), A_MESSAGE)]


def _connected(url: str) -> connect:
    return connect(
        url, subprotocols=[Subprotocol(SUBPROTOCOL_MSGPACK)], compression=None, proxy=None
    )


async def _log_in(socket: ClientConnection, token: str) -> None:
    await socket.recv()
    await socket.send(encode_request(RequestType.SERVICE, 1, ServiceRequest(token)))
    answer = decode_answer(bytes(await socket.recv(decode=False)))
    assert isinstance(answer, Reply), answer


async def _ask(
    socket: ClientConnection,
    frames: Sequence[list[SignedText]],
    *,
    until_s: float,
    once: bool = False,
) -> int:
    """Have frames checked until the time is over, or all once; return how many signatures were."""
    sent = answered = 0
    last = len(frames) if once else sys.maxsize
    while answered < sent or (sent < last and time.perf_counter() < until_s):
        more = sent < last and time.perf_counter() < until_s
        while more and sent - answered < IN_FLIGHT and sent < last:
            body = frames[sent % len(frames)]
            await socket.send(encode_request(RequestType.VERIFY, 2 + sent, body))
            sent += 1
        answer = decode_answer(bytes(await socket.recv(decode=False)))
        if isinstance(answer, Reply):
            if answered % 64 == 0:
                assert all(verdict.valid for verdict in decode_reply_body(answer))
            answered += 1
        else:
            assert getattr(answer, "body", None) is not None, answer  # A checkpoint.
    return answered * A_MESSAGE


def _cpu_s(admin_url: str) -> float:
    with urllib.request.urlopen(f"{admin_url}/metrics", timeout=10) as answer:  # noqa: S310  (our own)
        found = _CPU.search(answer.read())
    assert found is not None
    return float(found[1])


def _ed25519_us() -> float:
    """Return the processor's microseconds of one verification."""
    public_key, secret_key = bindings.crypto_sign_keypair()
    signed = bindings.crypto_sign(bytes(32), secret_key)
    begin_s = time.process_time()
    for _ in range(_YARDSTICK_CHECKS):
        bindings.crypto_sign_open(signed, public_key)
    return (time.process_time() - begin_s) * 1e6 / _YARDSTICK_CHECKS


if __name__ == "__main__":
    sys.exit(main())
