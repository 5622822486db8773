"""Moments, samples and the comparison to the bit."""

import numpy as np

from churn.layout import DAY_US
from churn.time_travel import Moment, Sample, differing, first_beyond

USERS = [f"user-{i}" for i in range(10_000)]


def test_a_midnight_knows_what_is_strictly_before_it() -> None:
    assert first_beyond(7 * DAY_US) == 7 * DAY_US


def test_a_time_within_a_day_knows_the_events_of_its_microsecond() -> None:
    assert first_beyond(7 * DAY_US + 1) == 7 * DAY_US + 2


def test_a_moment_stands_on_its_utc_day() -> None:
    assert Moment("ann", 0, 7 * DAY_US - 1, 5).day == 6
    assert Moment("ann", 0, 7 * DAY_US, 5).day == 7


def test_one_bit_makes_a_difference_and_nan_equals_nan() -> None:
    emitted = np.array([[1.0, np.nan, 0.0]], np.float32)
    recomputed = np.array([[np.nextafter(np.float32(1), np.float32(2)), np.nan, -0.0]], np.float32)
    assert differing(emitted, recomputed).tolist() == [[True, False, True]]


def test_a_sample_takes_about_its_share_and_always_the_same() -> None:
    rows = Sample(0.01).rows(USERS)
    assert 70 < len(rows) < 130
    assert Sample(0.01).rows(USERS) == rows


def test_a_larger_sample_holds_the_smaller_one() -> None:
    assert set(Sample(0.01).rows(USERS)) < set(Sample(0.1).rows(USERS))


def test_the_whole_is_everybody() -> None:
    assert Sample(1.0).rows(USERS) == list(range(10_000))
