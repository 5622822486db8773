"""Time order: what is learnt ends before what is judged begins."""

import pytest

from churn.errors import DataError
from training.split import Split, by_time, folds, weekly


def test_training_labels_end_before_the_first_test_snapshot() -> None:
    assert by_time(range(30, 121, 7), 0.25, 30) == Split((30, 37, 44, 51, 58, 65), (100, 107, 114))


def test_a_span_shorter_than_the_gap_is_refused_with_the_days_missing() -> None:
    with pytest.raises(DataError, match="archive 9 more days"):
        by_time([30, 37, 44, 51], 0.25, 30)


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(DataError, match="too short"):
        by_time(weekly(0, 50, 30), 0.25, 30)


def test_weekly_snapshots_leave_a_horizon_on_both_sides() -> None:
    assert weekly(100, 174, 30) == (130, 137, 144)


def test_folds_keep_the_gap_and_vanish_when_there_is_no_room() -> None:
    assert list(folds(range(0, 71, 10), 30)) == [
        Split((0, 10, 20), (50, 60, 70)),
        Split((0, 10, 20, 30), (60, 70)),
    ]
    assert list(folds([0, 10, 20], 30)) == []
