"""The names under which the protocol's versions are known."""

from typing import Final

PROTOCOL_VERSION: Final = 1
SUBPROTOCOL_MSGPACK: Final = "realtime.qubic.v1.msgpack"
SUBPROTOCOL_JSON: Final = "realtime.qubic.v1.json"
"""For people who look on; a hub lists only the subprotocols that it serves."""
SUBPROTOCOLS: Final = (SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON)
"""All there are; a hub takes the first of these that a client offers."""

WEBSOCKET_PATH: Final = "/v1"
REST_PREFIX: Final = "/api/v1"
