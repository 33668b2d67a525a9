"""A wallet in a process of its own, for clients in languages without Qubic's curve.

    python wallet_process.py SCHEME < requests > answers    (the seed in REALTIME_TEST_SEED)

It first tells who it is, then answers one JSON line for each: {"sign_text": ...} with the signature
of a login text, {"sign_transaction": hex} with the whole signed transaction. It looks before it
signs, as a careful wallet does: a text must be a login text of its own, to the byte.
"""

import json
import os
import sys

from realtime_protocol.identity import encode_identity
from realtime_protocol.login_text import parse_login_text
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import KeyPair, keypair
from realtime_protocol.transaction import sign_transaction
from realtime_protocol.wallet_signatures import sign_login


def answer(wallet: KeyPair, scheme: Scheme, request: dict[str, str]) -> dict[str, str]:
    """Sign what *request* holds; an error for what no careful wallet signs."""
    try:
        if "sign_text" in request:
            text = request["sign_text"].encode()
            if parse_login_text(text).public_key != wallet.public_key:
                raise ValueError("the text is another wallet's")
            return {"hex": sign_login(scheme, wallet, text).hex()}
        unsigned = bytes.fromhex(request["sign_transaction"])
        return {"hex": sign_transaction(unsigned, wallet.subseed, wallet.public_key).hex()}
    except (ValueError, KeyError) as error:
        return {"error": str(error)}


def main() -> None:
    """Answer until stdin ends."""
    wallet = keypair(os.environ["REALTIME_TEST_SEED"])
    scheme = Scheme[sys.argv[1]]
    print(json.dumps({"identity": encode_identity(wallet.public_key), "scheme": int(scheme)}))
    sys.stdout.flush()
    for line in sys.stdin:
        print(json.dumps(answer(wallet, scheme, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
