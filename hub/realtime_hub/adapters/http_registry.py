"""A registry that another hub keeps: its chain is fetched over HTTP and checked entry by entry."""

import asyncio
import base64
import binascii
import logging
from typing import Annotated, Final

import httpx
import msgspec
from msgspec import Meta, Struct

from realtime_hub.chain.model import NodeUnavailable
from realtime_hub.clock import Clock
from realtime_protocol.qubic.contract_abi import Function
from realtime_protocol.registry import Registry, RegistryEntry, RegistryError
from realtime_protocol.versions import REST_PREFIX

logger = logging.getLogger(__name__)

REGISTRY_PATH: Final = f"{REST_PREFIX}/registry"
PAGE_BYTES_MAX: Final = 1 << 20
PAGES_PER_FETCH_MAX: Final = 8
"""At the start a long chain comes in several fetches; until it is whole nothing is answered."""
LEASE_S: Final = 2.0
"""Without a word from the registry's keeper for longer, its table isn't vouched for."""

Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class EntryShape(Struct, frozen=True):
    """One entry as the keeper serves it."""

    number: int
    signed_tx: Annotated[str, Meta(max_length=2048)]
    """Base64."""
    accepted_ms: Annotated[int, Meta(ge=0, lt=2**53)]
    hash: Hash


class PageShape(Struct, frozen=True):
    """GET /api/v1/registry?after=N."""

    name: str
    number: int
    """Of the newest entry."""
    hash: Hash
    entries: Annotated[list[EntryShape], Meta(max_length=256)]


class HttpRegistry:
    """Follows a registry. Implements contract_trust's ContractCaller.

    What was checked once stays: a keeper that shows another chain later is not believed.
    """

    def __init__(self, base_url: str, table: Registry, clock: Clock, *, timeout_s: float) -> None:
        self._url = base_url.rstrip("/") + REGISTRY_PATH
        self._table = table
        self._clock = clock
        self._whole_s: float | None = None
        """When the table was last known to be whole."""
        self._fetching = asyncio.Lock()
        # A proxy from the environment would stand between us and what we believe.
        self._client = httpx.AsyncClient(timeout=timeout_s, trust_env=False)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._client.aclose()

    async def call_function(self, _contract_index: int, function: int, payload: bytes) -> bytes:
        """Answer a function of the TurboAuth ABI; GetInfo looks for news first."""
        if function == Function.GET_INFO or self._whole_s is None:
            await self._fetch()
        if self._whole_s is None or self._clock.monotonic_s() - self._whole_s > LEASE_S:
            raise NodeUnavailable(f"{self._url} hasn't answered for over {LEASE_S:.0f} s")
        return self._table.call(function, payload)

    async def _fetch(self) -> None:
        asked_s = self._clock.monotonic_s()
        async with self._fetching:
            if self._whole_s is not None and self._whole_s > asked_s:
                return
            for _ in range(PAGES_PER_FETCH_MAX):
                began_s = self._clock.monotonic_s()
                page = await self._page(self._table.number)
                self._take(page)
                if self._table.number == page.number:
                    self._whole_s = began_s
                    return

    def _take(self, page: PageShape) -> None:
        try:
            for shape in page.entries:
                signed_tx = base64.b64decode(shape.signed_tx, validate=True)
                number, accepted_ms = shape.number, shape.accepted_ms
                digest = bytes.fromhex(shape.hash)
                self._table.take(RegistryEntry(number, signed_tx, accepted_ms, digest))
        except (RegistryError, binascii.Error) as error:
            raise NodeUnavailable(f"{self._url}: {error}") from error
        is_same = page.number == self._table.number and page.hash == self._table.hash.hex()
        if not page.entries and not is_same:
            raise NodeUnavailable(
                f"{self._url} shows another chain than before: entry {page.number} instead of "
                f"{self._table.number}"
            )

    async def _page(self, after: int) -> PageShape:
        try:
            url = f"{self._url}?after={after}"
            async with self._client.stream("GET", url) as answer:
                answer.raise_for_status()
                content = bytearray()
                async for piece in answer.aiter_bytes():
                    content += piece
                    if len(content) > PAGE_BYTES_MAX:
                        raise NodeUnavailable(f"{url} answers with over {PAGE_BYTES_MAX} bytes")
            return msgspec.json.decode(content, type=PageShape)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NodeUnavailable(f"{self._url}: {error or type(error).__name__}") from error
        except msgspec.MsgspecError as error:
            raise NodeUnavailable(f"{self._url} gave no page of a registry: {error}") from error
