"""A Feast store for given settings: Redis from a URL, the registry in a file or a database, Parquet offline."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml
from feast import FeatureStore, RepoConfig

from churn.declaration import Declaration
from churn.errors import SettingsError
from feature_repo.offline import scores_folder, vectors_folder
from feature_repo.views import Repository, repository

CONFIGURATION = Path(__file__).with_name("feature_store.yaml")


def default_registry(data_dir: Path) -> str:
    """Return the registry's file when no other is set."""
    return str(data_dir.absolute() / "feast" / "registry.db")


def connection_string(redis_url: str) -> str:
    """Translate a Redis URL into Feast's own form.

    Raises:
        SettingsError: the URL cannot be said in that form; names the part, never the password.

    >>> connection_string("rediss://app:s3cret@cache.example:6380/2?ssl_cert_reqs=none")
    'cache.example:6380,db=2,ssl=true,username=app,password=s3cret,ssl_cert_reqs=none'
    """
    url = urlsplit(redis_url)
    if url.scheme not in ("redis", "rediss") or not url.hostname or ":" in url.hostname:
        raise SettingsError(
            "CHURN_REDIS_URL: Feast needs redis://host:port/db or rediss://... with a host name or IPv4 address"
        )
    options: dict[str, str] = {"db": url.path.strip("/") or "0"}
    if url.scheme == "rediss":
        options["ssl"] = "true"
    options |= {
        key: _text(key, value) for key, value in (("username", url.username), ("password", url.password)) if value
    }
    options |= dict(parse_qsl(url.query))
    return ",".join([f"{url.hostname}:{url.port or 6379}", *(f"{key}={value}" for key, value in options.items())])


def _text(key: str, quoted: str) -> str:
    value = unquote(quoted)
    if "," in value:
        raise SettingsError(
            f"CHURN_REDIS_URL: the {key} holds a comma, which separates options in Feast; choose another {key}"
        )
    try:
        json.loads(value)
    except ValueError:
        return value
    # Feast reads options as JSON: the password 1e5 would arrive as the number 100000.0.
    return json.dumps(value)


def configuration(project: str, redis_url: str, registry: str) -> dict[str, Any]:
    """Return Feast's configuration with stock types only, as a client elsewhere can use it too.

    `registry` is a path, an object storage address, or the SQLAlchemy URL of a database.
    """
    config: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    online = config["online_store"] | {"type": "redis", "connection_string": connection_string(redis_url)}
    return config | {"project": project, "registry": _registry(registry), "online_store": online}


def _registry(registry: str) -> dict[str, Any]:
    scheme = urlsplit(registry).scheme
    sql = scheme.split("+")[0] in ("postgresql", "mysql", "sqlite")
    return {"registry_type": "sql" if sql else "file", "path": registry, "cache_ttl_seconds": 60}


def open_store(project: str, redis_url: str, registry: str) -> FeatureStore:
    """Return the store; its registry must have been applied before features are asked for."""
    config = RepoConfig(**configuration(project, redis_url, registry))
    config.repo_path = CONFIGURATION.parent
    return FeatureStore(config=config)


def apply(declaration: Declaration, *, project: str, redis_url: str, registry: str, data_dir: Path) -> FeatureStore:
    """Register everything that follows from the declaration; a second time changes nothing.

    Raises:
        DeclarationError: two features share a field of the online store; nothing is registered.
    """
    definitions: Repository = repository(declaration, data_dir)
    if not urlsplit(registry).scheme:
        Path(registry).parent.mkdir(parents=True, exist_ok=True)
    for folder in (vectors_folder(data_dir), scores_folder(data_dir)):
        folder.mkdir(parents=True, exist_ok=True)
    store = open_store(project, redis_url, registry)
    store.apply(list(definitions))
    return store
