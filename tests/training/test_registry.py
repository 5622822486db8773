"""Versions, promotion and the way back, on a real MLflow with SQLite."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import training.tracking
from churn.errors import DataError, InputError, OutageError
from churn.scores import Champion
from feature_repo.bundles import load
from tests.training.versions import registered
from training.registry import Registry

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_new_version_serves_nobody(registry: Registry) -> None:
    assert registered(registry) == "1"
    (version,) = registry.versions()
    assert (version.version, version.aliases, version.metrics) == ("1", (), {"auc": 0.8})
    assert registry.champion() is None


def test_a_promoted_challenger_challenges_no_more(registry: Registry) -> None:
    first, second = registered(registry), registered(registry, 1.0)
    registry.challenge(first)
    registry.challenge(second)
    assert {v.version: v.aliases for v in registry.versions()} == {"1": (), "2": ("challenger",)}
    registry.promote(second, "better", NOW)
    assert {v.version: v.aliases for v in registry.versions()} == {"1": (), "2": ("champion",)}


def test_files_are_added_to_a_version_and_read_again(registry: Registry) -> None:
    version = registered(registry)
    registry.attach(version, {"card.md": "a card\n"})
    assert (registry.text(version, "card.md"), registry.text(version, "away.md")) == ("a card\n", None)


def test_promotion_writes_a_bundle_that_loads(registry: Registry, tmp_path: Path) -> None:
    record = registry.promote(registered(registry), "first model", NOW)
    digest = record.sha256
    assert record == Champion("churn", "1", "churn/1", digest, "abc", NOW, "first model")
    assert load(tmp_path / "models", record, "abc").version == "1"
    assert registry.champion() == record


def test_rollback_brings_the_previous_champion_back(registry: Registry) -> None:
    registry.promote(registered(registry), "first", NOW)
    registry.promote(registered(registry, 1.0), "better", NOW)
    back = registry.rollback("scores look wrong", LATER)
    assert (back.version, back.reason, back.promoted_at) == ("1", "scores look wrong", LATER)
    assert {v.version: v.aliases for v in registry.versions()} == {"1": ("champion",), "2": ("previous",)}


def test_promotions_tell_every_time_when_a_version_began_to_serve(registry: Registry) -> None:
    for intercept in (0.0, 1.0, 2.0):
        registered(registry, intercept)
    first, second = registry.promote("1", "first", NOW), registry.promote("2", "better", LATER)
    assert registry.promotions() == [first, second]
    back = registry.rollback("scores look wrong", LATER + (LATER - NOW))
    assert registry.promotions() == [first, second, back]


def test_a_promotion_by_a_slow_clock_is_dated_after_the_one_before(registry: Registry) -> None:
    registry.promote(registered(registry), "first", LATER)
    assert registry.promote(registered(registry), "a slow clock", NOW).promoted_at == LATER + timedelta(microseconds=1)


def test_rollback_without_a_previous_champion_is_refused(registry: Registry) -> None:
    registry.promote(registered(registry), "first", NOW)
    with pytest.raises(InputError, match="no previous champion"):
        registry.rollback("why not", NOW)


def test_an_unknown_version_is_refused(registry: Registry) -> None:
    registered(registry)
    with pytest.raises(InputError, match="no version 9"):
        registry.promote("9", "typo", NOW)


def test_a_postgres_without_its_driver_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.tracking, "POSTGRES_DRIVERS", ("no_such_driver",))
    with pytest.raises(InputError, match=r"its driver is not installed here: add the package psycopg\[binary\]"):
        Registry("postgresql://user@127.0.0.1:1/mlflow", "churn", tmp_path, tmp_path).versions()


def test_a_damaged_artifact_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    registry.promote(registered(registry), "first", NOW)
    version = registered(registry, 1.0)
    for path in (tmp_path / "mlartifacts").rglob("model.json"):
        path.write_text(path.read_text().replace('"intercept": 1', '"intercept": 3'))
    with pytest.raises(DataError, match="is not the manifest's"):
        registry.promote(version, "broken", NOW)
    champion = registry.champion()
    assert champion is not None
    assert champion.version == "1"


def test_a_registry_that_does_not_answer_is_an_outage_and_its_password_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database " * 100)
    damaged = Registry(f"sqlite:///{tmp_path / 'mlflow.db'}", "churn", tmp_path, tmp_path)
    with pytest.raises(
        OutageError, match=r"mlflow.db does not answer .*file is not a database.*; see that CHURN_MLFLOW"
    ):
        damaged.facts("1")
    with (
        pytest.raises(
            OutageError, match=r"the model registry http://127.0.0.1:1 does not answer .refused by http://it"
        ),
        training.tracking.answering("http://ann:secret@127.0.0.1:1"),
    ):
        raise OSError("refused by http://ann:secret@it")
