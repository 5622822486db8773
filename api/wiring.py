"""Builds what the API needs from settings; nothing connects before the application's lifespan begins."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from functools import partial
from typing import cast

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from api.dependencies import Dependencies, RiskBands
from api.metrics import instruments
from api.pulse_follower import PulseFollower
from churn.declaration import Declaration
from churn.errors import OutageError
from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY, MODELS, SCORES
from feature_repo.champion import ServingModel
from feature_repo.control import serve_champions
from feature_repo.reader import AsyncOnlineReader

CONNECT_SECONDS = 1.0
PING_SECONDS = 1.0


def wire(settings: Settings, declaration: Declaration) -> Dependencies:
    """Return the dependencies of one API process."""
    measured = instruments()
    champion = ServingModel(settings.models_dir, declaration, measured)
    config, prefix = client_config(settings), settings.topic_prefix
    champions = serve_champions(config, MODELS.name(prefix), settings.model_name, champion)
    pulse = PulseFollower(config, SCORES.name(prefix), ACTIVITY.name(prefix), _now_ms)
    client = _redis(settings)
    return Dependencies(
        declaration=declaration,
        bands=RiskBands(settings.medium_risk, settings.high_risk),
        reader=AsyncOnlineReader(client, settings.feast_project, declaration.feature_names),
        ping=partial(_ping, client),
        champion=champion,
        pulse=lambda: pulse.view,
        followers=(champions.following, pulse.following),
        clock=lambda: datetime.now(UTC),
        instruments=measured,
    )


def _redis(settings: Settings) -> "redis.asyncio.Redis":
    # The client's own retries wait up to seconds; a request had rather hear at once that Redis is away.
    return redis.asyncio.Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


async def _ping(client: "redis.asyncio.Redis") -> None:
    try:
        async with asyncio.timeout(PING_SECONDS):
            # The stubs speak for the blocking client too, whose ping returns at once.
            await cast("Awaitable[bool]", client.ping())
    except (OSError, RedisError) as error:
        raise OutageError(f"Redis does not answer ({error or 'timeout'}); look-ups wait for it") from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
