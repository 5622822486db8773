from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from churn.declaration import Declaration
from churn.evaluation import Evaluation, evaluate
from compose.bench.business_archive import write_business
from compose.bench.ways import OBSERVER, ORACLE, RECENCY, Trial, lines, with_ways
from feature_repo.archive import files
from feature_repo.declared import load
from producers.synthetic.business import Scenario, SyntheticBusiness
from producers.synthetic.history import no_progress
from training.dataset import DataSet
from training.split import Bounds
from training.truth import OBSERVABLE, true_probabilities

CHURNED = np.array([True, False, True, False])
GUESS = evaluate(CHURNED, np.array([0.3, 0.4, 0.6, 0.5]), 0.5)


def like(auc: float, log_loss: float) -> Evaluation:
    return replace(GUESS, auc=auc, log_loss=log_loss)


FOUND = {
    RECENCY: like(0.80, 0.28),
    "boosted": like(0.85, 0.26),
    OBSERVER: like(0.90, 0.24),
    ORACLE: like(1.00, 0.20),
}


def test_the_way_is_counted_from_the_recency_rule() -> None:
    boosted = with_ways(FOUND)["boosted"]
    assert (boosted["way_to_observer_auc"], boosted["way_to_observer_log_loss"]) == (0.5, 0.5)
    assert (boosted["way_to_oracle_auc"], boosted["way_to_oracle_log_loss"]) == (0.25, 0.25)


def test_the_table_names_everybody_with_both_ways() -> None:
    table = list(lines(with_ways(FOUND)))
    assert table[2].split() == ["boosted", "0.8500", "0.2600", "0.5000", "50.0%", "50.0%", "25.0%", "25.0%"]


def test_labels_learnt_from_end_before_the_days_judged_by() -> None:
    learnt, judged = Trial(100, 130, 1, 2).days_of(Bounds(0, 129, 30, 30))
    assert judged == [71, 78, 85, 92, 99]
    assert (learnt[0], learnt[-1]) == (30, 39)
    assert learnt[-1] + 30 <= judged[0]


@pytest.fixture
def elearning(pytestconfig: pytest.Config) -> Declaration:
    return load(pytestconfig.rootpath / "feature_repo" / "declarations" / "elearning.yaml")


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], SyntheticBusiness]:
    def write() -> SyntheticBusiness:
        business = SyntheticBusiness(Scenario(users=60, days=5))
        write_business(business, tmp_path, no_progress, truth=True)
        return business

    return write


def test_the_archive_holds_every_event_and_the_truth_every_user(
    written: Callable[[], SyntheticBusiness], tmp_path: Path, elearning: Declaration
) -> None:
    days = list(written().days())
    with DataSet(elearning, files(tmp_path / "archive"), tmp_path) as data:
        assert data.counts.events == sum(len(day.events) for day in days)
        users = data.counts.users
        last = np.full(len(users), data.counts.last_day, np.int32)
    assert days[-1].truth is not None
    known = days[-1].truth.observable_churn_probability
    assert known is not None
    found = true_probabilities(tmp_path / "truth", users, last, OBSERVABLE)
    np.testing.assert_array_equal(
        found, [known[int(user[1:])] if int(user[1:]) < len(known) else np.nan for user in users]
    )
