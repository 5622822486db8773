"""Influences are the derivatives of the measures by the weights of rows."""

from collections.abc import Callable

import numpy as np
import pytest

from churn.evaluation import Mask, auc, average_precision
from churn.influence import auc_influence, average_precision_influence
from churn.layout import Float64s

CHURNED = np.array([True, False, True, False, False, True, False])
PROBABILITY = np.array([0.9, 0.8, 0.7, 0.7, 0.3, 0.3, 0.1])


@pytest.mark.parametrize(
    ("measure", "influence"), [(auc, auc_influence), (average_precision, average_precision_influence)]
)
def test_a_row_drawn_once_more_moves_the_measure_by_its_influence(
    measure: Callable[[Mask, Float64s], float], influence: Callable[[Mask, Float64s], Float64s]
) -> None:
    copies = 2000
    for row, moved in enumerate(influence(CHURNED, PROBABILITY)):
        drawn = np.concatenate([np.tile(np.arange(7), copies), np.repeat(row, 10)])
        change = measure(CHURNED[drawn], PROBABILITY[drawn]) - measure(CHURNED, PROBABILITY)
        assert change == pytest.approx(moved * 10 / copies, rel=0.02, abs=2e-6)


def test_influences_of_all_rows_cancel() -> None:
    assert float(auc_influence(CHURNED, PROBABILITY).sum()) == pytest.approx(0, abs=1e-12)
    assert float(average_precision_influence(CHURNED, PROBABILITY).sum()) == pytest.approx(0, abs=1e-12)
