"""Time order: what is learnt ends before what is judged begins."""

from dataclasses import replace

import pytest

from churn.declaration import Declaration
from churn.errors import DataError
from training.split import Bounds, Split, by_time, folds, history_days


def test_training_labels_end_before_the_first_test_snapshot() -> None:
    assert by_time(range(30, 121, 7), 0.25, 30) == Split((30, 37, 44, 51, 58, 65), (100, 107, 114))


def test_a_span_shorter_than_the_gap_is_refused_with_the_days_missing() -> None:
    with pytest.raises(DataError, match="archive 9 more days"):
        by_time([30, 37, 44, 51], 0.25, 30)


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(DataError, match="too short"):
        by_time(Bounds(0, 50, 30, 30).weekly(), 0.25, 30)


def test_weekly_snapshots_leave_a_horizon_on_both_sides() -> None:
    assert Bounds(100, 174, 30, 30).weekly() == (130, 137, 144)


def test_folds_keep_the_gap_and_vanish_when_there_is_no_room() -> None:
    assert list(folds(range(0, 71, 10), 30)) == [
        Split((0, 10, 20), (50, 60, 70)),
        Split((0, 10, 20, 30), (60, 70)),
    ]
    assert list(folds([0, 10, 20], 30)) == []


def test_a_short_horizon_waits_all_the_same_for_whole_windows(elearning: Declaration) -> None:
    short = replace(elearning, label=replace(elearning.label, horizon_days=7))
    assert history_days(short) >= 30
    assert Bounds(100, 160, 7, 30).weekly() == (132, 139, 146, 153)


def test_a_midnight_whose_label_is_not_known_is_refused() -> None:
    with pytest.raises(DataError, match=r"label of 1970-05-27 .* ends on 1970-06-24, use 1970-05-25 at the latest"):
        Bounds(100, 174, 30, 30).checked([140, 146])


def test_a_midnight_that_looks_back_before_the_archive_is_refused() -> None:
    with pytest.raises(DataError, match=r"1970-05-09 looks back 30 days, .* begins on 1970-04-11.* use 1970-05-11"):
        Bounds(100, 174, 30, 30).checked([128, 140])
    assert Bounds(100, 174, 30, 30).checked([144, 130, 144]) == (130, 144)
