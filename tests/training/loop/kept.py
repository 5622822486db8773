"""A keeper of this package with a real registry: what its tests give it to see, and trainings that take no time."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from confluent_kafka import Producer

from churn.blocks import FeatureBlock, encode
from churn.declaration import Declaration
from churn.golden import GoldenRow
from churn.layout import Floats
from churn.logistic import LogisticModel
from churn.scores import to_us
from churn.settings import Settings
from churn.topics import FEATURES, MODELS
from compose.registry_commands import registry_of
from feature_repo.instruments import Instruments
from training.announce import announce
from training.audit_log import AuditLog
from training.loop.keeper import Keeper
from training.loop.runs import Order
from training.steward import Steward

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


def model_of(declaration: Declaration, weight: float, intercept: float = 0.0) -> LogisticModel:
    """Return a model of which only the days of silence move the score."""
    width = len(declaration.feature_names)
    weights = [0.0] * width
    weights[declaration.feature_names.index("days_since_last_activity")] = weight
    golden = [GoldenRow([0.0] * width, 1 / (1 + float(np.exp(-intercept))))]
    zeros, ones = [0.0] * width, [1.0] * width
    trained: dict[str, str | float | int] = {
        "horizon_days": declaration.label.horizon_days,
        "train_until": "2026-01-25",
        "positive_rate": 0.3,
    }
    return LogisticModel(
        "churn", declaration.feature_set_version, list(declaration.feature_names), zeros, ones, weights, zeros, zeros,
        intercept, golden, trained,
    )  # fmt: skip


def steward(settings: Settings) -> Steward:
    """Return who promotes, and tells it on the models topic."""
    topic, config = MODELS.name(settings.topic_prefix), {"bootstrap.servers": settings.kafka_bootstrap_servers}
    log = AuditLog(settings.models_dir)
    return Steward(registry_of(settings), log, "automatic", lambda champion: announce(config, topic, champion))


def serve(settings: Settings, model: LogisticModel, at: datetime, tags: dict[str, str] | None = None) -> str:
    """Register a model and let it serve; returns its version."""
    by = steward(settings)
    version = by.registry.register(model, {}, {}, {"gate": "passed", **(tags or {})}, {})
    by.promote(version, "ann", "for the test", at)
    return version


def midnight_of(settings: Settings, declaration: Declaration, day: int, matrix: Floats) -> None:
    """Emit a midnight (days after BEGAN) of users with these vectors from partition 0."""
    users = [f"u{number:05d}" for number in range(len(matrix))]
    block = FeatureBlock(
        "roll", 0, 1, to_us(BEGAN + timedelta(days=day)), 0, 0, declaration.feature_set_version, users,
        matrix.astype("<f4").tobytes(),
    )  # fmt: skip
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    producer.produce(FEATURES.name(settings.topic_prefix), encode(block), partition=0)
    assert producer.flush(10) == 0


def people(declaration: Declaration, count: int) -> Floats:
    """Return vectors of people who differ in the days since they were last active."""
    matrix = np.zeros((count, len(declaration.feature_names)), np.float32)
    matrix[:, declaration.feature_names.index("days_since_last_activity")] = np.arange(count) % 30 + 1
    return matrix


def keeper_of(settings: Settings, declaration: Declaration, script: str = "") -> Keeper:
    """Return a keeper whose trainings run this Python instead; its argument is the run's name."""

    def command(order: Order) -> Sequence[str]:
        return [sys.executable, "-c", script, order.run]

    return Keeper(settings, declaration, Instruments("keeper"), steward(settings), command, lambda: 0)


def value_of(keeper: Keeper, name: str, **labels: str) -> float | None:
    """Return what the keeper's metrics say."""
    return keeper.instruments.registry.get_sample_value(name, labels)


def steps(settings: Settings) -> list[str]:
    """Return the steps in the audit log."""
    return [entry.step for entry in AuditLog(settings.models_dir).history().entries]


def folder_of(settings: Settings) -> Path:
    """Return the keeper's folder."""
    return settings.models_dir / "keeper"
