"""A vector is scored and explained alike on every road: stream, API and daily file."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from api.dependencies import RiskBands
from api.prediction import Asked, predict
from churn.additive import AdditiveModel, Curve, Pair
from churn.arms import arms
from churn.declaration import Declaration
from churn.layout import Floats
from churn.model import LogisticModel, Model, Scorer
from churn.reasons import Explainer
from tests.training.daily import serving
from training.day_snapshot import Block
from training.score_rows import Bands, RowMaker

ROWS = 500


def logistic(declaration: Declaration, rng: np.random.Generator) -> LogisticModel:
    """Return a model in which every feature counts."""
    count, version = len(declaration.features), declaration.feature_set_version
    numbers = [rng.normal(0.0, 0.4, count).tolist() for _ in range(4)]
    mean, weight, missing, rate = numbers
    return LogisticModel(
        "m", version, list(declaration.feature_names), mean, [1.0] * count, weight, missing, rate, -1.0, [], {}
    )


def additive(declaration: Declaration, rng: np.random.Generator) -> AdditiveModel:
    """Return a model of a curve for each feature, and a pair of the first two."""
    count, version = len(declaration.features), declaration.feature_set_version
    units = rng.integers(-(1 << 40), 1 << 40, (count + 8, 4))
    curves = [Curve(feature, units[feature].tolist()) for feature in range(count)]
    pair = Pair(0, 1, units[count : count + 4].ravel().tolist(), units[count + 4 :].ravel().tolist())
    return AdditiveModel(
        "m", version, list(declaration.feature_names), [[1.0, 4.0]] * count, curves, [pair], -1.0, [], {}
    )


def vectors(declaration: Declaration, rng: np.random.Generator) -> Floats:
    matrix = rng.gamma(1.0, 5.0, (ROWS, len(declaration.features))).round(1).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    return matrix


@pytest.mark.parametrize("kind", [logistic, additive])
def test_stream_api_and_daily_file_say_the_same_of_a_vector(
    elearning: Declaration, kind: Callable[[Declaration, np.random.Generator], Model]
) -> None:
    rng = np.random.default_rng(5)
    matrix, scorer = vectors(elearning, rng), Scorer(kind(elearning, rng), "3")
    alone = serving(elearning, scorer)
    answered = predict(Asked(matrix, False), alone, Explainer(elearning), RiskBands(0.2, 0.5))
    # The stream says just this: `test_promotion` holds every score of a running scorer to it.
    streamed = Explainer(elearning).explained(matrix, scorer.score(matrix).contributions)
    assert [(p.reasons, p.others) for p in answered] == list(
        zip(streamed.reasons, streamed.others.tolist(), strict=True)
    )
    users = pa.array([f"u{number:03d}" for number in range(ROWS)])
    rows = RowMaker(alone, elearning, Bands(0.2, 0.5), date(2026, 3, 2)).rows(Block(users, matrix)).table.to_pylist()
    for answer, row in zip(answered, rows, strict=True):
        assert (row["churn_probability"], row["band"]) == (round(answer.probability, 6), answer.band)
        texts = [row[f"reason_{place}"] for place in (1, 2, 3)]
        assert texts == [r.text for r in answer.reasons]
        features = [row[f"feature_{place}"] for place in (1, 2, 3)]
        assert features == [r.feature for r in answer.reasons]
        shares = [row[f"contribution_{place}"] for place in (1, 2, 3)]
        assert [*shares, row["contribution_others"]] == [*[r.contribution for r in answer.reasons], answer.others]


def test_under_a_split_every_row_is_the_one_that_its_version_alone_makes(elearning: Declaration) -> None:
    rng, bands, day = np.random.default_rng(5), Bands(0.2, 0.5), date(2026, 3, 2)
    block = Block(pa.array([f"u{number:03d}" for number in range(ROWS)]), vectors(elearning, rng))
    first, second, third = (
        Scorer(logistic(elearning, rng), "3"),
        Scorer(additive(elearning, rng), "4"),
        Scorer(logistic(elearning, rng), "5"),
    )
    alone = [
        RowMaker(serving(elearning, each), elearning, bands, day).rows(block).table.to_pylist()
        for each in (second, third, first)
    ]
    made = RowMaker(serving(elearning, first, (second, 0.3), (third, 0.2)), elearning, bands, day).rows(block)
    chosen = arms(block.users.to_pylist(), [0.3, 0.2]).tolist()
    assert [chosen.count(arm) for arm in range(3)] == [135, 103, 262]
    assert made.table.to_pylist() == [alone[arm][place] for place, arm in enumerate(chosen)]


def test_a_declaration_of_two_features_leaves_the_third_reason_empty(elearning: Declaration) -> None:
    short = replace(elearning, features=elearning.features[:2])
    rng = np.random.default_rng(5)
    maker = RowMaker(serving(short, Scorer(logistic(short, rng), "3")), short, Bands(0.2, 0.5), date(2026, 3, 2))
    made = maker.rows(Block(pa.array(["ann"]), np.array([[2.0, 3.0]], np.float32)))
    (row,) = made.table.to_pylist()
    assert [row["reason_3"], row["feature_3"], row["contribution_3"]] == [None, None, None]
    assert row["contribution_others"] == 0.0
    assert made.lines.to_pybytes().endswith(b'",,"3"\n')
