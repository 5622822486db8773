"""A model serves only if it beats what is simple and what serves now."""

import dataclasses

import numpy as np

from churn.evaluation import Evaluation, evaluate
from training.gate import judge

GOOD = evaluate(np.array([True, False, True, False]), np.array([0.8, 0.2, 0.7, 0.3]), 0.5)
WORSE = evaluate(np.array([True, False, True, False]), np.array([0.6, 0.4, 0.4, 0.6]), 0.5)


def why(candidate: Evaluation, floor: Evaluation, champion: Evaluation | None) -> tuple[bool, str]:
    """Return the verdict and its first reason."""
    verdict = judge(candidate, floor, champion, "version 3")
    return verdict.promotes, verdict.why[0]


def test_a_better_model_passes() -> None:
    assert why(GOOD, WORSE, WORSE) == (True, "passed: log loss is below that of recency alone (0.2899 against 0.7136)")


def test_a_model_no_better_than_recency_fails() -> None:
    assert why(WORSE, GOOD, None)[1].startswith("FAILED: log loss is below that of recency alone")


def test_a_model_worse_than_the_champion_fails() -> None:
    better = dataclasses.replace(GOOD, log_loss=0.1)
    promotes, first = why(GOOD, WORSE, better)
    assert not promotes
    assert first == "FAILED: log loss is not above that of the champion, version 3 (0.2899 against 0.1000)"


def test_a_model_equal_to_the_champion_passes() -> None:
    assert why(GOOD, WORSE, GOOD)[0]
