"""The window keeps the newest rows and judges what was said about them."""

import math

import numpy as np
import pytest

from training.window import WINDOW_ROWS, Window


def filled(rows: int, churned: bool = True, probability: float = 0.5) -> Window:
    """Return a window after this many equal rows of one feature."""
    window = Window(1)
    window.add(7, np.ones((rows, 1), np.float32), np.full(rows, churned), np.full(rows, probability))
    return window


def test_the_oldest_rows_are_forgotten() -> None:
    window = filled(WINDOW_ROWS)
    window.add(8, np.zeros((2, 1), np.float32), np.array([False, True]), np.array([0.1, 0.9]))
    assert (len(window.matrix), len(window.churned), len(window.probability)) == (WINDOW_ROWS,) * 3
    assert window.as_of_days[-3:].tolist() == [7, 8, 8]


def test_an_empty_window_judges_nothing() -> None:
    judged = Window(1).judged()
    assert judged.rows == 0
    assert math.isnan(judged.log_loss)
    assert math.isnan(judged.auc)
    assert math.isnan(judged.calibration_error)


def test_the_calibration_error_is_the_distance_of_what_was_said_from_what_happened() -> None:
    assert filled(3, churned=True, probability=0.75).judged().calibration_error == 0.25


def test_one_class_has_a_log_loss_but_no_ranking() -> None:
    judged = filled(3).judged()
    assert judged.log_loss == pytest.approx(math.log(2))
    assert math.isnan(judged.auc)


def test_a_restored_window_is_the_same() -> None:
    window = filled(3)
    window.add(8, np.array([[np.nan]], np.float32), np.array([False]), np.array([0.25]))
    copy = Window(1, window.state())
    assert copy.state() == window.state()
    assert copy.judged() == window.judged()
