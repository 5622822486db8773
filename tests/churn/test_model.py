"""Models as plain data: exact scores, exact reasons, refusal of what is damaged."""

import math

import msgspec
import numpy as np
import pytest

from churn.errors import DataError
from churn.model import GoldenRow, LogisticModel, Scorer, decode, encode, sha256, signed_log1p, strongest, vector_of

E_MINUS_1 = math.e - 1


def model(probability: float = 0.5) -> LogisticModel:
    """Return a model of two features: log-odds = 0 + 2 z_a + 1 z_b + 0.5 (missing_b - 0.2)."""
    golden = [GoldenRow([0.0, 0.0], probability)]
    return LogisticModel(
        "m", "abc", ["a", "b"], [0.0, 0.0], [1.0, 2.0], [2.0, 1.0], [0.0, 0.5], [0.0, 0.0], 0.0, golden, {}
    )


def test_log_odds_by_hand() -> None:
    scored = Scorer(model(), "1").score(np.array([[E_MINUS_1, 0.0], [0.0, np.nan]], np.float32))
    assert scored.probability.tolist() == [pytest.approx(1 / (1 + np.exp(-2.0))), pytest.approx(1 / (1 + np.exp(-0.5)))]


def test_base_and_contributions_sum_to_the_log_odds() -> None:
    matrix = np.random.default_rng(0).normal(0, 5, (50, 2)).astype(np.float32)
    scored = Scorer(model(), "1").score(matrix)
    log_odds = np.log(scored.probability / (1 - scored.probability))
    assert np.allclose(scored.base + scored.contributions.sum(axis=1), log_odds, atol=1e-9)


def test_a_row_scores_the_same_alone_and_among_others() -> None:
    matrix = np.random.default_rng(1).normal(0, 5, (1000, 2)).astype(np.float32)
    scorer = Scorer(model(), "1")
    together = scorer.score(matrix).probability
    assert [float(scorer.score(row[None]).probability[0]) for row in matrix] == together.tolist()


def test_models_survive_their_json() -> None:
    assert decode(encode(model()), "test") == model()


def test_golden_rows_that_differ_are_refused() -> None:
    Scorer(model(), "1").verify()
    with pytest.raises(DataError, match=r"model m 7: golden rows differ by 0\.1"):
        Scorer(model(0.6), "7").verify()


def test_a_model_without_golden_rows_is_refused() -> None:
    with pytest.raises(DataError):
        Scorer(msgspec.structs.replace(model(), golden=[]), "1").verify()


def test_weights_of_another_number_than_features_are_refused() -> None:
    short = encode(msgspec.structs.replace(model(), weight=[1.0]))
    with pytest.raises(DataError, match="differ in number"):
        decode(short, "test")


def test_what_is_no_model_is_refused_with_its_place() -> None:
    with pytest.raises(DataError, match="here: not a model"):
        decode(b'{"kind": "forest"}', "here")


def test_signed_log_keeps_sign_and_missing() -> None:
    got = signed_log1p(np.array([E_MINUS_1, -E_MINUS_1, np.nan]))
    assert got[:2].tolist() == [pytest.approx(1.0), pytest.approx(-1.0)]
    assert np.isnan(got[2])


def test_strongest_ranks_by_size_and_keeps_the_order_of_ties() -> None:
    assert strongest(np.array([[0.5, -0.5, 3.0, 0.0]]), 3).tolist() == [[2, 0, 1]]


def test_hash_and_vector() -> None:
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert vector_of({"b": None, "a": 2.0}, ["a", "b"]).tolist() == [2.0, pytest.approx(np.nan, nan_ok=True)]
