"""Every setting of every process, declared once; `compose` reads them from CHURN_* variables."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

SHORTEST_TTL_DAYS = 62
"""Whether a user left is known two horizons of at most 30 days after the last activity."""


class Settings(BaseModel):
    """What a process may be told. Frozen; secrets are typed as such and never printed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:9092", description="Kafka brokers, host:port, comma separated"
    )
    kafka_security_protocol: str = Field(default="PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
    kafka_ssl_ca_file: str = Field(default="", description="PEM file of the brokers' authority; empty: the system's")
    kafka_sasl_mechanism: str = Field(
        default="", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty without SASL"
    )
    kafka_sasl_username: str = Field(default="", description="SASL user")
    kafka_sasl_password: SecretStr = Field(default=SecretStr(""), description="SASL password")
    redis_url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:6379/0"), description="Redis of the online store")
    declaration: Path = Field(
        default=Path("feature_repo/declarations/elearning.yaml"),
        description="the declaration of events, counters and features",
    )
    topic_prefix: str = Field(default="churn", description="first part of every topic and consumer group name")
    partitions: int = Field(
        default=4, ge=1, le=1024, description="partitions of the activity topic and those derived from it"
    )
    replication: int = Field(
        default=1, ge=1, le=9, description="replication factor of topics that `churn topics` creates"
    )
    data_dir: Path = Field(default=Path("data"), description="archive, truth, models and predictions live below it")
    mlflow_tracking_uri: str = Field(default="", description="MLflow tracking and registry; empty: SQLite in data_dir")
    model_name: str = Field(default="churn", description="name of the model in the registry and on the models topic")
    model_approval: Literal["automatic", "required"] = Field(
        default="automatic",
        description="whether what passes the gate serves at once, or waits for `churn models approve`",
    )
    feast_registry: str = Field(
        default="", description="Feast registry: a path or SQL address; empty: a file in data_dir"
    )
    feast_project: str = Field(default="churn", description="Feast project, part of every online key")
    api_host: str = Field(default="127.0.0.1", description="address the API listens on")
    api_port: int = Field(default=8000, ge=0, le=65535, description="port of the API and the live page")
    metrics_host: str = Field(default="127.0.0.1", description="address a worker serves /live, /ready and /metrics on")
    metrics_port: int = Field(
        default=9101, ge=0, le=65535, description="port a worker serves /live, /ready and /metrics on"
    )
    medium_risk: float = Field(default=0.2, gt=0, lt=1, description="probability from which a user is of medium risk")
    high_risk: float = Field(default=0.5, gt=0, lt=1, description="probability from which a user is of high risk")
    session_timeout_seconds: int = Field(
        default=10, ge=6, le=300, description="silence after which a worker's partitions move to another"
    )
    member_id: str = Field(
        default="",
        max_length=200,
        description="a worker's own lasting name in its consumer group: one killed and started again goes on at once; empty: none",
    )
    emit_interval_ms: int = Field(
        default=50, ge=5, le=10_000, description="how often touched users are emitted when live"
    )
    checkpoint_interval_ms: int = Field(
        default=1000, ge=50, le=60_000, description="how often state and offset are checkpointed"
    )
    archive_flush_seconds: int = Field(
        default=60, ge=1, le=3600, description="how long accepted events wait for their Parquet file"
    )
    learner_share: float = Field(
        default=1.0, gt=0, le=1, description="share of the users, by hash, whose matured labels the learner learns"
    )
    retrain_candidates: str = Field(
        default="logistic,boosted,online",
        description="what competes when the keeper trains; one alone is trained with its usual settings, without a search",
    )
    trainer_loaded: bool = Field(
        default=False,
        description="whether the keeper holds a training's libraries in memory (0.4 GB), so that one begins 4 s of CPU sooner",
    )
    audit_share: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="share of the users, by hash, whose emitted vectors the audit computes again",
    )
    dead_letters_max_mb: int = Field(
        default=1024, ge=64, le=1_048_576, description="size from which the dead-letter topic drops its oldest letters"
    )
    user_ttl_days: int = Field(
        default=400, ge=0, le=100_000, description="days without any event after which a user is forgotten; 0: never"
    )
    max_future_minutes: int = Field(
        default=10, ge=0, le=1440, description="how far ahead of its arrival an event may be dated"
    )
    time_source: Literal["wall", "events"] = Field(
        default="wall",
        description="what moves time while no events come: the wall clock, or nothing, for a replay or a simulation",
    )
    fault_point: str = Field(
        default="",
        description="for tests: `NAME:3` kills a process at the third passing of a point of `churn/fault_points.py`",
    )

    @field_validator("user_ttl_days")
    @classmethod
    def _outlives_labels(cls, days: int) -> int:
        if 0 < days < SHORTEST_TTL_DAYS:
            raise ValueError(f"0 or at least {SHORTEST_TTL_DAYS}, so that a user's last labels mature")
        return days

    @property
    def archive_dir(self) -> Path:
        """Return the folder of the accepted events."""
        return self.data_dir / "archive"

    @property
    def models_dir(self) -> Path:
        """Return the folder of the model bundles."""
        return self.data_dir / "models"

    @property
    def snapshots_dir(self) -> Path:
        """Return the folder of the feature vectors of midnights, which daily scoring reads."""
        return self.data_dir / "snapshots"

    @property
    def predictions_dir(self) -> Path:
        """Return the folder of the daily batch files."""
        return self.data_dir / "predictions"

    @property
    def tracking_uri(self) -> str:
        """Return where MLflow keeps runs and the registry."""
        return self.mlflow_tracking_uri or f"sqlite:///{(self.data_dir / 'mlflow.db').as_posix()}"
