"""The public HTTP API of Qubic, as far as trust needs it: calls of a contract's functions."""

import base64
import binascii
from typing import Final

import httpx
import msgspec

from realtime_hub.chain.model import NodeUnavailable
from realtime_protocol.qubic.http_api import ContractQuery, ContractQueryReply

QUERY_PATH: Final = "/live/v1/querySmartContract"
ANSWER_BYTES_MAX: Final = 1 << 16
"""The largest output, GetChanges', is 16.4 kB as base64."""
CONNECTIONS_MAX: Final = 8


class QubicHttp:
    """One API server. Implements contract_trust's ContractCaller."""

    def __init__(self, base_url: str, *, timeout_s: float) -> None:
        self._base_url = base_url.rstrip("/")
        self._client = httpx.AsyncClient(
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            # A proxy from the environment would stand between us and what we believe.
            trust_env=False,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def call_function(self, contract_index: int, input_type: int, payload: bytes) -> bytes:
        """Call a contract's function; b"" stands for any failure of the call itself."""
        query = ContractQuery(
            contract_index, input_type, len(payload), base64.b64encode(payload).decode()
        )
        try:
            reply = msgspec.json.decode(
                await self._post(QUERY_PATH, msgspec.json.encode(query)), type=ContractQueryReply
            )
            return base64.b64decode(reply.response_data, validate=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NodeUnavailable(f"{self._base_url}: {error or type(error).__name__}") from error
        except (msgspec.MsgspecError, binascii.Error) as error:
            raise NodeUnavailable(f"{self._base_url} gave no answer to read: {error}") from error

    async def _post(self, path: str, body: bytes) -> bytes:
        url = self._base_url + path
        headers = {"Content-Type": "application/json"}
        async with self._client.stream("POST", url, content=body, headers=headers) as answer:
            answer.raise_for_status()
            content = bytearray()
            async for piece in answer.aiter_bytes():
                content += piece
                if len(content) > ANSWER_BYTES_MAX:
                    raise NodeUnavailable(f"{url} answers with over {ANSWER_BYTES_MAX} bytes")
            return bytes(content)
