"""Settings become a Feast store, and Feast's own command works in the repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import redis
from feast import FeatureStore
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.repo_operations import get_repo_files

from churn.declaration import Declaration, parse
from churn.errors import DeclarationError, SettingsError
from compose.redis_server import RedisServer
from feature_repo.online import OnlineWriter
from feature_repo.store import apply, configuration, connection_string

ROOT = Path(__file__).resolve().parents[2]
FEAST = Path(sys.executable).with_name("feast")
COLLIDING = """
business: two names for one field
events: {purchase: {activity: true}}
counters: {purchases: {unit: purchases, adds: {purchase: 1}}}
features:
  feature_19831: {total: purchases, says: one}
  feature_82479: {total: purchases, says: other}
"""


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://cache", {"db": 0}),
        ("redis://:123@cache/4", {"db": 4, "password": "123"}),
        ("redis://:a%40b=%20@cache/4", {"db": 4, "password": "a@b= "}),
        ("rediss://app:1e5@cache?socket_timeout=5", {"db": 0, "ssl": True, "username": "app", "password": "1e5", "socket_timeout": 5}),
    ],
)  # fmt: skip
def test_feast_understands_the_url(url: str, options: dict[str, object]) -> None:
    assert RedisOnlineStore._parse_connection_string(connection_string(url)) == (
        [{"host": "cache", "port": "6379"}],
        options,
    )


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "redis://[::1]:6379", "redis://:a,s3cret@cache"])
def test_url_that_feast_cannot_use_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="CHURN_REDIS_URL") as refusal:
        connection_string(url)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("registry", "kind"), [("/data/registry.db", "file"), ("s3://bucket/registry.db", "file"), ("postgresql+psycopg://db/feast", "sql")]
)  # fmt: skip
def test_registry_is_a_file_or_a_database(registry: str, kind: str) -> None:
    chosen = configuration("churn", "redis://cache", registry)["registry"]
    assert (chosen["registry_type"], chosen["path"]) == (kind, registry)


def test_views_carry_the_declarations_features_and_version(store: FeatureStore, shop: Declaration) -> None:
    view = store.get_feature_view("user_features")
    assert [(f.name, f.description) for f in view.features] == [(f.name, f.says) for f in shop.features]
    assert view.tags["feature_set_version"] == shop.feature_set_version


def test_applying_twice_changes_nothing(
    store: FeatureStore, shop: Declaration, shop_data: Path, redis_server: RedisServer
) -> None:
    before = {view.name: view for view in store.list_feature_views()}
    registry = str(shop_data / "registry.db")
    again = apply(shop, project="feast_shop", redis_url=redis_server.url, registry=registry, data_dir=shop_data)
    assert {view.name: view for view in again.list_feature_views()} == before


def test_sql_registry_holds_the_definitions(shop: Declaration, tmp_path: Path) -> None:
    registry = f"sqlite:///{tmp_path}/registry.sqlite"
    store = apply(shop, project="shop", redis_url="redis://cache", registry=registry, data_dir=tmp_path)
    assert {view.name for view in store.list_feature_views()} == {"user_features", "user_score"}


def test_colliding_features_are_refused_before_anything_is_registered(tmp_path: Path) -> None:
    declaration, registry = parse(COLLIDING, "colliding.yaml"), tmp_path / "registry.db"
    with pytest.raises(DeclarationError, match="feature_19831 and user_features:feature_82479"):
        apply(declaration, project="p", redis_url="redis://cache", registry=str(registry), data_dir=tmp_path)
    assert not registry.exists()


def test_feast_imports_the_definitions_alone() -> None:
    assert [path.name for path in get_repo_files(ROOT / "feature_repo")] == ["definitions.py"]


def feast(*arguments: str, **variables: str) -> str:
    environment = (
        {k: v for k, v in os.environ.items() if not k.startswith("CHURN_")} | {"PYTHONPATH": str(ROOT)} | variables
    )
    command = [str(FEAST), *arguments]
    return subprocess.run(
        command, cwd=ROOT / "feature_repo", env=environment, check=True, text=True, capture_output=True, timeout=120
    ).stdout  # the program of this environment


def test_feasts_command_applies_and_reads(
    redis_client: "redis.Redis", redis_server: RedisServer, tmp_path: Path
) -> None:
    variables = {
        "CHURN_DATA_DIR": str(tmp_path),
        "CHURN_DECLARATION": "feature_repo/declarations/purchases.yaml",
        "CHURN_REDIS_URL": redis_server.url,
    }
    feast("apply", **variables)
    OnlineWriter(redis_client, "churn", ["purchases_7d"]).write(["u1"], np.full((1, 1), 7.5, np.float32), 1)
    asked = ("-f", "user_features:purchases_7d", "-e", "user_id=u1")
    answer = json.loads(feast("get-online-features", *asked, **variables))
    assert answer == {"user_id": ["u1"], "purchases_7d": [7.5]}
