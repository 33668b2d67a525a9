"""The login that answers a challenge which somebody sees in JSON: one line for another."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import Final

from realtime_cli.errors import UsageError
from realtime_cli.hub_access import add_hub_options, find_hub
from realtime_cli.running import layers_of
from realtime_cli.seeds import add_seed_options, find_seed
from realtime_protocol.client import ClientSession
from realtime_protocol.codec import Push, Reply, decode_answer, decode_reply_body, encode_push
from realtime_protocol.errors import ProtocolError
from realtime_protocol.json_codec import decode_json, encode_json
from realtime_protocol.login_resources import SCOPES, encode_scope
from realtime_protocol.messages import Challenge, PushType, Scheme
from realtime_protocol.schnorrq import KeyPair, keypair
from realtime_protocol.wallet_signatures import sign_login

LINE_BYTES_MAX: Final = 16_384


def add_answer_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes; the challenge comes on standard input."""
    parser.add_argument("--scope", action="append", default=[], choices=SCOPES)
    add_hub_options(parser)
    add_seed_options(parser)


def answer(options: argparse.Namespace) -> int:
    """Read a line, print a line; the text that was signed goes to standard error."""
    layers = layers_of(options)
    hub = find_hub(options, layers)
    text, line = answer_challenge(
        sys.stdin.buffer.readline(LINE_BYTES_MAX),
        keypair(find_seed(options, layers, os.environ)),
        url=hub.url,
        domain=hub.domain,
        scopes=options.scope,
        now_ms=time.time_ns() // 1_000_000,
    )
    print(text, file=sys.stderr)
    print(line)
    return 0


def answer_challenge(
    line: bytes, keys: KeyPair, *, url: str, domain: str, scopes: Sequence[str], now_ms: int
) -> tuple[str, str]:
    """Return the login text that was signed, and the line to send to the hub.

    UsageError when *line* is no challenge, or one for another hub than *url* or another *domain*:
    whoever made it could use the signature there.
    """
    session = ClientSession(uri=url, domain=domain)
    resources = [encode_scope(scope) for scope in scopes]
    try:
        challenge = encode_push(PushType.CHALLENGE, 0, 0, _read_challenge(line))
        session.receive(challenge, now_ms=now_ms)
        text = session.login_text(keys.public_key, resources, now_ms=now_ms)
        _, login = session.login(
            scheme=Scheme.WC,
            wallet=keys.public_key,
            signature=sign_login(Scheme.WC, keys, text),
            resources=resources,
        )
    except ProtocolError as error:
        raise UsageError(str(error)) from error
    return text.decode(), encode_json(login).decode()


def _read_challenge(line: bytes) -> Challenge:
    """Take the hub's first line, or its reply to a request for a further challenge."""
    answer = decode_answer(decode_json(line))
    body = answer.body if isinstance(answer, Push) else None
    if isinstance(answer, Reply):
        body = decode_reply_body(answer)
    if not isinstance(body, Challenge):
        raise UsageError("that is no challenge: copy a line that begins with [128, or [65,")
    return body
