"""What is published of a block of labels that was learnt."""

import math

import numpy as np

from churn.model import LogisticModel, Scorer
from training.course import Learnt
from training.delay_line import Joined
from training.loop.outcomes import outcome

MATRIX = np.array([[1.0], [2.0]], np.float32)
JOINED = Joined(100, ["ann", "bob"], MATRIX, np.array([True, False]))


def scorer(version: str, probability: float) -> Scorer:
    """Return a model that says the same of everyone."""
    log_odds = math.log(probability / (1 - probability))
    return Scorer(LogisticModel("m", "v", ["a"], [0], [1], [0], [0], [0], log_odds, [], {}), version)


def test_a_row_of_each_model_stands_beside_what_became_of_the_users() -> None:
    learnt = Learnt(3, 7, 130, JOINED, np.array([0.25, 0.5]))
    block = outcome(learnt, [scorer("8", 0.8), scorer("7", 0.5)])
    assert (block.partition, block.label_offset, block.as_of_us, block.known_at_us) == (3, 7, 100, 130)
    assert (block.users, block.churned.tolist()) == (["ann", "bob"], [True, False])
    assert block.versions == ["online", "8", "7"]
    assert block.probability.round(9).tolist() == [[0.25, 0.5], [0.8, 0.8], [0.5, 0.5]]


def test_an_online_model_that_knew_nothing_is_left_out() -> None:
    assert outcome(Learnt(0, 0, 130, JOINED, None), [scorer("8", 0.8)]).versions == ["8"]


def test_labels_are_told_of_before_there_is_any_model() -> None:
    block = outcome(Learnt(0, 0, 130, JOINED, None), [])
    assert (block.versions, block.probability.shape, block.churned.tolist()) == ([], (0, 2), [True, False])
