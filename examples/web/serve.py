"""Serves the example page and signs for its wallet, which must not live in a page.

    python examples/web/serve.py [--port 8000] [--demo .realtime/devnet/demo.json]

A real page asks the user's wallet; this program stands for one. It signs with a demo wallet of the
devnet whatever the page asks for, so it listens on this machine only and knows no other wallets.
"""

import argparse
import json
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from realtime_protocol.identity import encode_identity
from realtime_protocol.messages import Scheme
from realtime_protocol.schnorrq import KeyPair, keypair
from realtime_protocol.transaction import sign_transaction
from realtime_protocol.wallet_signatures import sign_login

HERE = Path(__file__).parent
CLIENT = HERE.parents[1] / "clients" / "js"
# What of the repository the page may load.
FOLDERS = {
    "client": CLIENT / "dist",
    "msgpack": CLIENT / "node_modules" / "@msgpack" / "msgpack" / "dist.esm",
}
BODY_BYTES_MAX = 4_096
SCHEME = Scheme.K12


class Handler(SimpleHTTPRequestHandler):
    """Files by GET, signatures by POST."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def __init__(self, demo: Path, *args: object) -> None:
        self.demo = demo
        super().__init__(*args)  # type: ignore[arg-type]  # the server's own arguments

    def translate_path(self, path: str) -> str:
        """Find a file: of the client, of the package that it needs, or of this folder."""
        first, _, rest = path.partition("?")[0].lstrip("/").partition("/")
        self.directory = str(FOLDERS.get(first, HERE))
        return super().translate_path(f"/{rest}" if first in FOLDERS else path)

    def do_POST(self) -> None:
        """Answer /wallet, /sign and /sign-transaction; the body is JSON with a wallet's number."""
        if self.headers.get("Origin") != f"http://{self.headers.get('Host')}":
            self.send_error(HTTPStatus.FORBIDDEN, "only this server's own page may ask")
            return
        try:
            size = min(int(self.headers.get("Content-Length", 0)), BODY_BYTES_MAX)
            answer = self.answer(json.loads(self.rfile.read(size)))
        except (ValueError, KeyError, IndexError, OSError) as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            return
        body = json.dumps(answer).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, request: dict[str, object]) -> dict[str, object]:
        """Sign what was asked for; ValueError and KeyError for what can't be."""
        seeds = [wallet["seed"] for wallet in json.loads(self.demo.read_bytes())["wallets"]]
        wallets = [keypair(seed) for seed in seeds]
        wallet: KeyPair = wallets[int(str(request["wallet"]))]
        match self.path:
            case "/wallet":
                others = [encode_identity(other.public_key) for other in wallets if other != wallet]
                identity = encode_identity(wallet.public_key)
                return {"identity": identity, "scheme": int(SCHEME), "payee": others[0]}
            case "/sign":
                return {"hex": sign_login(SCHEME, wallet, str(request["text"]).encode()).hex()}
            case "/sign-transaction":
                unsigned = bytes.fromhex(str(request["hex"]))
                signed = sign_transaction(unsigned, wallet.subseed, wallet.public_key)
                return {"hex": signed.hex()}
        raise ValueError(f"nothing is signed at {self.path}")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--demo", type=Path, default=Path(".realtime/devnet/demo.json"))
    options = parser.parse_args()
    with ThreadingHTTPServer(("127.0.0.1", options.port), partial(Handler, options.demo)) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
