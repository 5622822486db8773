import json
import re

import numpy as np
import pytest

from api.dependencies import RiskBands
from api.errors import PredictionInputError, TooLargeError
from api.prediction import MAX_INSTANCES, parse, predict
from churn.model import Scorer
from churn.reasons import Explainer
from churn.scores import Champion
from feature_repo.champion import Serving
from tests.api.building import AS_OF, DECLARATION, feature_map, model, vectors

NAMES = ("lessons", "sessions")


def refused(body: bytes) -> PredictionInputError:
    with pytest.raises(PredictionInputError) as caught:
        parse(body, NAMES)
    return caught.value


def test_one_feature_map_becomes_one_row_in_declared_order() -> None:
    asked = parse(b'{"features": {"sessions": 2, "lessons": 1.5}}', NAMES)
    assert asked.one
    assert asked.matrix.dtype == np.float32
    assert asked.matrix.tolist() == [[1.5, 2.0]]


def test_many_feature_maps_become_rows() -> None:
    asked = parse(b'{"instances": [{"lessons": 1, "sessions": 2}, {"lessons": 3, "sessions": 4}]}', NAMES)
    assert not asked.one
    assert asked.matrix.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_null_is_a_missing_value_and_not_zero() -> None:
    asked = parse(b'{"features": {"sessions": null, "lessons": 0}}', NAMES)
    assert asked.matrix[0, 0] == 0.0
    assert np.isnan(asked.matrix[0, 1])


def test_an_empty_object_is_told_what_is_needed() -> None:
    assert re.search('the body is an object with nothing; send .*"features".*lessons, sessions$', str(refused(b"{}")))


def test_every_wrong_feature_is_named() -> None:
    error = refused(b'{"features": {"sessions": "many", "visits": 1, "clicks": 2}}')
    assert str(error) == (
        "4 problems: `lessons` is not given; send null when the value is missing; "
        "`sessions` is 'many', a number or null is needed; `visits` is no feature; `clicks` is no feature"
    )
    assert [problem.feature for problem in error.problems] == ["lessons", "sessions", "visits", "clicks"]


def test_a_problem_names_its_instance() -> None:
    error = refused(b'{"instances": [{"lessons": 1, "sessions": 2}, {"lessons": 3}]}')
    assert [(p.instance, p.feature) for p in error.problems] == [(1, "sessions")]
    assert str(error).startswith("1 problem: instance 1: `sessions` is not given")


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e39", "9" * 400, "true", '"1"', "[1]", "{}"]
)
def test_what_is_no_finite_number_is_refused_by_name(value: str) -> None:
    error = refused(f'{{"features": {{"lessons": {value}, "sessions": 1}}}}'.encode())
    assert [p.feature for p in error.problems] == ["lessons"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[]", b"3", b'{"features": []}', b'{"instances": []}', b'{"instances": [1]}', b'{"rows": []}', b"[" * 100_000,
     b'{"features": {}, "instances": []}', b'{"features": {"lessons": 1, "sessions": 1}, "verbose": true}'],
)  # fmt: skip
def test_a_body_of_another_shape_is_told_the_right_one(body: bytes) -> None:
    assert 'send {"features": {name: number or null, ...}} or {"instances":' in str(refused(body))


def test_more_instances_than_the_limit_are_refused() -> None:
    body = json.dumps({"instances": [{}] * (MAX_INSTANCES + 1)}).encode()
    with pytest.raises(TooLargeError, match="10001 instances in one request, 10000 is the most"):
        parse(body, NAMES)


def test_a_thousand_problems_are_listed_and_the_rest_is_counted() -> None:
    error = refused(json.dumps({"instances": [{}] * 600}).encode())
    assert len(error.problems) == 1000
    assert str(error).startswith("1200 problems: ")
    assert str(error).endswith("; and 200 more")


def test_a_prediction_equals_the_scorer_to_the_last_bit() -> None:
    matrix = vectors(50)
    scorer = Scorer(model(), "7")
    serving = Serving(Champion("churn", "7", "", "", "", AS_OF, ""), scorer)
    asked = parse(json.dumps({"instances": [feature_map(row) for row in matrix]}).encode(), DECLARATION.feature_names)
    got = predict(asked, serving, Explainer(DECLARATION), RiskBands(0.2, 0.5))
    assert [p.probability for p in got] == scorer.score(matrix).probability.tolist()
    sums = [p.base + sum(reason.contribution for reason in p.reasons) + p.others for p in got]
    np.testing.assert_allclose(1 / (1 + np.exp(-np.array(sums))), [p.probability for p in got], rtol=1e-13)
    assert {p.band for p in got} <= {"low", "medium", "high"}
    assert all((p.band == "high") == (p.probability >= 0.5) for p in got)
