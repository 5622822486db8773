"""A keeper that starts on a history: nothing of it speaks against a champion that could not have served it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from churn.blocks import OutcomeBlock
from churn.declaration import Declaration
from churn.layout import DAY_US, Floats
from churn.model import Scorer
from churn.scores import Champion
from churn.settings import Settings
from feature_repo.champion import Serving
from feature_repo.instruments import Instruments
from tests.training.loop.kept import model_of, people, steward
from training.loop.care import Care
from training.loop.journal import Note
from training.loop.midnights import Midnight
from training.loop.state import KeeperState
from training.loop.triggers import Triggers

FIRST = 20_600
PROMOTED = datetime(1970, 1, 1, 5, tzinfo=UTC) + timedelta(days=FIRST)
NOW_US = FIRST * DAY_US + DAY_US // 2


@pytest.fixture
def instruments() -> Instruments:
    """Return the keeper's metrics."""
    return Instruments("keeper")


@pytest.fixture
def care(tmp_path: Path, new_database: Path, elearning: Declaration, instruments: Instruments) -> Care:
    """Return care of a champion that was promoted on the day FIRST and is the first that its keeper hears of."""
    (tmp_path / "mlflow.db").write_bytes(new_database.read_bytes())
    version = elearning.feature_set_version
    found = Care(
        KeeperState(version), Triggers(), steward(Settings(data_dir=tmp_path)), elearning, tmp_path / "archive",
        tmp_path, instruments,
    )  # fmt: skip
    champion = Champion("churn", "1", "1", "", version, PROMOTED, "for the test")
    assert found.meet(Serving(champion, Scorer(model_of(elearning, 1.0, -3.0), "1")))
    return found


def midnight(day: int, matrix: Floats) -> Midnight:
    return Midnight(day, [f"u{number}" for number in range(len(matrix))], matrix, {})


def alike(declaration: Declaration) -> Floats:
    """Return people of whom the champion says the same, as of those of a first week."""
    return np.zeros((300, len(declaration.feature_names)), np.float32)


def reasons(notes: list[Note]) -> list[str]:
    return [note.reason.split(":")[0] for note in notes]


def test_a_champion_is_held_against_the_last_midnight_before_it_and_not_against_older_ones(
    care: Care, elearning: Declaration
) -> None:
    for day in (FIRST - 90, FIRST - 1):
        assert care.midnight(midnight(day, alike(elearning)), NOW_US) == []
        assert care.guard(False, NOW_US) == []
    assert care.midnight(midnight(FIRST, people(elearning, 300)), NOW_US) == []
    assert care.guard(False, NOW_US) == []
    assert care.state.served is not None
    assert (care.state.served.guarded, care.state.rollback) == (True, None)


def test_where_no_later_midnight_comes_it_is_held_against_the_one_there_is(care: Care, elearning: Declaration) -> None:
    care.midnight(midnight(FIRST - 3, alike(elearning)), NOW_US)
    assert reasons(care.guard(True, NOW_US)) == [
        "100.0% of the users get the same score, at most 50% may; the scores hardly differ"
    ]


def test_labels_that_were_known_before_a_champion_served_are_not_judged(care: Care, instruments: Instruments) -> None:
    shown = []
    for number, known in enumerate((FIRST - 1, FIRST, FIRST + 1)):
        gone = np.arange(1200) % 4 == 0
        said = np.where(gone, 0.01, 0.99).astype("<f8").tobytes()
        users = [f"u{user}" for user in range(1200)]
        as_of_us = (known - 30) * DAY_US
        block = OutcomeBlock(0, number, as_of_us, known * DAY_US, users, gone.tobytes(), ["1"], said)
        care.matured.take(0, number, block, 0.0)
        care.state.midnight = known
        assert care.labels(True, 9.0, NOW_US) == []
        labels = {"role": "champion", "bound": "value"}
        shown.append(instruments.registry.get_sample_value("churn_keeper_log_loss", labels))
    assert shown == [pytest.approx(np.nan, nan_ok=True), pytest.approx(np.nan, nan_ok=True), pytest.approx(4.605170)]
