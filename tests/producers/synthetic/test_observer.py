"""The observer against a sum over every path of hidden states, and against what happens."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, gamma, norm, poisson

from churn.errors import DefectError
from producers.synthetic import emission, evidence, law
from producers.synthetic.business import Day, Scenario, SyntheticBusiness
from producers.synthetic.drift import Conditions, Drift
from producers.synthetic.emission import DECLINED, KINDS, LESSON, NONE, PAID, QUIZ, SESSION, SIGNED_UP, TICKET, Events
from producers.synthetic.law import BASIC, CANCELLED, FAILING, FREE, GOOD, HABITS, KEEN, STEADY, DayLaw, day_law
from producers.synthetic.observer import Observer
from producers.synthetic.oracle import Oracle

START = date(2026, 3, 2)
USUAL = Conditions()


def law_of(day: int) -> DayLaw:
    return day_law(START + timedelta(days=day), USUAL)


def observer() -> Observer:
    return Observer(law_of, lambda _: USUAL, earlier_days=30)


def events(*rows: tuple[int, float, int], user: int = 0) -> Events:
    """Return events (kind, value, plan) of one user in this order."""
    kinds, values, plans = zip(*rows, strict=True) if rows else ((), (), ())
    count = len(rows)
    return Events(
        user=np.full(count, user, np.int64),
        kind=np.array(kinds, np.int8),
        time_us=np.arange(1, count + 1),
        value=np.rint(np.array(values) * 100).astype(np.int64),
        plan=np.array(plans, np.int8),
        lesson=np.full(count, NONE, np.int8),
    )


@dataclass(frozen=True)
class Seen:
    """What a user on the basic plan did on a day, and what became of the payments."""

    visits: int = 0
    minutes: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    ticket: bool = False
    declined: bool = False

    def events(self) -> Events:
        return events(
            *[(SESSION, -0.01, BASIC)] * self.visits,
            *[(LESSON, minutes, NONE) for minutes in self.minutes],
            *[(QUIZ, score, NONE) for score in self.scores],
            *[(TICKET, -0.01, NONE)] * self.ticket,
            *[(DECLINED, 9.99, NONE)] * self.declined,
        )

    def chance(self, of: DayLaw, habit: int, here: tuple[int, ...], there: tuple[int, ...]) -> float:
        """Return how likely this is, seen of a user who moves from `here` to `there` on a day without a charge due."""
        engagement, plan, billing, mood = here
        visits = float(of.visits[habit, engagement])
        chance = float(poisson.pmf(self.visits, visits)) * self._learning(engagement)
        if there[0] == CANCELLED or there[1] != plan or engagement == CANCELLED:
            return 0.0
        failing = plan > FREE and billing == FAILING
        chance *= (0.3 if self.declined else 0.7) if failing and there[2] == FAILING else not self.declined
        chance *= 0.0 if failing and there[2] == GOOD else 1.0
        ticket = 0.08 if mood else 0.85 if there[3] else 0.0006 if engagement >= law.BREAK else 0.0
        return chance * (ticket if self.ticket else 1 - ticket) * (0.96 if mood and plan > FREE else 1.0)

    def _learning(self, engagement: int) -> float:
        lessons = len(self.minutes)
        chance = poisson.pmf(lessons, self.visits * emission.LESSONS[engagement])
        if not chance or not lessons:
            return float(chance)
        chance *= binom.pmf(len(self.scores), lessons, emission.QUIZZES[engagement])
        mean = evidence.PACES * emission.MINUTES[engagement]
        paces = np.prod([gamma.pdf(m, 4.0, scale=mean / 4.0) for m in self.minutes], axis=0)
        expected = evidence.ABILITIES + emission.SCORE_SHIFT[engagement]
        abilities = np.prod([norm.pdf(s, expected, 9.0) for s in self.scores], axis=0)
        weights = norm.pdf(evidence.GRID) / norm.pdf(evidence.GRID).sum()
        return float(chance * (weights * paces).sum() * (weights * abilities).sum())


STATES = list(product(range(8), range(3), range(2), range(2)))
Path = tuple[tuple[int, ...], float]


def moves(of: DayLaw, habit: int, here: tuple[int, ...], due: int = 0) -> Iterator[Path]:
    """Yield every next state and its chance."""
    e, p, b, m = here
    for there in STATES:
        chance = of.engagement[(habit, *here)][there[0]] * of.plan[e, p, there[1]]
        chance *= of.billing[due, e, p, b, there[2]] * of.mood[e, b, m, there[3]]
        if chance:
            yield there, float(chance)


def by_every_path(days: list[Seen], oracle: Oracle) -> float:
    """Return the churn probability after `days` of a user who signed up for the basic plan on day 0."""
    truth, total, mass = oracle.churn_probability(1 + len(days)), 0.0, 0.0
    shares = zip((0.30, 0.40, 0.20, 0.10), range(len(HABITS)), strict=True)
    for (share, habit), (first, engagement) in product(shares, ((0.6, KEEN), (0.4, STEADY))):
        paths: list[Path] = [((engagement, BASIC, GOOD, 0), share * first)]
        for number, seen in enumerate(days, 1):
            of = law_of(number)
            paths = [
                (there, weight * chance * seen.chance(of, habit, here, there))
                for here, weight in paths
                for there, chance in moves(of, habit, here)
                if seen.chance(of, habit, here, there)
            ]
        for (e, p, b, m), weight in paths:
            total += weight * truth[habit, ((e * 3 + p) * 2 + b) * 2 + m, 0]
            mass += weight
    return total / mass


@pytest.mark.parametrize(
    "days",
    [
        [Seen()],
        [Seen(visits=2)],
        [Seen(visits=1, minutes=(5.0, 9.0), scores=(48.0,)), Seen()],
        [Seen(visits=1, ticket=True), Seen()],
    ],
)
def test_the_filter_is_the_sum_over_every_path(days: list[Seen]) -> None:
    watcher = observer()
    watcher.see(events((SIGNED_UP, -0.01, BASIC), (SESSION, -0.01, BASIC)))
    for seen in days:
        watcher.see(seen.events())
    oracle = Oracle(law_of)
    found = watcher.probabilities(oracle.churn_probability(watcher.day), 1)[0]
    assert found == pytest.approx(by_every_path(days, oracle), rel=1e-6)


def probability(*days: Events) -> float:
    watcher = observer()
    for day in days:
        watcher.see(day)
    return float(watcher.probabilities(Oracle(law_of).churn_probability(len(days)), 1)[0])


JOINED = events((SIGNED_UP, -0.01, BASIC), (SESSION, -0.01, BASIC))
SILENT = events()


def test_every_silent_day_makes_churn_likelier() -> None:
    chances = [probability(JOINED, *[SILENT] * days) for days in (0, 5, 10, 20)]
    assert chances == sorted(chances)
    assert chances[3] > 4 * chances[0]


def test_short_lessons_and_bad_scores_make_churn_likelier() -> None:
    visit = (SESSION, -0.01, BASIC)
    tired = events(visit, (LESSON, 4.0, NONE), (QUIZ, 40.0, NONE))
    keen = events(visit, (LESSON, 25.0, NONE), (QUIZ, 80.0, NONE))
    assert probability(JOINED, tired, tired) > 1.5 * probability(JOINED, keen, keen)


def test_a_ticket_makes_churn_likelier() -> None:
    visit = (SESSION, -0.01, BASIC)
    assert probability(JOINED, events(visit, (TICKET, -0.01, NONE))) > 3 * probability(JOINED, events(visit))


def test_a_declined_charge_makes_churn_likelier_than_a_payment() -> None:
    visit, month = (SESSION, -0.01, BASIC), [events((SESSION, -0.01, BASIC))] * 29
    declined = probability(JOINED, *month, events(visit, (DECLINED, 9.99, NONE)))
    assert declined > 1.5 * probability(JOINED, *month, events(visit, (PAID, 9.99, NONE)))


def test_what_the_law_rules_out_is_a_defect() -> None:
    watcher = observer()
    watcher.see(JOINED)
    with pytest.raises(DefectError, match="impossible by the law"):
        watcher.see(events((PAID, 9.99, NONE)))


def test_a_user_who_was_never_seen_is_one_of_all_who_were_not() -> None:
    watcher = observer()
    for _ in range(3):
        watcher.see(events((SESSION, -0.01, FREE), user=1))
    unseen, seen, later = watcher.probabilities(Oracle(law_of).churn_probability(3), 3)
    assert unseen == later
    assert seen < unseen / 3


def lived(seed: int, days: int, drifts: tuple[Drift, ...]) -> tuple[list[Day], NDArray[np.bool_]]:
    business = SyntheticBusiness(Scenario(users=1000, days=days, seed=seed, drifts=drifts))
    history = list(business.days())
    active = np.zeros((days, 1000), bool)
    for day in history:
        known = day.events.user < 1000
        acts = known & np.isin(day.events.kind, [KINDS.index("session_started"), LESSON, QUIZ])
        active[day.number, day.events.user[acts]] = True
    return history, active


def test_the_observer_is_calibrated_through_every_drift() -> None:
    first = date(2026, 1, 20)
    drifts = tuple(Drift(kind, first) for kind in ("price-rise", "new-lesson-type", "bot-wave", "payment-outage"))
    history, active = lived(5, 62, drifts)
    truth = history[32].truth
    assert truth is not None
    assert truth.observable_churn_probability is not None
    users = np.flatnonzero(truth.active_last_30d)
    chances, churned = truth.observable_churn_probability[users], np.logical_not(active[32:, users].any(axis=0))
    for low, high in ((0, 0.1), (0.1, 0.4), (0.4, 1)):
        chosen = (chances >= low) & (chances < high)
        spread = np.sqrt((chances * (1 - chances))[chosen].sum())
        assert abs(churned[chosen].sum() - chances[chosen].sum()) < 4 * spread
