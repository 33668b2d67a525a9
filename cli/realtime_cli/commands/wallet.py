"""Make a wallet, show whose a seed is, sign a text, look after the keys that log in for it."""

import argparse
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from realtime_cli.errors import UsageError
from realtime_cli.granted_keys import (
    add_keys_arguments,
    add_revoke_arguments,
    revoke_keys,
    show_keys,
)
from realtime_cli.login_line import add_answer_arguments, answer
from realtime_cli.running import layers_of
from realtime_cli.seeds import add_seed_options, find_seed, write_private
from realtime_protocol.identity import encode_identity
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import SEED_LETTERS, keypair
from realtime_protocol.wallet_signatures import sign_login

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz"
_SCHEMES: Final = {"wc": Scheme.WC, "k12": Scheme.K12, "raw": Scheme.RAW}
TEXT_BYTES_MAX: Final = 8_192
_DIGEST_BYTES: Final = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="new|show|sign|answer|keys|revoke"
    )
    new = actions.add_parser("new", help="draw a seed into a file that only you can read")
    new.add_argument("--out", type=Path, metavar="FILE", help="default: IDENTITY.seed, shortened")
    show = actions.add_parser("show", help="print the identity and the public key")
    add_seed_options(show)
    sign = actions.add_parser("sign", help="sign a text as a wallet does, and print the signature")
    sign.add_argument("--text-file", type=Path, metavar="FILE", help="default: standard input")
    sign.add_argument("--scheme", default="k12", choices=sorted(_SCHEMES), help="(k12)")
    add_seed_options(sign)
    add_answer_arguments(
        actions.add_parser("answer", help="turn a hub's challenge in JSON into the login to send")
    )
    add_keys_arguments(actions.add_parser("keys", help="show the keys that may log in for it"))
    add_revoke_arguments(actions.add_parser("revoke", help="let a key log in no more, or none"))


def run(options: argparse.Namespace) -> int:
    """Do the action."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "new": _new,
        "show": _show,
        "sign": _sign,
        "answer": answer,
        "keys": show_keys,
        "revoke": revoke_keys,
    }
    return actions[options.action](options)


def _new(options: argparse.Namespace) -> int:
    seed = "".join(secrets.choice(_ALPHABET) for _ in range(SEED_LETTERS))
    identity = encode_identity(keypair(seed).public_key)
    path = options.out or Path(f"{identity[:8].lower()}.seed")
    write_private(path, seed + "\n")
    print(identity)
    print(f"its seed is in {path}; whoever has it has the wallet", file=sys.stderr)
    return 0


def _show(options: argparse.Namespace) -> int:
    keys = keypair(find_seed(options, layers_of(options), os.environ))
    print(encode_identity(keys.public_key))
    print(keys.public_key.hex())
    return 0


def _sign(options: argparse.Namespace) -> int:
    keys = keypair(find_seed(options, layers_of(options), os.environ))
    scheme = _SCHEMES[options.scheme]
    text = _read_text(options.text_file)
    if scheme is Scheme.RAW and len(text) == _DIGEST_BYTES:
        raise UsageError("a raw text of exactly 32 bytes could be the digest of a transaction")
    print(sign_login(scheme, keys, text).hex())
    return 0


def _read_text(path: Path | None) -> bytes:
    """Return what to sign; UsageError for what may not be a text at all.

    The schemes don't keep texts and transactions apart: bytes that only look like a text could move
    money.
    """
    try:
        if path is None:
            data = sys.stdin.buffer.read(TEXT_BYTES_MAX + 1)
        else:
            with path.open("rb") as file:
                data = file.read(TEXT_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from error
    if len(data) > TEXT_BYTES_MAX:
        raise UsageError(f"a text has at most {TEXT_BYTES_MAX} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError("that is no text: not UTF-8") from error
    if any(not (letter.isprintable() or letter in "\n\t") for letter in text):
        raise UsageError("that is no text: it holds characters that can't be printed")
    return data
