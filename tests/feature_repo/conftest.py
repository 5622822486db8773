"""A small business, a Feast store for it on the session's Redis, and our writer beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from feast import FeatureStore

from churn.declaration import Declaration, parse
from compose.redis_server import RedisServer
from feature_repo.online import OnlineWriter
from feature_repo.store import apply

DECLARATION = """
business: corner shop
events:
  purchase: {activity: true, measures: {amount: {min: 0, max: 1000}}}
counters:
  purchases: {unit: purchases, adds: {purchase: 1}}
features:
  purchases_{window}d: {sum: purchases, windows: [7, 14, 30], says: "{value} purchases in {window} days"}
  days_since_last: {days_since_last: activity, cap: 90, says: "no purchase for {value} days"}
"""


@pytest.fixture(scope="session")
def shop() -> Declaration:
    """Return a declaration of four features."""
    return parse(DECLARATION, "shop.yaml")


@pytest.fixture(scope="module")
def shop_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the store."""
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def store(shop: Declaration, shop_data: Path, redis_server: RedisServer) -> FeatureStore:
    """Return an applied Feast store of project `feast_shop`."""
    registry = str(shop_data / "registry.db")
    return apply(shop, project="feast_shop", redis_url=redis_server.url, registry=registry, data_dir=shop_data)


@pytest.fixture
def writer(shop: Declaration, redis_client: "redis.Redis") -> Iterator[OnlineWriter]:
    """Return our writer of project `own_shop`."""
    writer = OnlineWriter(redis_client, "own_shop", shop.feature_names)
    yield writer
    writer.close()
