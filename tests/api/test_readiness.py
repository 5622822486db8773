from pathlib import Path

import msgspec
import pytest

from api.readiness import health
from churn.scores import Champion
from feature_repo.champion import ServingModel
from feature_repo.instruments import Instruments
from tests.api.building import DECLARATION, challenger, champion, lineup


def bad(models_dir: Path) -> Champion:
    """Return a record whose bundle never came."""
    return msgspec.structs.replace(champion(models_dir, "2"), version="bad", bundle="churn/none")


@pytest.fixture
def holder(tmp_path: Path) -> ServingModel:
    return ServingModel(tmp_path, DECLARATION, Instruments("api"))


def test_all_well_is_ready(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([champion(tmp_path, "1")])
    seen = health(None, None, holder)
    assert (seen.status, seen.readiness.ready, seen.readiness.model_version) == ("ok", True, "1")


def test_without_a_champion_it_is_not_ready(holder: ServingModel) -> None:
    seen = health(None, None, holder)
    assert (seen.status, seen.readiness.ready) == ("down", False)
    assert "no champion is loaded" in seen.readiness.reasons[0]


def test_without_redis_it_is_not_ready(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([champion(tmp_path, "1")])
    assert health("Redis does not answer", None, holder).readiness.reasons == ["Redis does not answer"]


def test_without_kafka_it_answers_with_a_warning(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([champion(tmp_path, "1")])
    seen = health(None, "Kafka does not answer: timed out", holder)
    assert (seen.status, seen.readiness.ready) == ("degraded", True)
    assert seen.readiness.warnings == ["Kafka does not answer: timed out"]


def test_a_refused_champion_is_a_warning_while_another_serves(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([champion(tmp_path, "1")])
    holder.follow([bad(tmp_path)])
    readiness = health(None, None, holder).readiness
    assert (readiness.ready, readiness.model_version) == (True, "1")
    (warning,) = readiness.warnings
    assert warning.startswith("champion version bad was refused, version 1 goes on serving: ")
    assert "cannot be read" in warning


def test_a_refused_champion_is_a_reason_when_nothing_serves(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([bad(tmp_path)])
    readiness = health(None, None, holder).readiness
    assert not readiness.ready
    (reason,) = readiness.reasons
    assert reason.startswith("champion version bad was refused, no model serves: ")


def test_challengers_are_named_and_one_that_is_refused_is_a_warning(holder: ServingModel, tmp_path: Path) -> None:
    gone = msgspec.structs.replace(challenger(tmp_path, "4"), bundle="churn/none")
    holder.follow([champion(tmp_path, "1"), lineup(challenger(tmp_path, "2", 0.1), challenger(tmp_path, "3"))])
    seen = health(None, None, holder)
    assert (seen.status, seen.model.says) == (
        "ok", "version 1 serves, 2 challenges with 10 % of the users, 3 challenges in shadow",
    )  # fmt: skip
    holder.follow([lineup(gone)])
    (warning,) = health(None, None, holder).readiness.warnings
    assert warning.startswith("challenger version 4 was refused and is left out: ")
