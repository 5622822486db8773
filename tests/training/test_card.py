"""What stands on a model card, from the rows of the hold-out."""

import numpy as np
import pytest

from tests.training.cards import CHURNED, NASTY, PROBABILITY, card
from training.card import calibration, lift_curve, read_card

CARD = card()


def test_a_card_survives_its_json() -> None:
    assert read_card(CARD.json()) == CARD


def test_measures_lie_in_their_intervals() -> None:
    assert set(CARD.measures) == {"auc", "average_precision", "log_loss", "brier", "ece"}
    assert all(found.low <= found.value <= found.high for found in CARD.measures.values())
    assert 0.02 < CARD.measures["auc"].high - CARD.measures["auc"].low < 0.08


def test_features_are_ordered_by_their_mean_contribution() -> None:
    assert [feature.name for feature in CARD.features] == ["silence", "visits_7d"]
    assert CARD.features[0].importance / CARD.features[1].importance == pytest.approx(2, rel=0.1)


def test_calibration_says_what_happened_in_each_tenth() -> None:
    points = CARD.calibration
    assert [point.rows for point in points] == [200] * 10
    assert sum(point.happened.value * point.rows for point in points) == pytest.approx(CHURNED.sum())
    covered = [point.happened.low <= point.said <= point.happened.high for point in points]
    assert covered.count(True) >= 8


def test_a_model_that_says_twice_too_much_lies_outside_its_intervals() -> None:
    said = np.minimum(1.0, PROBABILITY * 2)
    # Without resamples around it every interval is the value alone.
    exact = np.array([[float((said - CHURNED)[part].sum()) / 2000 for part in np.array_split(np.argsort(said), 10)]])
    points = calibration(CHURNED, said, exact)
    assert points[-1].said > 1.3 * points[-1].happened.high


def test_lift_of_everybody_is_one_and_of_the_riskiest_more() -> None:
    points = lift_curve(CHURNED, PROBABILITY)
    assert (points[-1].share, points[-1].found, points[-1].lift) == (1.0, 1.0, 1.0)
    assert points[0].lift > 2
    assert [point.found for point in points] == sorted(point.found for point in points)


def test_the_worst_segment_is_named() -> None:
    worst = CARD.worst_segment
    assert worst is not None
    assert worst in CARD.segments
    assert {each.value for each in CARD.segments} == {"plain", NASTY}
