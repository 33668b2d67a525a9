"""The phone of the smart lock example: fetch a decision while there is a network, then knock.

    python examples/smart_lock_phone.py fetch ws://127.0.0.1:8080/v1 DEMO_FILE door-7 phone.json
    python examples/smart_lock_phone.py knock PORT phone.json

phone.json holds the session key's seed: whoever has it can open the door as long as the decision.
"""

import asyncio
import json
import os
import secrets
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

from realtime_client import Wallet, connect
from realtime_protocol.session_key import (
    Kind,
    presence_body,
    session_public_key,
    sign_with_session_key,
)


async def fetch(url: str, demo_file: Path, audience: str, phone: Path) -> None:
    """Log in with a key of this phone's own, and bring home a decision that names it."""
    seed = secrets.token_bytes(32)
    wallet = Wallet.from_seed(json.loads(demo_file.read_text())["wallets"][0]["seed"])
    async with connect(url, wallet, session_key=session_public_key(seed)) as session:
        decision = await session.decision(audience)
    content = json.dumps({"seed": seed.hex(), "decision": decision.hex()})
    with os.fdopen(os.open(phone, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(content)
    print(f"fetched {len(decision)} bytes")


async def knock(port: int, phone: Path) -> None:
    """Answer the lock's nonce; no hub is asked."""
    kept = json.loads(phone.read_text())
    seed, decision = bytes.fromhex(kept["seed"]), bytes.fromhex(kept["decision"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = json.loads(await reader.readline())
    body = presence_body(audience=asked["audience"], nonce=asked["nonce"])
    presence = sign_with_session_key(seed, Kind.PRESENCE, body)
    answer = {"decision": base64url(decision), "presence": base64url(presence)}
    writer.write(json.dumps(answer).encode() + b"\n")
    said = json.loads(await reader.readline())
    writer.close()
    print("open" if said["open"] else f"closed: {said['why']}")


def base64url(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fetch", url, demo_file, audience, phone]:
            asyncio.run(fetch(url, Path(demo_file), audience, Path(phone)))
        case ["knock", port, phone]:
            asyncio.run(knock(int(port), Path(phone)))
        case _:
            sys.exit(__doc__)
