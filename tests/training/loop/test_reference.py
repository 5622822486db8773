"""A reference holds what a model was trained on, travels as JSON, and refuses what is not one."""

import numpy as np
import pytest

from churn.errors import DataError
from training.loop.reference import Reference, decode, encode, reference_of

MATRIX = np.array([[0, 1], [0, np.nan], [2, 1], [3, 5]], np.float32)
DAYS = np.array([20_000, 20_000, 20_007, 20_007], np.int32)


def reference() -> Reference:
    return reference_of(["sessions_7d", "plan_pro"], MATRIX, np.array([0.1, 0.2, 0.2, 0.4]), DAYS)


def test_rows_and_days_of_the_training_are_told() -> None:
    known = reference()
    assert (known.rows, known.first_day, known.last_day) == (4, 20_000, 20_007)


def test_each_column_is_counted_by_its_name() -> None:
    features = reference().features
    assert features["sessions_7d"].counts == (0, 2, 0, 0, 1, 1)
    assert features["plan_pro"].counts == (1, 0, 0, 0, 2, 1)


def test_training_rows_have_not_moved_from_themselves() -> None:
    assert reference().features["sessions_7d"].moved(MATRIX[:, 0]) == 0.0


def test_what_was_written_is_read() -> None:
    assert decode(encode(reference()), "reference.json") == reference()


def test_something_else_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"models:/churn/7.*train the model again"):
        decode("{}", "models:/churn/7")


def test_no_rows_are_no_reference() -> None:
    with pytest.raises(DataError, match="there are none"):
        reference_of(["a"], np.zeros((0, 1), np.float32), np.zeros(0), np.zeros(0, np.int32))
