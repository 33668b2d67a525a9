"""Publications of other hubs, for what is to be heard soon: what is lost comes otherwise."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from realtime_hub.adapters.redis_asking import stop_if_cancelled

logger = logging.getLogger(__name__)

LISTEN_S: Final = 1.0
RECONNECT_PAUSE_S: Final = 0.1


async def follow_news(
    redis: Redis, *channels: str, about: str, take: Callable[[bytes, bytes], None]
) -> None:
    """Give *take* each publication's channel and data, for ever, through any loss of connection.

    *about* is what they tell, for the log, which hears of a trouble and of its end once.
    """
    is_lost = False
    while True:
        try:
            async with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(*channels)
                if is_lost:
                    logger.info("news of %s: followed again", about)
                    is_lost = False
                await _listen(pubsub, take)
        except (RedisError, OSError, TimeoutError) as error:
            stop_if_cancelled()
            if not is_lost:
                logger.warning("news of %s: %s", about, error)
            is_lost = True
            await asyncio.sleep(RECONNECT_PAUSE_S)


async def _listen(pubsub: PubSub, take: Callable[[bytes, bytes], None]) -> None:
    while True:
        message = await pubsub.get_message(timeout=LISTEN_S)
        stop_if_cancelled()
        if message is not None:
            take(message["channel"], message["data"])
