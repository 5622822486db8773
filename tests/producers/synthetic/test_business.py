import hashlib
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, date, datetime
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from churn.errors import SettingsError
from producers.synthetic.business import Day, Scenario, SyntheticBusiness
from producers.synthetic.drift import Drift
from producers.synthetic.emission import FIRST_BOT, KINDS, LESSON, QUIZ, SESSION, SHORT
from producers.synthetic.encoding import encoded

Mask = NDArray[np.bool_]
SMALL = Scenario(users=300, days=6, seed=7)


def digest(days: Iterable[Day]) -> str:
    lines = [value for day in days for chunk in encoded(day.events, day.date, "x") for _, value in chunk]
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def test_the_same_scenario_gives_the_same_bytes() -> None:
    assert digest(SyntheticBusiness(SMALL).days()) == digest(SyntheticBusiness(SMALL).days())


def test_another_seed_gives_another_business_with_other_event_ids() -> None:
    other = Scenario(users=300, days=6, seed=8)
    assert digest(SyntheticBusiness(SMALL).days()) != digest(SyntheticBusiness(other).days())
    assert SMALL.tag != other.tag


def test_to_begin_late_changes_nothing() -> None:
    business = SyntheticBusiness(SMALL)
    late = next(business.days_from(4))
    fourth = list(business.days())[4]
    assert digest([late]) == digest([fourth])
    assert late.truth is not None
    assert fourth.truth is not None
    for part in fields(late.truth):
        if part.name == "observable_churn_probability":
            continue
        np.testing.assert_array_equal(getattr(late.truth, part.name), getattr(fourth.truth, part.name))


def test_a_day_is_in_order_and_within_itself() -> None:
    for day in SyntheticBusiness(SMALL).days(truth=False):
        assert (np.diff(day.events.time_us) >= 0).all()
        assert day.events.time_us[0] > 0
        assert day.events.time_us[-1] < 86_400_000_000


def test_the_business_goes_on_after_its_history() -> None:
    later = next(SyntheticBusiness(SMALL).days_from(40, truth=False))
    assert later.date == date(2026, 2, 14)
    assert len(later.events) > 100


def test_users_join_until_all_are_there() -> None:
    days = list(SyntheticBusiness(SMALL).days())
    people = [len(day.truth.engagement) for day in days if day.truth]
    assert people == [180, 200, 220, 240, 260, 280]


def test_the_history_ends_with_the_day_of_the_given_end() -> None:
    scenario = Scenario.ending(datetime(2026, 6, 1, 13, 30, tzinfo=UTC), users=10, days=31)
    assert scenario.start == date(2026, 5, 1)


def test_a_scenario_without_days_is_refused() -> None:
    with pytest.raises(SettingsError, match="days must be at least 1"):
        Scenario(days=0)


@pytest.fixture(scope="module")
def lived() -> list[Day]:
    """Eighty days of 3,000 users."""
    return list(SyntheticBusiness(Scenario(users=3000, days=80, seed=11)).days())


@pytest.fixture(scope="module")
def active(lived: list[Day]) -> Mask:
    """Who was active on which day, from the events alone: [day, user]."""
    table = np.zeros((80, 3000), bool)
    for day in lived:
        table[day.number, day.events.user[np.isin(day.events.kind, (SESSION, LESSON, QUIZ))]] = True
    return table


def snapshot(
    lived: list[Day], active: Mask, day: int, part: str = "churn_probability"
) -> tuple[NDArray[np.float64], Mask]:
    """Return truth and outcome of the users active in the 30 days before `day`."""
    truth = lived[day].truth
    assert truth is not None
    people = truth.active_last_30d
    churned = np.logical_not(active[day : day + 30, : len(people)].any(axis=0))
    chances: NDArray[np.float64] = getattr(truth, part)[people]
    return chances, churned[people]


def test_the_truth_knows_who_was_active(lived: list[Day], active: Mask) -> None:
    truth = lived[40].truth
    assert truth is not None
    np.testing.assert_array_equal(truth.active_last_30d, active[10:40, : len(truth.plan)].any(axis=0))


