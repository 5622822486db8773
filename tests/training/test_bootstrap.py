"""Intervals from drawing users again."""

from collections.abc import Callable

import numpy as np
import pytest

from churn.evaluation import Mask, auc, average_precision, calibration_table, expected_calibration_error
from churn.layout import Float64s
from training.bootstrap import Users, bins_of, gaps, measure, resampled

CHANCE = np.random.default_rng(0)
SCORE = CHANCE.normal(size=2000)
PROBABILITY = 1 / (1 + np.exp(2 - SCORE))
CHURNED = CHANCE.random(2000) < PROBABILITY
USERS = Users.of(f"u{n}" for n in CHANCE.integers(0, 500, 2000))


def drawn_again(measured: Callable[[Mask, Float64s], float], times: int = 400) -> list[float]:
    """Return the 95 % interval of a measure computed anew on the rows of users drawn with replacement."""
    rows = [np.flatnonzero(USERS.codes == user) for user in range(USERS.count)]
    chance = np.random.default_rng(2)
    picks = [np.concatenate([rows[u] for u in chance.integers(0, USERS.count, USERS.count)]) for _ in range(times)]
    return list(np.quantile([measured(CHURNED[pick], PROBABILITY[pick]) for pick in picks], [0.025, 0.975]))


def test_intervals_by_influence_are_those_of_measures_computed_anew() -> None:
    found, _ = measure(CHURNED, PROBABILITY, USERS)
    for ours, measured in ((found.auc, auc), (found.average_precision, average_precision)):
        low, high = drawn_again(measured)
        assert [ours.low, ours.high] == pytest.approx([low, high], abs=0.2 * (high - low))


def test_rows_of_one_user_are_drawn_together() -> None:
    alone, _ = measure(CHURNED, PROBABILITY, Users.of(map(str, range(2000))))
    tenfold = np.repeat(np.arange(2000), 10)
    together, _ = measure(CHURNED[tenfold], PROBABILITY[tenfold], Users.of(str(row) for row in tenfold))
    assert together.log_loss.high - together.log_loss.low == pytest.approx(
        alone.log_loss.high - alone.log_loss.low, rel=0.02
    )


def test_the_same_seed_draws_the_same_users() -> None:
    sums = USERS.sums([CHURNED])
    assert resampled(sums, 20, seed=7).tolist() == resampled(sums, 20, seed=7).tolist()
    assert resampled(sums, 20, seed=7).tolist() != resampled(sums, 20, seed=8).tolist()


def test_gaps_of_bins_make_up_the_calibration_error() -> None:
    by_bins = sum(abs(float(column.sum())) for column in gaps(CHURNED, PROBABILITY, 10)) / 2000
    assert by_bins == pytest.approx(expected_calibration_error(calibration_table(CHURNED, PROBABILITY)), abs=1e-12)
    assert np.bincount(bins_of(PROBABILITY, 10)).tolist() == [200] * 10
