from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churn.days import day_number
from churn.errors import DataError
from training.truth import HIDDEN, OBSERVABLE, true_probabilities

USERS, DAYS = ["u1", "u2", "u1"], np.array([day_number(date(2026, 1, day)) for day in (5, 5, 7)], np.int32)


def write(folder: Path, day: int, probabilities: Mapping[str, Sequence[float | None]]) -> None:
    as_of = pa.array([datetime(2026, 1, day, tzinfo=UTC)] * 2, pa.timestamp("us", tz="UTC"))
    path = folder / f"day=2026-01-{day:02d}" / "truth.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"user_id": ["u1", "u2"], "as_of": as_of, **probabilities}), path)


def test_each_user_and_midnight_gets_its_own_truth(tmp_path: Path) -> None:
    write(tmp_path, 5, {HIDDEN: [0.1, 0.2], OBSERVABLE: [0.3, 0.4]})
    np.testing.assert_array_equal(true_probabilities(tmp_path, USERS, DAYS), [0.1, 0.2, np.nan])
    np.testing.assert_array_equal(true_probabilities(tmp_path, USERS, DAYS, OBSERVABLE), [0.3, 0.4, np.nan])


def test_a_folder_of_before_the_observer_knows_no_observable_truth(tmp_path: Path) -> None:
    write(tmp_path, 5, {HIDDEN: [0.1, 0.2]})
    assert np.isnan(true_probabilities(tmp_path, USERS, DAYS, OBSERVABLE)).all()


def test_days_without_the_observer_are_unknown_among_others(tmp_path: Path) -> None:
    write(tmp_path, 5, {HIDDEN: [0.1, 0.2], OBSERVABLE: [None, 0.4]})
    write(tmp_path, 7, {HIDDEN: [0.5, 0.6]})
    np.testing.assert_array_equal(true_probabilities(tmp_path, USERS, DAYS, OBSERVABLE), [np.nan, 0.4, np.nan])


def test_a_folder_without_truth_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="produce the synthetic business"):
        true_probabilities(tmp_path, USERS, DAYS)
