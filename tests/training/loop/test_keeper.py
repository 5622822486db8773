"""The keeper on a real Kafka and a real registry."""

import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from churn.declaration import Declaration
from churn.errors import OutageError
from churn.settings import Settings
from compose.processes import wait_until
from tests.training.at_work import at_work
from tests.training.loop.kept import (
    BEGAN,
    folder_of,
    keeper_of,
    midnight_of,
    model_of,
    people,
    serve,
    steps,
    steward,
    value_of,
)
from training.loop.requests import Request, ask
from training.loop.state import load

NOTHING = "raise SystemExit('no archive')"


@pytest.fixture
def simulated(one_partition: Settings, new_database: Path) -> Settings:
    """Return settings under which events alone move time, with an empty registry."""
    (one_partition.data_dir / "mlflow.db").write_bytes(new_database.read_bytes())
    return one_partition.model_copy(update={"time_source": "events"})


def test_a_champion_of_six_days_is_trained_anew_and_a_failure_is_written_down(
    simulated: Settings, elearning: Declaration
) -> None:
    serve(simulated, model_of(elearning, 0.1), BEGAN)
    keeper = keeper_of(simulated, elearning, NOTHING)
    with at_work(keeper):
        midnight_of(simulated, elearning, 4, people(elearning, 30))
        began = (BEGAN + timedelta(days=4)).timestamp()
        wait_until(lambda: value_of(keeper, "churn_keeper_midnight_seconds") == began, 20, "the midnight is complete")
        wait_until(lambda: value_of(keeper, "churn_keeper_champion_age_days") == 4.0, 20, "the age is known")
        midnight_of(simulated, elearning, 6, people(elearning, 30))
        wait_until(lambda: steps(simulated)[-1] == "training_failed", 20, "the training has failed")
    assert steps(simulated) == ["promoted", "triggered", "training_failed"]
    state = load(folder_of(simulated), elearning.feature_set_version)
    assert (state.triggers.failures, state.midnight) == (1, (BEGAN + timedelta(days=6)).toordinal() - 719163)


def test_a_request_is_taken_once_and_without_a_champion_too(simulated: Settings, elearning: Declaration) -> None:
    requests = folder_of(simulated) / "requests"
    ask(requests, Request("ann", "a first model", BEGAN))
    midnight_of(simulated, elearning, 1, people(elearning, 30))
    with at_work(keeper_of(simulated, elearning, NOTHING)):
        wait_until(lambda: "training_failed" in steps(simulated), 20, "the training has failed")
    assert steps(simulated) == ["triggered", "training_failed"]
    assert list(requests.iterdir()) == []


def test_a_model_that_says_the_same_of_everyone_is_taken_back_at_once(
    simulated: Settings, elearning: Declaration
) -> None:
    good = serve(simulated, model_of(elearning, 1.0, -3.0), BEGAN)
    keeper = keeper_of(simulated, elearning, NOTHING)
    with at_work(keeper):
        midnight_of(simulated, elearning, 1, people(elearning, 300))
        began = (BEGAN + timedelta(days=1)).timestamp()
        wait_until(lambda: value_of(keeper, "churn_keeper_midnight_seconds") == began, 20, "the midnight is complete")
        bad = serve(simulated, model_of(elearning, 0.0), BEGAN + timedelta(days=1, hours=1))
        told = time.monotonic()
        registry = steward(simulated).registry
        wait_until(lambda: steps(simulated)[-1] == "rejected", 20, "the promotion is taken back")
        seconds = time.monotonic() - told
    champion = registry.champion()
    assert champion is not None
    assert (champion.version, registry.facts(bad)["state"]) == (good, "rejected")
    assert steps(simulated) == ["promoted", "promoted", "alarm", "rolled_back", "rejected"]
    assert champion.reason.startswith(
        "100.0% of the users get the same score, at most 50% may; the scores hardly differ"
    )
    assert value_of(keeper, "churn_keeper_rollbacks_total", cause="guard") == 1
    assert seconds < 5
    seen = load(folder_of(simulated), elearning.feature_set_version)
    assert seen.refused == [bad]


def test_a_keeper_whose_folder_cannot_be_written_ends_with_a_sentence(
    simulated: Settings, elearning: Declaration
) -> None:
    keeper = keeper_of(simulated, elearning, NOTHING)
    simulated.models_dir.mkdir(exist_ok=True)
    folder_of(simulated).touch()
    with pytest.raises(OutageError, match="keeper: File exists; the keeper ends, and goes on where it was"):
        keeper.run(threading.Event())
