"""What feature_store.yaml needs beyond Feast: the variables of this system, with its defaults.

Feast replaces ${NAME} in feature_store.yaml but knows no default: an unset variable stays as it stands.
"""

import os
from pathlib import Path
from typing import Any, Literal

from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.infra.registry.file import FileRegistryStore
from feast.repo_config import RegistryConfig
from pydantic import field_validator

from churn.settings import Settings
from feature_repo.store import connection_string, default_registry

REPOSITORY = Path(__file__).parent
DEFAULTS = Settings.model_validate({})


def given(value: str) -> str | None:
    """Return the value unless it is the name of a variable that is not set."""
    return None if value.startswith("${") or not value else value


def data_dir() -> Path:
    """Return the data folder, CHURN_DATA_DIR; a relative one lies beside the feature repository."""
    return REPOSITORY.parent / (os.environ.get("CHURN_DATA_DIR") or DEFAULTS.data_dir)


class UrlRedisOnlineStoreConfig(RedisOnlineStoreConfig):
    """Feast's Redis settings with a Redis URL as `connection_string`."""

    type: Literal["feature_repo.feast_stores.UrlRedisOnlineStore"]  # type: ignore[assignment]  # the name selects the class

    @field_validator("connection_string")
    @classmethod
    def _from_url(cls, value: str) -> str:
        return connection_string(given(value) or DEFAULTS.redis_url.get_secret_value())


class UrlRedisOnlineStore(RedisOnlineStore):
    """Feast's Redis store, told where Redis is by a URL."""


class DefaultFileRegistryStore(FileRegistryStore):
    """Feast's registry file, in the data folder unless another path is given."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path, *rest: Any) -> None:
        """Open the registry and make its folder."""
        path = given(registry_config.path) or default_registry(data_dir())
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        super().__init__(registry_config.model_copy(update={"path": path}), repo_path, *rest)
