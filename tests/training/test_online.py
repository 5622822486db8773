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
    matrix, churned = rows(10, 0)
    assert OnlineLearner(NAMES, "v1").learn(0, matrix, churned).tolist() == [0.5] * 10


def test_predictions_come_before_learning() -> None:
    learner, matrix_and_labels = taught(), rows(100, 99)
    before = learner.predict(matrix_and_labels[0])
    assert learner.learn(4, *matrix_and_labels).tolist() == before.tolist()
    assert learner.predict(matrix_and_labels[0]).tolist() != before.tolist()


def test_progressive_measures_come_close_to_the_law_itself() -> None:
    learner = taught(20)
    known = [rows(500, seed) for seed in range(10, 20)]
    churned = np.concatenate([labels for _, labels in known])
    law = np.concatenate([true_probability(matrix) for matrix, _ in known])
    assert learner.rows == 10_000
    assert learner.window.churned.tolist() == churned.tolist()
    assert learner.window.judged().log_loss - log_loss(churned, law) < 0.01
    assert auc(churned, law) - learner.window.judged().auc < 0.01


def test_a_restored_learner_goes_on_with_the_same_bits() -> None:
    learner = taught()
    state = msgspec.json.decode(msgspec.json.encode(learner.state()), type=type(learner.state()))
    copy = OnlineLearner(NAMES, "v1", state)
    for seed in (7, 8):
        assert copy.learn(seed, *rows(300, seed)).tolist() == learner.learn(seed, *rows(300, seed)).tolist()
    assert copy.state() == learner.state()


def test_exported_weights_serve_the_same_probabilities() -> None:
    learner, (matrix, _) = taught(), rows(200, 5)
    scorer = Scorer(learner.export("online", matrix), "1")
    scorer.verify()
    assert np.abs(scorer.score(matrix).probability - learner.predict(matrix)).max() < 1e-9


def test_a_state_of_other_features_is_refused() -> None:
    with pytest.raises(DataError, match="feature set v1, this declaration is v2"):
        OnlineLearner(NAMES, "v2", taught(1).state())
