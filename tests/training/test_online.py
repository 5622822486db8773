"""A learner that is judged before it learns, and that survives a restart to the bit."""

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from churn.errors import DataError
from churn.evaluation import auc, log_loss
from churn.layout import Floats
from churn.model import Scorer
from training.online import OnlineLearner

NAMES = ["a", "b", "c"]


def true_probability(matrix: Floats) -> npt.NDArray[np.float64]:
    """Return the chance to churn of the law behind `rows`."""
    log_odds = 1.0 - 1.5 * np.log1p(matrix[:, 0]) + np.where(np.isnan(matrix[:, 1]), 1.0, 0.0)
    return np.asarray(1 / (1 + np.exp(-log_odds)), np.float64)


def rows(count: int, seed: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return vectors, the third constant, the second often missing, and labels that the first two drive."""
    random = np.random.default_rng(seed)
    matrix = random.poisson(3.0, (count, 3)).astype(np.float32)
    matrix[random.random(count) < 0.3, 1] = np.nan
    matrix[:, 2] = 0.1
    return matrix, random.random(count) < true_probability(matrix)


def taught(blocks: int = 4) -> OnlineLearner:
    """Return a learner after blocks of 500 rows."""
    learner = OnlineLearner(NAMES, "v1")
    for seed in range(blocks):
        learner.learn(seed, *rows(500, seed))
    return learner


def test_nothing_is_known_before_the_first_label() -> None:
    assert OnlineLearner(NAMES, "v1").predict(rows(10, 0)[0]).tolist() == [0.5] * 10


def test_rows_of_a_midnight_without_known_labels_are_learnt_and_not_judged() -> None:
    learner = OnlineLearner(NAMES, "v1")
    assert [learner.learn(day, *rows(10, day)) for day in (0, 15, 29)] == [None] * 3
    assert (learner.rows, learner.window.judged().rows) == (30, 0)


def test_rows_are_judged_by_what_was_known_at_their_midnight() -> None:
    learner, issuer, (matrix, churned) = taught(4), taught(3), rows(100, 99)
    # The labels of day 2 are known on day 32; those of day 3 are not.
    said = learner.learn(32, matrix, churned)
    assert said is not None
    assert np.abs(said - issuer.predict(matrix)).max() < 1e-12
    assert np.abs(said - learner.predict(matrix)).max() > 1e-3


def test_every_block_of_a_midnight_is_judged_alike() -> None:
    learner, (matrix, churned) = taught(4), rows(100, 99)
    first, second = (learner.learn(40, matrix, churned) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.tolist() == second.tolist()


def test_late_rows_are_judged_for_a_week_by_what_was_known_then() -> None:
    learner = OnlineLearner(NAMES, "v1", horizon_days=2)
    said = {day: learner.learn(day, *rows(50, day)) for day in range(20)}
    late = [learner.learn(day, *rows(50, day)) for day in (12, 11)]
    assert (said[12] is None, late[0] is None, late[1] is None) == (False, False, True)
    assert np.array_equal(np.asarray(late[0]), np.asarray(said[12]))


def test_progressive_measures_come_close_to_the_law_itself() -> None:
    learner = OnlineLearner(NAMES, "v1", horizon_days=2)
    for seed in range(40):
        learner.learn(seed, *rows(500, seed))
    known = [rows(500, seed) for seed in range(30, 40)]
    churned = np.concatenate([labels for _, labels in known])
    law = np.concatenate([true_probability(matrix) for matrix, _ in known])
    assert learner.rows == 20_000
    assert learner.window.churned.tolist() == churned.tolist()
    judged = learner.window.judged()
    assert judged.log_loss - log_loss(churned, law) < 0.02
    assert auc(churned, law) - judged.auc < 0.01
    assert judged.calibration_error < 0.05


def test_a_restored_learner_goes_on_with_the_same_bits() -> None:
    learner = taught()
    state = msgspec.json.decode(msgspec.json.encode(learner.state()), type=type(learner.state()))
    copy = OnlineLearner(NAMES, "v1", state)
    for day in (31, 33):
        said, again = (np.asarray(each.learn(day, *rows(300, day))) for each in (learner, copy))
        assert np.array_equal(said, again)
    assert copy.state() == learner.state()


def test_exported_weights_serve_the_same_probabilities() -> None:
    learner, (matrix, _) = taught(), rows(200, 5)
    scorer = Scorer(learner.export("online", matrix), "1")
    scorer.verify()
    assert np.abs(scorer.score(matrix).probability - learner.predict(matrix)).max() < 1e-9


def test_a_state_of_other_features_is_refused() -> None:
    with pytest.raises(DataError, match="feature set v1, this declaration is v2"):
        OnlineLearner(NAMES, "v2", taught(1).state())
