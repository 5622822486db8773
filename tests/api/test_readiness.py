from pathlib import Path

import pytest

from api.champion import ChampionHolder
from api.readiness import health
from churn.errors import DataError
from churn.model import Scorer
from churn.scores import Champion
from tests.api.building import DECLARATION, champion, model


def load(named: Champion) -> Scorer:
    if named.version == "bad":
        raise DataError("golden rows differ by 0.2")
    return Scorer(model(), named.version)


@pytest.fixture
def holder() -> ChampionHolder:
    return ChampionHolder(load, DECLARATION.feature_names)


def test_all_well_is_ready(holder: ChampionHolder, tmp_path: Path) -> None:
    holder.follow(champion(tmp_path, "1"))
    seen = health(None, None, holder)
    assert (seen.status, seen.readiness.ready, seen.readiness.model_version) == ("ok", True, "1")


def test_without_a_champion_it_is_not_ready(holder: ChampionHolder) -> None:
    seen = health(None, None, holder)
    assert (seen.status, seen.readiness.ready) == ("down", False)
    assert "no champion is loaded" in seen.readiness.reasons[0]


def test_without_redis_it_is_not_ready(holder: ChampionHolder, tmp_path: Path) -> None:
    holder.follow(champion(tmp_path, "1"))
    assert health("Redis does not answer", None, holder).readiness.reasons == ["Redis does not answer"]


def test_without_kafka_it_answers_with_a_warning(holder: ChampionHolder, tmp_path: Path) -> None:
    holder.follow(champion(tmp_path, "1"))
    seen = health(None, "Kafka does not answer: timed out", holder)
    assert (seen.status, seen.readiness.ready) == ("degraded", True)
    assert seen.readiness.warnings == ["Kafka does not answer: timed out"]


def test_a_refused_champion_is_a_warning_while_another_serves(holder: ChampionHolder, tmp_path: Path) -> None:
    holder.follow(champion(tmp_path, "1"))
    holder.follow(champion(tmp_path, "bad"))
    readiness = health(None, None, holder).readiness
    assert (readiness.ready, readiness.model_version) == (True, "1")
    assert readiness.warnings == [
        "champion version bad was refused, version 1 goes on serving: golden rows differ by 0.2"
    ]


def test_a_refused_champion_is_a_reason_when_nothing_serves(holder: ChampionHolder, tmp_path: Path) -> None:
    holder.follow(champion(tmp_path, "bad"))
    readiness = health(None, None, holder).readiness
    assert not readiness.ready
    assert readiness.reasons == ["champion version bad was refused, no model serves: golden rows differ by 0.2"]
