"""Feature maps of a request into a matrix: every feature must be given, and everything that is wrong is named."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from api.answers import Prediction
from api.dependencies import RiskBands
from api.errors import FeatureProblem, PredictionInputError, TooLargeError
from churn.layout import Floats
from churn.reasons import Explainer
from churn.scores import BANDS, band_codes
from feature_repo.champion import Serving

MAX_INSTANCES = 10_000
# 10,000 maps of 53 features written generously; more is refused before it is held in memory.
MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_PROBLEMS = 1_000
SHOWN_CHARS = 128
FLOAT32_MAX = float(np.finfo(np.float32).max)
SHAPES = '{"features": {name: number or null, ...}} or {"instances": [{name: number or null, ...}, ...]}'


@dataclass(frozen=True)
class Asked:
    """Feature maps as a matrix float32 [instances, features]; `one` when a single map was sent as `features`."""

    matrix: Floats
    one: bool


def parse(body: bytes, names: Sequence[str]) -> Asked:
    """Read a request for predictions.

    Raises:
        PredictionInputError: names everything that is wrong.
        TooLargeError: more than 10,000 instances.
    """
    instances, one = _instances(_decoded(body), names)
    if len(instances) > MAX_INSTANCES:
        raise TooLargeError(
            f"{len(instances)} instances in one request, {MAX_INSTANCES} is the most; send several requests"
        )
    problems = [p for number, each in enumerate(instances) for p in check(number, each, names)]
    if problems:
        raise PredictionInputError(_summary(problems, one), problems[:MAX_PROBLEMS])
    rows = [[np.nan if each[name] is None else float(each[name]) for name in names] for each in instances]
    return Asked(np.array(rows, dtype=np.float32), one)


def check(number: int, given: Mapping[str, Any], names: Sequence[str]) -> list[FeatureProblem]:
    """Return what is wrong with one feature map.

    >>> [p.problem for p in check(0, {"a": "x", "b": None}, ["a", "b", "c"])]
    ["is 'x', a number or null is needed", 'is not given; send null when the value is missing']
    """
    problems = [_problem(number, name, given) for name in names]
    known = set(names)
    unknown = [FeatureProblem(number, name[:SHOWN_CHARS], "is no feature") for name in given if name not in known]
    return [problem for problem in problems if problem is not None] + unknown


def predict(asked: Asked, serving: Serving, explainer: Explainer, bands: RiskBands) -> list[Prediction]:
    """Return a prediction for each row; probabilities are the scorer's, to the last bit."""
    scored = serving.scorer.score(asked.matrix)
    codes = band_codes(scored.probability, bands.medium, bands.high)
    model, version = serving.champion.model, serving.champion.version
    found = explainer.explained(asked.matrix, scored.contributions)
    rows = zip(scored.probability.tolist(), codes.tolist(), found.reasons, found.others.tolist(), strict=True)
    return [Prediction(p, BANDS[code], reasons, model, version, scored.base, rest) for p, code, reasons, rest in rows]


def _problem(number: int, name: str, given: Mapping[str, Any]) -> FeatureProblem | None:
    if name not in given:
        return FeatureProblem(number, name, "is not given; send null when the value is missing")
    value = given[name]
    if value is None:
        return None
    # type, not isinstance: true and false are integers to Python, and a client that sends them has mistaken something.
    if type(value) not in (int, float):
        return FeatureProblem(number, name, f"is {_short(value)}, a number or null is needed")
    if not abs(value) <= FLOAT32_MAX:
        return FeatureProblem(number, name, f"is {_short(value)}, a finite number within float32 is needed")
    return None


def _short(value: object) -> str:
    # Digits of a long integer are not printed: Python refuses beyond 4,300 of them.
    shown = "an integer beyond 64 bits" if isinstance(value, int) and value.bit_length() > 64 else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _decoded_leniently(body)


def _decoded_leniently(body: bytes) -> Any:
    # NaN, Infinity and 1e999 are no JSON, but read here their feature can be named instead of a byte position.
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PredictionInputError(f"the body is not JSON ({error}); send {SHAPES}") from None


def _instances(document: Any, names: Sequence[str]) -> tuple[list[dict[str, Any]], bool]:
    keys = set(document) if isinstance(document, dict) else set()
    if keys == {"features"} and isinstance(document["features"], dict):
        return [document["features"]], True
    many = document["instances"] if keys == {"instances"} else None
    if not isinstance(many, list) or not many or not all(isinstance(each, dict) for each in many):
        seen = (
            f"an object with {sorted(k[:SHOWN_CHARS] for k in keys)[:10] or 'nothing'}"
            if keys or document == {}
            else _short(document)
        )
        raise PredictionInputError(f"the body is {seen}; send {SHAPES}, each map with every one of: {', '.join(names)}")
    return many, False


def _summary(problems: Sequence[FeatureProblem], one: bool) -> str:
    named = [f"{'' if one else f'instance {p.instance}: '}`{p.feature}` {p.problem}" for p in problems[:MAX_PROBLEMS]]
    more = len(problems) - len(named)
    return f"{len(problems)} problem{'s' * (len(problems) > 1)}: {'; '.join(named)}" + (
        f"; and {more} more" if more else ""
    )
