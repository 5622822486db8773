import math
from datetime import timedelta

import pytest

from api.lookup import Depth, Lookup, checked_depth, checked_user_id
from churn.errors import InputError, UnknownUserError
from churn.model import Scorer
from churn.scores import Challenger, Champion, to_us
from feature_repo.champion import Serving
from feature_repo.reader import StoredScore, UserRow
from tests.api.building import AS_OF, DAYS_SILENT, DECLARATION, lineup, model, vectors

LOOKUP = Lookup(DECLARATION)
SERVING = Serving(Champion("churn", "7", "", "", "", AS_OF, ""), Scorer(model(), "7"))
STORED = StoredScore(0.7, "high", "6", "no activity for 12 days", to_us(AS_OF) + 1_000_000)
ROW = UserRow("u1", vectors(1)[0], to_us(AS_OF), STORED)
NOW = AS_OF + timedelta(seconds=90)


def test_a_missing_value_is_told_apart_from_zero() -> None:
    features = LOOKUP.answer(ROW, None, "top", NOW).features
    assert math.isnan(features["quiz_score_7d"] or 0.0)
    assert features["sessions_7d"] == float(vectors(1)[0, 0])


@pytest.mark.parametrize(("days_silent", "active"), [(0.0, True), (30.0, True), (31.0, False), (math.nan, False)])
def test_silence_beyond_the_horizon_is_told(days_silent: float, active: bool) -> None:
    vector = vectors(1)[0]
    vector[DAYS_SILENT] = days_silent
    assert LOOKUP.answer(UserRow("u1", vector, to_us(AS_OF), STORED), SERVING, "top", NOW).active is active


def test_freshness_counts_from_the_clock_of_the_server() -> None:
    freshness = LOOKUP.answer(ROW, None, "top", NOW).freshness
    assert (freshness.features_as_of, freshness.features_age_seconds, freshness.score_age_seconds) == (
        AS_OF,
        90.0,
        89.0,
    )


@pytest.mark.parametrize(("depth", "count"), [("all", len(DECLARATION.features)), ("top", 3)])
def test_base_contributions_and_others_sum_to_the_log_odds(depth: Depth, count: int) -> None:
    answer = LOOKUP.answer(ROW, SERVING, depth, NOW)
    assert answer.explanation is not None
    shares = [reason.contribution for reason in answer.reasons]
    total = math.fsum([answer.explanation.base, answer.explanation.others, *shares])
    assert len(answer.reasons) == count
    assert 1 / (1 + math.exp(-total)) == pytest.approx(answer.explanation.probability, abs=1e-14)


def test_the_top_reasons_are_the_strongest_of_all() -> None:
    top = LOOKUP.answer(ROW, SERVING, "top", NOW).reasons
    every = LOOKUP.answer(ROW, SERVING, "all", NOW).reasons
    assert top == every[:3]
    assert abs(every[0].contribution) == max(abs(reason.contribution) for reason in every)


def test_without_a_model_the_stored_score_is_still_told() -> None:
    answer = LOOKUP.answer(ROW, None, "top", NOW)
    assert answer.score is not None
    assert (answer.score.probability, answer.reasons, answer.explanation) == (0.7, [], None)


def test_a_user_without_a_score_has_features_and_no_score() -> None:
    answer = LOOKUP.answer(UserRow("u1", vectors(1)[0], to_us(AS_OF), None), SERVING, "top", NOW)
    assert (answer.score, answer.freshness.score_as_of, answer.freshness.score_age_seconds) == (None, None, None)
    assert len(answer.reasons) == 3


def test_an_unknown_user_is_an_error_that_names_the_id() -> None:
    with pytest.raises(UnknownUserError, match="user 'ghost' is unknown"):
        LOOKUP.answer(UserRow("ghost", None, None, None), SERVING, "top", NOW)


@pytest.mark.parametrize("user_id", ["", "x" * 129, "\udcff"])
def test_an_impossible_id_is_refused(user_id: str) -> None:
    with pytest.raises(InputError, match="user id"):
        checked_user_id(user_id)


def test_another_depth_is_refused() -> None:
    with pytest.raises(InputError, match="`reasons` is 'some'; `top` or `all` is needed"):
        checked_depth("some")


def test_a_user_in_a_challengers_share_is_explained_by_the_challenger() -> None:
    named = Challenger("8", "", "", "", 0.5)
    beside = (named, Scorer(model(intercept=2.0), "8"))
    split = Serving(SERVING.champion, SERVING.scorer, lineup(named), (beside,))
    rows = {user: UserRow(user, vectors(1)[0], to_us(AS_OF), STORED) for user in ("u1", "u2")}
    found = {user: LOOKUP.answer(row, split, "top", NOW).explanation for user, row in rows.items()}
    assert {user: each.model_version for user, each in found.items() if each} == {"u1": "7", "u2": "8"}
    assert found["u2"] is not None
    assert found["u2"].probability == float(beside[1].score(vectors(1)).probability[0])