@pytest.mark.parametrize("part", ["churn_probability", "observable_churn_probability"])
@pytest.mark.parametrize("day", [31, 50])
def test_the_truth_is_calibrated_on_what_happens(lived: list[Day], active: Mask, day: int, part: str) -> None:
    chances, churned = snapshot(lived, active, day, part)
    for low, high in ((0, 0.05), (0.05, 0.3), (0.3, 0.7), (0.7, 1)):
        chosen = (chances >= low) & (chances <= high)
        spread = np.sqrt((chances * (1 - chances))[chosen].sum())
        assert abs(churned[chosen].sum() - chances[chosen].sum()) < 4 * spread


def test_the_business_is_predictable_yet_not_by_recency_alone(lived: list[Day], active: Mask) -> None:
    chances, churned = snapshot(lived, active, 50)
    truth = lived[50].truth
    assert truth is not None
    people = np.flatnonzero(truth.active_last_30d)
    days_silent = active[20:50][::-1].argmax(axis=0)[people]
    assert 0.06 < churned.mean() < 0.14
    assert 0.85 < roc_auc_score(churned, chances) < 0.95
    assert roc_auc_score(churned, days_silent) < roc_auc_score(churned, chances) - 0.05


def test_events_tell_more_than_recency_and_less_than_the_hidden_state(lived: list[Day], active: Mask) -> None:
    hidden, churned = snapshot(lived, active, 50)
    observable, _ = snapshot(lived, active, 50, "observable_churn_probability")
    truth = lived[50].truth
    assert truth is not None
    days_silent = active[20:50][::-1].argmax(axis=0)[truth.active_last_30d.nonzero()[0]]
    scores = [roc_auc_score(churned, known) for known in (days_silent, observable, hidden)]
    assert scores[0] + 0.02 < scores[1] < scores[2] - 0.02


def test_the_observer_sits_out_when_the_days_begin_late() -> None:
    late = next(SyntheticBusiness(SMALL).days_from(1))
    assert late.truth is not None
    assert late.truth.observable_churn_probability is None


def test_weary_users_score_lower_in_quizzes_than_keen_ones(lived: list[Day]) -> None:
    score: dict[int, list[int]] = {3: [], 5: []}
    for day in lived[:20]:
        assert day.truth is not None
        known = day.events.where((day.events.kind == QUIZ) & (day.events.user < len(day.truth.engagement)))
        for engagement, values in score.items():
            values.extend(known.value[day.truth.engagement[known.user] == engagement].tolist())
    assert np.mean(score[5]) - np.mean(score[3]) > 1000


def test_every_kind_of_event_happens(lived: list[Day]) -> None:
    assert set(np.concatenate([day.events.kind for day in lived]).tolist()) == set(range(len(KINDS)))


def drifted(kind: str) -> Day:
    scenario = Scenario(users=2000, days=10, drifts=(Drift(kind, date(2026, 1, 6)),))
    return next(islice(SyntheticBusiness(scenario).days(), 3, None))


def test_bots_visit_but_have_no_truth() -> None:
    day = drifted("bot-wave")
    bots = day.events.where(day.events.user >= FIRST_BOT)
    assert day.truth is not None
    assert len(np.unique(bots.user)) == 29
    assert set(bots.kind.tolist()) == {SESSION}
    assert len(day.truth.plan) == 1440


def test_short_lessons_are_told_and_are_a_third_as_long() -> None:
    lessons = drifted("new-lesson-type").events
    short, full = lessons.value[lessons.lesson == SHORT], lessons.value[lessons.lesson == 0]
    assert len(short) > 50
    assert 0.2 < short.mean() / full.mean() < 0.5


def test_an_outage_declines_most_charges() -> None:
    kinds = np.bincount(drifted("payment-outage").events.kind, minlength=len(KINDS))
    assert kinds[KINDS.index("payment_failed")] > 2 * kinds[KINDS.index("payment_succeeded")]
