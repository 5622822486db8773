"""From events to scores on real parts: every user has the score of the last vector, silent users and crashes included."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
import redis

from churn.kafka_config import client_config
from churn.model import GoldenRow, LogisticModel, Scorer
from churn.scores import Champion, Score, decode
from churn.topics import MODELS, SCORES
from compose.processes import wait_until
from compose.seeding import apply_feast
from feature_repo.bundles import load, save
from feature_repo.layout import SERVICE
from feature_repo.store import default_registry, open_store
from tests.stream_processors.road import START, Road, event, history, road
from training.announce import announce

USERS = 60
SILENT_FROM = START + timedelta(days=30, hours=10)


def model_of(under: Road, weight: float) -> LogisticModel:
    """Return a model whose weights alternate, verified by one golden row of zeros."""
    names = list(under.declaration.feature_names)
    weights = [weight * (-1) ** n / (n + 1) for n in range(len(names))]
    flat, missing = [0.0] * len(names), [0.1] * len(names)
    version = under.declaration.feature_set_version
    model = LogisticModel("churn", version, names, flat, [1.0] * len(names), weights, missing, flat, -1.0, [], {})
    zeros = np.zeros((1, len(names)), np.float32)
    golden = GoldenRow(zeros[0].tolist(), float(Scorer(model, "0").score(zeros).probability[0]))
    return msgspec.structs.replace(model, golden=[golden])


def promote(under: Road, version: str, weight: float) -> Scorer:
    """Write a bundle, announce it, and return the scorer that serves from now on."""
    settings, features = under.settings, under.declaration.feature_set_version
    bundle, digest = save(settings.models_dir, model_of(under, weight), version)
    record = Champion("churn", version, bundle, digest, features, datetime(2026, 3, 1, tzinfo=UTC), "test")
    announce(client_config(settings), MODELS.name(settings.topic_prefix), record)
    return load(settings.models_dir, record, features)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """Return a road with features worker, scorer, a first model and Feast's registry."""
    with road(tmp_path_factory.mktemp("scored"), CHURN_PARTITIONS="2") as found:
        promote(found, "1", 1.0)
        for name in ("features", "scorer"):
            found.stack.start_service(name, wait=False)
        apply_feast(found.settings)
        for name in ("features", "scorer"):
            found.stack.wait_ready(name)
        yield found


@pytest.fixture(scope="module")
def feast(running: Road) -> Any:
    """Return a function that looks users up as any Feast client does."""
    settings = running.settings
    store = open_store(settings.feast_project, running.stack.redis.url, default_registry(settings.data_dir))
    service = store.get_feature_service(SERVICE)

    def look_up(*users: str) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = store.get_online_features(service, [{"user_id": u} for u in users]).to_dict()
        return found

    return look_up


def last_scores(under: Road) -> dict[str, Score]:
    """Return each user's last score on the topic."""
    return {score.user_id: score for score in (decode(m.value() or b"") for m in under.read(SCORES))}


def wait_for_scores(under: Road, scorer: Scorer, users: Sequence[str]) -> None:
    """Wait until each user's last score is this model's for the vector in Redis."""
    wanted = scores_of_vectors(under, scorer, users)
    wait_until(lambda: wanted.items() <= told(under).items(), 30, f"every user has a score of model {scorer.version}")


def scores_of_vectors(under: Road, scorer: Scorer, users: Sequence[str]) -> dict[str, tuple[float, str]]:
    """Return each user's probability by this model for the vector in Redis, and the model's version."""
    online = under.online(users)
    matrix = np.array([np.frombuffer(online[user] or b"", np.float32) for user in users])
    return {u: (p, scorer.version) for u, p in zip(users, scorer.score(matrix).probability.tolist(), strict=True)}


def told(under: Road) -> dict[str, tuple[float, str]]:
    """Return each user's last probability and model version on the topic."""
    return {user: (score.probability, score.model_version) for user, score in last_scores(under).items()}


def users_of(events: Sequence[tuple[str, bytes]]) -> list[str]:
    return sorted({user for user, _ in events})


def test_every_user_gets_the_score_of_the_vector_in_redis(running: Road) -> None:
    events = history(USERS, days=20, per_day=60)
    running.publish(events)
    assert running.wait_online_equals_truth() == USERS
    scorer = Scorer(model_of(running, 1.0), "1")
    wait_for_scores(running, scorer, users_of(events))


