"""Nine weeks of active days: each figure on a week that a person can count."""

import math

import numpy as np
import pytest

from churn.rhythm import Rhythm, ages_of, bit_of, bits_between, calendars_of, still_known

DAILY, WEEKLY, TWICE, ONCE, NEVER = range(5)
AGES = {DAILY: range(63), WEEKLY: range(3, 63, 7), TWICE: [10, 14], ONCE: [5], NEVER: []}


def rhythm() -> Rhythm:
    pairs = [(user, age) for user, ages in AGES.items() for age in ages]
    users, ages = np.array(pairs).T
    return Rhythm(calendars_of(users, ages, len(AGES)))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("weeks_active", [9, 9, 2, 1, 0]),
        ("week_streak", [9, 9, 0, 1, 0]),
        # The two days of the second week were Mondays and Fridays of eight: an eighth of a day each.
        ("missed_days", [0, 0, 0.25, 0, 0]),
        ("gap_mean", [1, 7, 4, math.nan, math.nan]),
        ("gap_spread", [0, 0, 0, math.nan, math.nan]),
        ("gap_longest", [1, 7, 4, math.nan, math.nan]),
        ("silence_to_mean", [0, 3 / 7, 2.5, math.nan, math.nan]),
        ("silence_to_longest", [0, 3 / 7, 2.5, math.nan, math.nan]),
        ("silence_surprise", [-1, -4, 6, math.nan, math.nan]),
    ],
)
def test_each_figure_is_what_one_counts(name: str, values: list[float]) -> None:
    np.testing.assert_array_equal(getattr(rhythm(), name), values)


def test_weeks_are_counted_back_from_the_last_seven_days() -> None:
    found = rhythm()
    assert [found.week(number).tolist() for number in (1, 2, 9)] == [[7, 1, 0, 1, 0], [7, 1, 1, 0, 0], [7, 1, 0, 0, 0]]


def test_the_spread_is_the_standard_deviation_of_the_gaps() -> None:
    found = Rhythm(calendars_of(np.zeros(4, np.intp), np.array([0, 2, 3, 9]), 1))
    assert found.gap_spread.tolist() == [math.sqrt(14 / 3)]  # gaps of 2, 1 and 6 days
    assert found.silence_surprise.tolist() == [-9 / (math.sqrt(42) + 3)]


def test_nobody_active_has_no_rhythm() -> None:
    assert np.isnan(Rhythm(np.zeros(2, np.uint64)).gap_mean).all()
    assert Rhythm(np.zeros(0, np.uint64)).gap_mean.tolist() == []


@pytest.mark.parametrize("today", [0, 1, 62, 63, 64, 20_000])
def test_a_calendar_is_read_back_from_any_day(today: int) -> None:
    stored = np.array([bit_of(today) | bit_of(today - 5) | bit_of(today - 62) | bit_of(today - 63)])
    expected = calendars_of(np.zeros(3, np.intp), np.array([0, 5, 62]), 1)
    assert ages_of(stored, today).tolist() == expected.tolist()


def test_days_that_begin_take_the_bits_of_days_64_before() -> None:
    stored = np.array([-1, -1, -1])
    assert still_known(stored, np.array([100, 99, 20]), 100).tolist() == [-1, ~int(bit_of(100)), 0]
    assert bits_between(101, 100) == 0
