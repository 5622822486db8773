"""What a day's published events say about each user, as numbers: what an observer has to go by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.synthetic.drift import Conditions
from producers.synthetic.emission import (
    CANCELLATION,
    DECLINED,
    FIRST_BOT,
    LESSON,
    NONE,
    PAID,
    PLAN_CHANGED,
    QUIZ,
    REFUNDED,
    SESSION,
    SHORT,
    SHORT_PER_LONG,
    SIGNED_UP,
    TICKET,
    Events,
    Mask,
    Numbers,
    prices,
)
from producers.synthetic.law import Array

BEST_SCORE = 10_000
"""Hundredths: a score of 0 or 100 tells only that it would have been no better than 0, or no worse than 100."""
SHAPES = 2 * 2 * 2 * 2 * 2 * 4


@dataclass(frozen=True)
class Sightings:
    """One row per user who was seen on a day and had joined before it, in the order of their numbers.

    `visits`, `quizzes`: counts; `lessons`: lessons published; `topics`: the same with the short lessons of one full
    lesson counted as one; `minutes`: their sum, a short lesson's times SHORT_PER_LONG; `scores`, `score_sum`: how many
    lie strictly between the worst and the best, and their sum; `worst`, `best`: how many are at those ends; `plan`: the plan that the day
    began with, or NONE when nothing tells; `shape`: which of payment, decline, refund, ticket, cancellation and change
    of plan were seen (`shape_of`).
    """

    users: Numbers
    visits: Numbers
    lessons: Numbers
    topics: Numbers
    minutes: Array
    quizzes: Numbers
    scores: Numbers
    score_sum: Array
    worst: Numbers
    best: Numbers
    plan: NDArray[np.int8]
    shape: Numbers

    def where(self, chosen: Mask) -> "Sightings":
        """Return the chosen rows."""
        return Sightings(**{name: column[chosen] for name, column in vars(self).items()})


@dataclass(frozen=True)
class Newcomers:
    """Who signed up on a day, and on which plan."""

    users: Numbers
    plan: NDArray[np.int8]


def shape_of(paid: Mask, declined: Mask, refunded: Mask, ticket: Mask, left: Mask, replanned_to: Numbers) -> Numbers:
    """Return what was seen of a user's plan, payments and mood as one number below SHAPES; NONE is no change of plan.

    >>> shape_of(*(np.array([seen]) for seen in (True, False, False, True, False)), np.array([NONE])).tolist()
    [9]
    """
    flags = paid + 2 * declined.astype(np.int64) + 4 * refunded.astype(np.int64) + 8 * ticket.astype(np.int64)
    shape: Numbers = flags + 16 * left.astype(np.int64) + 32 * (replanned_to + 1)
    return shape


def sighted(events: Events, held: Conditions) -> tuple[Sightings, Newcomers]:
    """Return what the events of a day tell of each user under the conditions that held, and who is new."""
    people = events.where(events.user < FIRST_BOT)
    joined = people.where(people.kind == SIGNED_UP)
    known = people.where(~np.isin(people.user, joined.user))
    users, row = np.unique(known.user, return_inverse=True)
    return _sightings(_Rows(users, known, row), held), Newcomers(joined.user, joined.plan)


@dataclass(frozen=True)
class _Rows:
    """Events with the row of their user."""

    users: Numbers
    events: Events
    row: NDArray[np.intp]

    def count(self, chosen: Mask) -> Numbers:
        return np.bincount(self.row[chosen], minlength=len(self.users)).astype(np.int64)

    def sum(self, chosen: Mask, weight: Array | Numbers | int = 1) -> Array:
        weights = (self.events.value * weight)[chosen] / 100
        return np.asarray(np.bincount(self.row[chosen], weights, minlength=len(self.users)), np.float64)

    def code(self, chosen: Mask, codes: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return the code told by the chosen events of each user, NONE without one; they agree with each other."""
        found = np.full(len(self.users), NONE, np.int8)
        found[self.row[chosen]] = codes[chosen]
        return found


def _sightings(rows: _Rows, held: Conditions) -> Sightings:
    kind, value = rows.events.kind, rows.events.value
    lesson, quiz = kind == LESSON, kind == QUIZ
    short = lesson & (rows.events.lesson == SHORT)
    best, worst = quiz & (value >= BEST_SCORE), quiz & (value <= 0)
    between = quiz & ~best & ~worst
    lessons, shorts = rows.count(lesson), rows.count(short)
    return Sightings(
        users=rows.users,
        visits=rows.count(kind == SESSION),
        lessons=lessons,
        topics=lessons - shorts + shorts // SHORT_PER_LONG,
        minutes=rows.sum(lesson, np.where(short, SHORT_PER_LONG, 1)),
        quizzes=rows.count(quiz),
        scores=rows.count(between),
        score_sum=rows.sum(between),
        worst=rows.count(worst),
        best=rows.count(best),
        plan=_plan(rows, held),
        shape=_shape(rows),
    )


def _plan(rows: _Rows, held: Conditions) -> NDArray[np.int8]:
    """Return the plan by which sessions were had, or charges made."""
    kind, value = rows.events.kind, rows.events.value
    by_visit = rows.code(kind == SESSION, rows.events.plan)
    charge = np.isin(kind, (PAID, DECLINED, REFUNDED))
    by_price = rows.code(charge, np.searchsorted(prices(held), value).astype(np.int8))
    return np.maximum(by_visit, by_price)


def _shape(rows: _Rows) -> Numbers:
    kind = rows.events.kind
    paid, declined, refunded, ticket, left = (
        rows.count(kind == seen) > 0 for seen in (PAID, DECLINED, REFUNDED, TICKET, CANCELLATION)
    )
    replanned_to = rows.code(kind == PLAN_CHANGED, rows.events.plan).astype(np.int64)
    return shape_of(paid, declined, refunded, ticket, left, replanned_to)
