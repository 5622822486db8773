"""How well each habit and engagement explains what a user did on a day: visits, lessons, quizzes, minutes, scores.

Minutes and scores depend on two fixed traits too, pace and ability. What is known of a user's is kept as a weight on a
grid of values, and updated as if it were independent of the user's state: the one approximation of the observer.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, xlogy

from producers.synthetic.emission import (
    LESSONS,
    MINUTES,
    QUIZZES,
    SCORE_SHIFT,
    SCORE_SPREAD,
    Numbers,
)
from producers.synthetic.law import VISITS, Array, DayLaw
from producers.synthetic.population import ABILITY_MEAN, ABILITY_SPREAD, PACE_SPREAD
from producers.synthetic.sightings import Sightings

ABOUT = np.flatnonzero(VISITS > 0)
"""The engagements in which anything is done at all."""
GRID = np.linspace(-3.5, 3.5, 41)
PACES: Array = np.exp(PACE_SPREAD * GRID)
ABILITIES: Array = ABILITY_MEAN + ABILITY_SPREAD * GRID
AT_FIRST: Array = np.exp(-(GRID**2) / 2) / np.exp(-(GRID**2) / 2).sum()
GAMMA_SHAPE = 4.0
HALF_A_HUNDREDTH = 0.005


def of_counts(law: DayLaw, seen: Sightings) -> Array:
    """Return the likelihood of visits, lessons and quizzes: [users, H, E], the largest of each user 1."""
    visits = seen.visits[:, None, None]
    by_visits = xlogy(visits, law.visits) - law.visits
    lessons = seen.visits[:, None] * LESSONS
    by_lessons = xlogy(seen.topics[:, None], lessons) - lessons
    failed = (seen.lessons - seen.quizzes)[:, None]
    by_quizzes = xlogy(seen.quizzes[:, None], QUIZZES) + xlogy(failed, 1 - QUIZZES)
    log = by_visits + (by_lessons + by_quizzes)[:, None]
    return np.asarray(np.exp(log - log.max(axis=(1, 2), keepdims=True)))


@dataclass
class Traits:
    """What is known of everybody's pace and ability: weights [users, grid] that sum to 1."""

    pace: Array
    ability: Array

    @classmethod
    def of_strangers(cls, users: int = 0) -> "Traits":
        """Return what is known of users of whom nothing is known."""
        return cls(np.tile(AT_FIRST, (users, 1)), np.tile(AT_FIRST, (users, 1)))

    def grow(self, users: int) -> None:
        """Know of so many users from now on."""
        more = Traits.of_strangers(users - len(self.pace))
        self.pace = np.concatenate([self.pace, more.pace])
        self.ability = np.concatenate([self.ability, more.ability])

    def learn(self, seen: Sightings, engagement: Array) -> Array:
        """Return the likelihood of minutes and scores, [users, E], and learn from them about pace and ability.

        `engagement` [users, E] is how likely each is by everything else; its scale does not matter.
        """
        likelihood = np.ones_like(engagement)
        for known, log, had in (
            (self.pace, of_minutes(seen), seen.lessons),
            (self.ability, of_scores(seen), seen.quizzes),
        ):
            rows = np.flatnonzero(had)
            likelihood[rows] *= _learnt(known, seen.users[rows], log[rows], engagement[rows])
        return likelihood


def of_minutes(seen: Sightings) -> Array:
    """Return the log-likelihood of the minutes by engagement and pace: [users, ABOUT, grid]; constants left out."""
    mean = MINUTES[ABOUT][:, None] * PACES
    count, total = seen.lessons[:, None, None], seen.minutes[:, None, None]
    return np.asarray(-GAMMA_SHAPE * (count * np.log(mean) + total / mean))


def of_scores(seen: Sightings) -> Array:
    """Return the log-likelihood of the quiz scores by engagement and ability: [users, ABOUT, grid]; constants left out."""
    mean = SCORE_SHIFT[ABOUT][:, None] + ABILITIES
    # The sum over scores of (score - mean)^2 is count mean^2 - 2 mean sum, and what does not depend on the mean.
    count, total = (part[:, None, None] for part in (seen.scores, seen.score_sum))
    between = (mean * total - count * mean**2 / 2) / SCORE_SPREAD**2
    at_best = log_ndtr((mean - 100 + HALF_A_HUNDREDTH) / SCORE_SPREAD)
    at_worst = log_ndtr((HALF_A_HUNDREDTH - mean) / SCORE_SPREAD)
    best, worst = (part[:, None, None] for part in (seen.best, seen.worst))
    return np.asarray(between + best * at_best + worst * at_worst)


def _learnt(known: Array, users: Numbers, log: Array, engagement: Array) -> Array:
    """Update the `known` weights of `users`; return the likelihood by engagement [users, E], unknown traits averaged out."""
    likelihood = np.exp(log - log.max(axis=(1, 2), keepdims=True))
    by_engagement = np.zeros_like(engagement)
    by_engagement[:, ABOUT] = np.einsum("uk,uek->ue", known[users], likelihood)
    weights = known[users] * np.einsum("ue,uek->uk", engagement[:, ABOUT], likelihood)
    known[users] = weights / weights.sum(axis=1, keepdims=True)
    return by_engagement
