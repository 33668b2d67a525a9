"""A fake hub and a wallet for every test of the client."""

from collections.abc import AsyncIterator

import pytest

from realtime_client import Reconnect, Wallet
from realtime_client.fake_hub import FakeHub

QUICK = Reconnect(first_s=0.001, longest_s=0.01, tries_max=20)


@pytest.fixture
async def hub() -> AsyncIterator[FakeHub]:
    async with FakeHub() as running:
        yield running


@pytest.fixture(scope="session")
def wallet() -> Wallet:
    return Wallet.from_seed("a" * 55)


@pytest.fixture
def quick() -> Reconnect:
    """Come back at once."""
    return QUICK
