"""What rivals are told to answer: recorded from the hub, so that all say the same.

The file has lines of words: ``challenge HEX``, ``login HEX``, ``subscribed HEX``, ``published HEX``
(whole frames; the ids in them are fixed), ``push HEX`` (a frame whose offset grows by one with each
fan-out) and, for each wallet, ``wallet HEX STATUS SCORE SEQ REASON TIER``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.hub.network import GENESIS
from bench.hub.probe import PUBLISH_ID, SUBSCRIBE, Answers, probing
from bench.hub.wallets import SCORE, TIMES, WATCHED, wallet
from realtime_cli.node_tick import read_current_tick
from realtime_cli.trust_order import sign_trust_order
from realtime_devnet.settings import CONTRACT_INDEX
from realtime_loadtest.wire import pack
from realtime_protocol.identity import PublicKey
from realtime_protocol.messages import RequestType
from realtime_protocol.qubic.contract_abi import ChainStatus, StatusSetting
from realtime_protocol.schnorrq import keypair

TICKS_AHEAD: Final = 50
"""An order may name a tick up to 60 ahead; none of these is reached while it is measured."""


class Orders:
    """Orders that lower the watched wallet's score, one point each: a hub takes each but once."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._score = SCORE
        self._newest = b""

    def next_publish(self, *, for_hub: bool) -> bytes:
        """Return the request that makes a server tell all watchers; a rival takes any again."""
        if not for_hub:
            return self._newest
        self._score -= 1
        setting = StatusSetting(
            PublicKey(wallet(WATCHED).public_key), ChainStatus.ACTIVE, self._score
        )
        order = sign_trust_order(
            keypair(GENESIS.admin_seed),
            setting,
            contract_index=CONTRACT_INDEX,
            tick=read_current_tick(self._node) + TICKS_AHEAD,
        )
        self._newest = pack([int(RequestType.TRUST_SET), PUBLISH_ID, [order]])
        return self._newest


def record_work(port: int, orders: Orders, answers: Answers, path: Path) -> None:
    """Write what the hub at *port* says as the rivals' work."""
    with probing(port) as watcher, probing(port, as_admin=True) as admin:
        subscribed = watcher.ask(SUBSCRIBE)
        published = admin.ask(orders.next_publish(for_hub=True))
        frames = {
            "challenge": watcher.challenge,
            "login": watcher.login,
            "subscribed": subscribed,
            "published": published,
            "push": watcher.receive(),
        }
    lines = [f"{name} {frame.hex()}" for name, frame in frames.items()]
    lines += [_wallet_line(number, trust) for number, trust in enumerate(answers.trusts)]
    path.write_text("\n".join(lines) + "\n")


def _wallet_line(number: int, trust: Sequence[int]) -> str:
    return " ".join(["wallet", wallet(number).public_key.hex(), *map(str, trust[:-TIMES])])
