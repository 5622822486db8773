"""Candidates compete on the same folds and are written down so that each could serve."""

import sys
from itertools import pairwise

import numpy as np
import pytest

from churn.declaration import Declaration, parse
from churn.model import AdditiveModel, LogisticModel, Scorer, encode
from training.candidates import Candidate, Order, compete
from training.rows import Rows, folds_of, hashes_of

DECLARED: Declaration = parse(
    """
business: test
events: {visit: {activity: true}, buy: {}}
counters: {buys: {unit: buys, adds: {buy: 1}}}
features:
  visits_{window}d: {sum: activity, windows: [7, 30], says: "{value} visits in {window} days"}
  buys_{window}d: {sum: buys, windows: [30], says: "{value} buys in {window} days"}
  last: {days_since_last: activity, cap: 90, says: "no visit for {value} days"}
""",
    "test",
)


def rows(users: int, seed: int = 0) -> Rows:
    """Return eight weekly snapshots; silence and few visits together drive churn, which no line in each alone says."""
    random = np.random.default_rng(seed)
    count = users * 8
    matrix = random.gamma(2.0, 3.0, (count, 4)).astype(np.float32).round()
    log_odds = -2.0 + 2.5 * ((matrix[:, 3] > 6) & (matrix[:, 0] < 4)) - 0.05 * matrix[:, 1]
    churned = random.random(count) < 1 / (1 + np.exp(-log_odds))
    who = hashes_of([f"u{n}" for n in range(users)])
    return Rows(matrix, churned, np.repeat(np.arange(8, dtype=np.int32) * 7, users), np.tile(who, 8))


ORDER = Order("churn", DECLARED, {"rows": 4000})


@pytest.fixture(scope="module")
def found() -> list[Candidate]:
    data = rows(500)
    return compete(data, folds_of(data, 14), ORDER)


def test_the_best_on_the_folds_comes_first_and_the_baseline_is_kept(found: list[Candidate]) -> None:
    assert found[0].name == "boosted"
    assert {each.name for each in found} == {"logistic", "boosted", "online"}
    assert all(better.fold_loss <= worse.fold_loss for better, worse in pairwise(found))


def test_every_candidate_can_serve(found: list[Candidate]) -> None:
    for each in found:
        Scorer(each.model, "1").verify()
        assert each.model.features == list(DECLARED.feature_names)
        assert each.model.trained["candidate"] == each.name
        assert len(each.model.golden[0].contributions) == 4


def test_what_did_best_on_the_folds_does_best_on_fresh_users(found: list[Candidate]) -> None:
    fresh = rows(500, 1)
    said = {each.name: Scorer(each.model, "1").score(fresh.matrix).probability for each in found}
    losses = {name: float(-np.log(np.where(fresh.churned, p, 1 - p)).mean()) for name, p in said.items()}
    assert min(losses, key=lambda name: losses[name]) == "boosted"


def test_the_search_is_written_into_the_model(found: list[Candidate]) -> None:
    trained = next(each.model.trained for each in found if isinstance(each.model, AdditiveModel))
    assert 1 <= int(trained["trees"]) <= 300
    assert {"min_leaf", "l2", "columns", "seed", "fold_log_loss", "rows"} <= set(trained)


def test_the_same_rows_give_the_same_candidates(found: list[Candidate]) -> None:
    data = rows(500)
    again = compete(data, folds_of(data, 14), ORDER)
    assert [encode(each.model) for each in again] == [encode(each.model) for each in found]


def test_without_room_for_folds_the_baseline_comes_first() -> None:
    first = compete(rows(100), [], ORDER)[0]
    assert isinstance(first.model, LogisticModel)
    assert np.isnan(first.fold_loss)
    assert "fold_log_loss" not in first.model.trained


def test_without_lightgbm_the_others_compete_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    data, told = rows(100), list[str]()
    found = compete(data, folds_of(data, 14), ORDER, told.append)
    assert {each.name for each in found} == {"logistic", "online"}
    assert any("boosted is left out: LightGBM cannot be loaded" in line and "libgomp" in line for line in told)
