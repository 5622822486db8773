"""Each way in which a population moves shows, also those that common bins hide."""

import numpy as np
import pytest

from training.loop.psi import ABOVE, BELOW, MISSING, ZERO, bins_of, psi

RNG = np.random.default_rng(7)
GREAT = 0.25
"""What is commonly called a great shift."""


def moved(reference: list[float] | np.ndarray, now: list[float] | np.ndarray) -> float:
    before = np.asarray(reference, np.float32)
    bins = bins_of(before)
    return psi(bins.counts(before), bins.counts(np.asarray(now, np.float32)))


def test_the_same_population_has_not_moved() -> None:
    assert moved(RNG.normal(10, 2, 20_000), RNG.normal(10, 2, 3_000)) < 0.01


def test_formula_of_two_bins_written_out() -> None:
    # (0.9 - 0.5) ln(0.9 / 0.5) + (0.1 - 0.5) ln(0.1 / 0.5) = 0.879, less 1 / 1000 + 1 / 1000
    assert psi([500, 500], [900, 100]) == pytest.approx(0.877, abs=0.005)


def test_half_of_the_traffic_out_of_range_shows() -> None:
    inside = RNG.uniform(1, 10, 1_000)
    assert moved(RNG.uniform(1, 10, 10_000), np.concatenate([inside, np.full(1_000, 500.0)])) > 2
    assert moved(RNG.uniform(1, 10, 10_000), np.concatenate([inside, np.full(1_000, -500.0)])) > 2
    assert moved(RNG.uniform(1, 10, 10_000), np.concatenate([inside, np.full(1_000, np.inf)])) > 2


def test_everything_moved_off_zero_shows_on_a_counter_that_is_mostly_zero() -> None:
    reference = np.where(RNG.random(10_000) < 0.95, 0, RNG.poisson(3, 10_000))
    assert moved(reference, np.full(2_000, 4.0)) > GREAT
    assert moved(np.zeros(10_000), np.full(2_000, 4.0)) > GREAT


def test_one_outlier_does_not_stretch_the_bins() -> None:
    reference = np.append(RNG.normal(10, 2, 10_000), 1e9)
    assert moved(reference, RNG.normal(12, 2, 2_000)) > GREAT


def test_missing_values_that_appear_or_vanish_show() -> None:
    whole = RNG.normal(10, 2, 10_000)
    half = np.where(RNG.random(10_000) < 0.5, np.nan, whole)
    assert moved(whole, half) > GREAT
    assert moved(half, whole) > GREAT
    assert moved(whole, np.full(1_000, np.nan)) > GREAT


def test_a_category_never_seen_shows() -> None:
    assert moved([1.0] * 500 + [2.0] * 500, [1.0] * 400 + [2.0] * 400 + [7.0] * 200) > GREAT
    assert moved([1.0] * 500 + [3.0] * 500, [1.0] * 400 + [3.0] * 400 + [2.0] * 200) > GREAT


def test_an_indicator_that_was_never_on_shows_when_it_is() -> None:
    assert moved(np.zeros(10_000), [0.0] * 800 + [1.0] * 200) > GREAT


def test_few_rows_that_differ_by_chance_have_not_moved() -> None:
    reference = RNG.normal(10, 2, 20_000)
    bins = bins_of(reference)
    found = [psi(bins.counts(reference), bins.counts(RNG.normal(10, 2, 50))) for _ in range(50)]
    assert np.mean(found) < 0.1
    assert np.quantile(found, 0.95) < GREAT


def test_few_rows_that_really_differ_have_moved() -> None:
    assert moved(RNG.normal(10, 2, 20_000), RNG.normal(14, 2, 50)) > GREAT


def test_no_rows_have_not_moved() -> None:
    assert psi([1, 2], [0, 0]) == 0.0


def test_every_value_falls_into_the_bin_that_is_meant_for_it() -> None:
    bins = bins_of(np.array([1.0, 2.0, 3.0, 0.0], np.float32))
    counts = bins.counts(np.array([np.nan, 0.0, -1.0, 9.0, 2.5, 2.0], np.float32))
    assert counts[[MISSING, ZERO, BELOW, ABOVE]].tolist() == [1, 1, 1, 2]
    assert counts[4:].tolist() == [0, 1, 0]


def test_a_value_of_many_belongs_to_the_bin_that_ends_with_it() -> None:
    bins = bins_of(np.arange(1.0, 101.0, dtype=np.float32))
    assert list(bins.edges) == [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99]
    assert np.flatnonzero(bins.counts(np.array([5.0]))).tolist() == [5]
    assert bins.counts(np.arange(1.0, 101.0))[4:].tolist() == [1, 4, 5, 10, 10, 10, 10, 10, 10, 10, 10, 5, 4, 1]
