"""A small model, vectors and settings for tests of the API."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import redis

from churn.declaration import Declaration
from churn.layout import Floats
from churn.model import GoldenRow, LogisticModel, Scorer
from churn.scores import Challenger, Champion, Lineup, to_us
from churn.settings import Settings
from feature_repo import bundles, declared
from feature_repo.online import OnlineWriter

ROOT = Path(__file__).resolve().parents[2]
DECLARATION = declared.load(ROOT / "feature_repo/declarations/elearning.yaml")
AS_OF = datetime(2026, 1, 5, tzinfo=UTC)
DAYS_SILENT = DECLARATION.feature_names.index("days_since_last_activity")


def vectors(count: int, seed: int = 7) -> Floats:
    """Return vectors of silent and busy users; every fifth value of the quiz scores is missing."""
    rng = np.random.default_rng(seed)
    matrix = rng.poisson(3.0, (count, len(DECLARATION.features))).astype(np.float32)
    column = DECLARATION.feature_names.index("quiz_score_7d")
    matrix[::5, column] = np.nan
    return matrix


def model(intercept: float = -1.0, declaration: Declaration = DECLARATION, name: str = "churn") -> LogisticModel:
    """Return a model in which silence raises the risk, with golden rows that it fulfils."""
    names = declaration.feature_names
    rng = np.random.default_rng(3)
    weight = rng.normal(0, 0.2, len(names)).tolist()
    weight[names.index("days_since_last_activity")] = 2.0
    ones, zeros = [1.0] * len(names), [0.0] * len(names)
    bare = LogisticModel(
        name, declaration.feature_set_version, list(names), ones, ones, weight, zeros, zeros, intercept, [], {}
    )
    golden = vectors(3) if names == DECLARATION.feature_names else np.zeros((1, len(names)), np.float32)
    return _with_golden(bare, golden)


def _with_golden(bare: LogisticModel, rows: Floats) -> LogisticModel:
    probabilities = Scorer(bare, "0").score(rows).probability.tolist()
    values = [[None if np.isnan(v) else float(v) for v in row] for row in rows]
    golden = [GoldenRow(v, p) for v, p in zip(values, probabilities, strict=True)]
    return msgspec.structs.replace(bare, golden=golden)


def champion(models_dir: Path, version: str, made: LogisticModel | None = None) -> Champion:
    """Save a bundle and return the record that names it champion."""
    made = made or model()
    bundle, digest = bundles.save(models_dir, made, version)
    return Champion(made.name, version, bundle, digest, made.feature_set_version, AS_OF, "test")


def challenger(models_dir: Path, version: str, share: float = 0.0, made: LogisticModel | None = None) -> Challenger:
    """Save a bundle and return what names it beside a champion."""
    named = champion(models_dir, version, made)
    return Challenger(version, named.bundle, named.sha256, named.feature_set_version, share)


def lineup(*challengers: Challenger, seconds: float = 1.0) -> Lineup:
    """Return the record of challengers, announced so long after the champion's promotion."""
    return Lineup("churn", list(challengers), AS_OF + timedelta(seconds=seconds), "test")


def write_user(
    client: "redis.Redis", project: str, user_id: str, vector: Floats, probability: float = 0.7, band: str = "high"
) -> None:
    """Write a user's features and score to the online store as the stream does."""
    writer = OnlineWriter(client, project, DECLARATION.feature_names)
    writer.write([user_id], vector.reshape(1, -1), to_us(AS_OF))
    score = np.array([probability], np.float32)
    writer.write_scores(
        [user_id], score, band=[band], model_version="1", top_reason=["no activity for 12 days"], as_of_us=to_us(AS_OF)
    )
    writer.close()


def feature_map(vector: Floats) -> dict[str, float | None]:
    """Return a vector as the JSON of a request."""
    return {n: None if np.isnan(v) else float(v) for n, v in zip(DECLARATION.feature_names, vector, strict=True)}


def settings(**given: object) -> Settings:
    """Return settings with the defaults of the program except what is given."""
    return Settings.model_validate(given)


def as_json(made: Settings) -> str:
    """Return the settings for a child process; secrets in clear, because they guard nothing here."""
    plain = made.model_dump(mode="json") | {"redis_url": made.redis_url.get_secret_value(), "kafka_sasl_password": ""}
    return json.dumps(plain)
