"""The names under which the protocol's versions are known."""

from typing import Final

PROTOCOL_VERSION: Final = 1
SUBPROTOCOL_MSGPACK: Final = "realtime.qubic.v1.msgpack"
SUBPROTOCOL_JSON: Final = "realtime.qubic.v1.json"
"""Reserved for debugging; a hub lists only the subprotocols that it serves."""

WEBSOCKET_PATH: Final = "/v1"
REST_PREFIX: Final = "/api/v1"
