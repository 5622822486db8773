"""What the tests of training share: the example business, an archive to write, events to write into it."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from churn.declaration import Declaration
from churn.events import Event
from churn.settings import Settings
from compose.kafka import KafkaServer
from compose.topic_admin import ensure_topics
from feature_repo.declared import load
from tests.training.archives import archive, midnight
from training.registry import Registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def elearning() -> Declaration:
    """Return the example business."""
    return load(ROOT / "feature_repo" / "declarations" / "elearning.yaml")


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an MLflow database without any run; creating one takes 5 s, so tests copy it."""
    folder = tmp_path_factory.mktemp("mlflow")
    Registry(f"sqlite:///{folder / 'mlflow.db'}", "churn", folder, folder).versions()
    return folder / "mlflow.db"


@pytest.fixture
def registry(new_database: Path, tmp_path: Path) -> Registry:
    """Return an empty registry."""
    (tmp_path / "mlflow.db").write_bytes(new_database.read_bytes())
    return Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", "churn", tmp_path / "models", tmp_path / "mlartifacts")


@pytest.fixture
def one_partition(kafka: KafkaServer, topic_prefix: str, tmp_path: Path) -> Settings:
    """Return settings of one partition with topics of their own; everybody is audited."""
    own = Settings(
        kafka_bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix, partitions=1, data_dir=tmp_path,
        audit_share=1.0, archive_flush_seconds=1,
    )  # fmt: skip
    ensure_topics(own)
    return own


@pytest.fixture
def write_archive(tmp_path: Path) -> Callable[[Sequence[Event]], list[Path]]:
    """Return a function that writes accepted events as one archived segment of partition 0; returns the files."""
    return lambda events: archive(tmp_path / "archive", events)


@pytest.fixture
def activity() -> Callable[[str, float], Event]:
    """Return a function that makes a session of a user at a time in days since 1970."""

    def make(user: str, day: float) -> Event:
        return Event(f"{user}-{day}", user, "session_started", midnight(0) + timedelta(days=day), 1)

    return make