def test_a_score_says_why_and_as_of_when(running: Road) -> None:
    score = last_scores(running)["u00007"]
    assert len(score.reasons) == 3
    assert {r.feature for r in score.reasons} <= set(running.declaration.feature_names)
    assert score.base is not None
    assert score.others is not None
    log_odds = score.base + sum(reason.contribution for reason in score.reasons) + score.others
    assert score.probability == pytest.approx(1 / (1 + math.exp(-log_odds)), rel=1e-12)
    assert abs(score.reasons[0].contribution) >= abs(score.reasons[1].contribution)
    assert (score.model, score.feature_set_version) == ("churn", running.declaration.feature_set_version)
    assert score.as_of.date() >= date(2026, 1, 20)


def test_feast_returns_features_and_score_together(running: Road, feast: Any) -> None:
    score = last_scores(running)["u00007"]
    wait_until(lambda: feast("u00007")["model_version"] == ["1"], 30, "the score is in the online store")
    found = feast("u00007", "nobody")
    vector = np.frombuffer(running.online(["u00007"])["u00007"] or b"", np.float32)
    assert found["lessons_30d"][0] == pytest.approx(
        float(vector[running.declaration.feature_names.index("lessons_30d")])
    )
    assert found["probability"] == [pytest.approx(score.probability, rel=1e-6), None]
    assert found["band"] == [score.band, None]
    assert found["user_id"] == ["u00007", "nobody"]


def test_a_second_version_scores_everyone_again(running: Road) -> None:
    scorer = promote(running, "2", -0.5)
    wait_for_scores(running, scorer, [f"u{n:05d}" for n in range(USERS)])
    assert {version for _, version in told(running).values()} == {"2"}


def test_a_scorer_killed_under_load_leaves_every_user_the_score_of_the_last_vector(running: Road) -> None:
    events = history(USERS, days=25, per_day=60, seed=2)
    for part in range(5):
        running.publish(events[part * 300 : (part + 1) * 300])
        if part == 2:
            running.stack.supervisor.children["scorer"].kill()
    running.stack.start_service("scorer")
    running.wait_online_equals_truth()
    scorer = Scorer(model_of(running, -0.5), "2")
    wait_for_scores(running, scorer, users_of(events))
    assert set(told(running)) == set(users_of(events))


def test_a_redis_without_memory_stops_nobody_and_loses_nothing(running: Road, feast: Any) -> None:
    events = history(USERS, days=27, per_day=60, seed=3)[-100:]
    with redis.Redis.from_url(running.stack.redis.url) as client:
        client.config_set("maxmemory", "1")
        running.publish(events)
        for name in ("features", "scorer"):
            wait_until(lambda n=name: "OOM" in str(running.reasons(n)), 30, f"{name} says why it is not ready")  # type: ignore[misc]  # mypy infers no type for a default
            assert running.metrics(name)["churn_ready"] == 0
        client.config_set("maxmemory", "0")
    running.wait_online_equals_truth()
    users = users_of(events)
    wait_for_scores(running, Scorer(model_of(running, -0.5), "2"), users)
    wanted = [np.float32(last_scores(running)[user].probability) for user in users]
    wait_until(lambda: feast(*users)["probability"] == wanted, 30, "the scores are in the online store")
    assert running.reasons("features") == running.reasons("scorer") == []
    running.stack.check()


def test_a_silent_user_decays_in_feast_while_only_others_are_active(running: Road, feast: Any) -> None:
    running.publish([event("silent", "session_started", SILENT_FROM, "s")])
    stages = {6: (1, 1, 1), 7: (0, 1, 1), 13: (0, 1, 1), 14: (0, 0, 1), 29: (0, 0, 1), 30: (0, 0, 0)}
    for days, sessions in stages.items():
        later = SILENT_FROM + timedelta(days=days)
        running.publish([event(f"clock{n}", "session_started", later, f"c{days}-{n}") for n in range(12)])
        silent = wait_for_age(feast, days)
        assert tuple(silent[f"sessions_{window}d"][0] for window in (7, 14, 30)) == sessions
        assert silent["days_since_last_activity"] == [days]


def wait_for_age(feast: Any, days: int) -> dict[str, list[Any]]:
    wait_until(lambda: feast("silent")["days_since_last_activity"] == [days], 20, f"silent for {days} days in Redis")
    found: dict[str, list[Any]] = feast("silent")
    return found


def test_a_silent_user_is_scored_at_every_midnight(running: Road) -> None:
    midnights = {(SILENT_FROM + timedelta(days=n)).date() for n in range(1, 31)}

    def scored() -> set[date]:
        found = [decode(m.value() or b"") for m in running.read(SCORES) if m.key() == b"silent"]
        return {s.as_of.date() for s in found if s.as_of.time().isoformat() == "00:00:00" and s.arrived_at is None}

    wait_until(lambda: midnights <= scored(), 20, "a score for each midnight of silence")
    assert scored() == midnights
    wait_for_scores(running, Scorer(model_of(running, -0.5), "2"), ["silent"])
    running.stack.check()
