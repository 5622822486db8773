"""What users are seen doing on one day, given their hidden states: columns of events in the order of time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producers.synthetic.drift import Conditions
from producers.synthetic.law import (
    AGGRIEVED,
    BREAK,
    CANCELLED,
    CONTENT,
    GOOD,
    Array,
    DayLaw,
)
from producers.synthetic.population import Population, States, Traits

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

KINDS = (
    "signed_up",
    "session_started",
    "lesson_completed",
    "quiz_submitted",
    "payment_succeeded",
    "payment_failed",
    "refund_issued",
    "support_ticket_opened",
    "plan_changed",
    "subscription_cancelled",
)
SIGNED_UP, SESSION, LESSON, QUIZ, PAID, DECLINED, REFUNDED, TICKET, PLAN_CHANGED, CANCELLATION = range(10)
NONE, LONG, SHORT = -1, 0, 1

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000
# Share of the visits by hour (UTC): a small peak at lunch, a large one in the evening.
HOURS = np.array([1, 0.5, 0.3, 0.2, 0.2, 0.5, 1.5, 3, 4, 4, 4, 4.5, 5.5, 5, 4, 4, 4.5, 6, 8, 9.5, 9.5, 7.5, 4.5, 2.5])
HOURS_UNTIL: Array = np.concatenate([[0.0], np.cumsum(HOURS) / HOURS.sum()])

# By engagement: lost, dormant, break, weary, steady, keen, finishing, cancelled.
LESSONS: Array = np.array([0, 0, 0, 0.7, 1.4, 2.0, 1.2, 0])
MINUTES: Array = np.array([0, 0, 0, 7.0, 17.0, 22.0, 15.0, 0])
QUIZZES: Array = np.array([0, 0, 0, 0.35, 0.30, 0.35, 0.70, 0])
SCORE_SHIFT: Array = np.array([0, 0, 0, -25.0, 0.0, 4.0, 12.0, 0])
SCORE_SPREAD = 9.0
SHORT_PER_LONG = 3
MOST_MINUTES = 300

TICKET_WHEN_ANGERED, TICKET_WHILE_ANGRY, TICKET_FOR_NOTHING = 0.85, 0.08, 0.0006
REFUND_WHILE_ANGRY = 0.04
RETRY_SEEN = 0.3
PRICES_CENTS = np.array([0, 999, 1999])
BOT_VISITS_PER_DAY = 20.0
FIRST_BOT = 90_000_000
PLACE_BITS = 26


@dataclass(frozen=True)
class Events:
    """Events of one day, one row each. `user`: number; `kind`: position in KINDS; `time_us`: since midnight.

    `value`: hundredths of the kind's measure, or NONE; `plan`: the plan attribute, or NONE; `lesson`: LONG or SHORT when
    the lesson type is told, or NONE.
    """

    user: Numbers
    kind: NDArray[np.int8]
    time_us: Numbers
    value: Numbers
    plan: NDArray[np.int8]
    lesson: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.user)

    def where(self, chosen: Mask | Numbers | slice) -> "Events":
        """Return the chosen rows."""
        return Events(
            self.user[chosen],
            self.kind[chosen],
            self.time_us[chosen],
            self.value[chosen],
            self.plan[chosen],
            self.lesson[chosen],
        )


def in_order(pieces: list[Events]) -> Events:
    """Return all events in the order of time; rows of one microsecond stay in the order of the pieces."""
    whole = joined(pieces)
    return whole.where(_order(whole.time_us))


def joined(pieces: list[Events]) -> Events:
    """Return all events, piece after piece."""
    return Events(
        np.concatenate([p.user for p in pieces]),
        np.concatenate([p.kind for p in pieces]),
        np.concatenate([p.time_us for p in pieces]),
        np.concatenate([p.value for p in pieces]),
        np.concatenate([p.plan for p in pieces]),
        np.concatenate([p.lesson for p in pieces]),
    )


def _order(time_us: Numbers) -> Numbers:
    # Time (37 bits) and place (26 bits) in one number: sorting those is stable and 4 times as fast as a stable argsort.
    keys = (time_us << PLACE_BITS) | np.arange(len(time_us))
    keys.sort()
    order: Numbers = keys & ((1 << PLACE_BITS) - 1)
    return order


def joining(users: Numbers, plan: NDArray[np.int8], rng: np.random.Generator) -> list[Events]:
    """Return the sign-up and, minutes later, the first visit of new users."""
    time_us = _time_of_day(len(users), rng)
    soon = time_us + np.minimum(rng.integers(1, 5 * MINUTE_US, len(users)), (DAY_US - 1 - time_us) // 2)
    return [_rows(SIGNED_UP, users, time_us, plan=plan), _rows(SESSION, users, soon, plan=plan)]


@dataclass(frozen=True)
class Active:
    """Who is active on a day, and how many further visits each is to be expected to make."""

    users: Numbers
    further_visits: Array


def active(law: DayLaw, people: Population, rng: np.random.Generator) -> Active:
    """Draw who is active on a day."""
    flat = people.traits.habit.astype(np.int64) * law.visits.shape[1] + people.states.engagement
    drawn = rng.random(len(flat))
    users = np.flatnonzero(drawn < law.active.reshape(-1)[flat])
    # Visits are Poisson; this draw says that there is one and when the first would come, what is left of the day
    # decides about further ones.
    left = law.visits.reshape(-1)[flat[users]] + np.log1p(-drawn[users])
    return Active(users, np.maximum(left, 0.0))


def activity(who: Active, people: Population, held: Conditions, rng: np.random.Generator) -> list[Events]:
    """Return the visits of those who are active, with their lessons and quizzes."""
    users = np.repeat(who.users, 1 + rng.poisson(who.further_visits))
    start_us = _time_of_day(len(users), rng)
    sessions = _rows(SESSION, users, start_us, plan=people.states.plan[users])
    return [sessions, *_learning(users, start_us, people, held, rng)]


def _learning(
    users: Numbers, start_us: Numbers, people: Population, held: Conditions, rng: np.random.Generator
) -> list[Events]:
    """Lessons one after another within their session, and a quiz after some of them."""
    now, traits = people.states, people.traits
    longs = rng.poisson(LESSONS[now.engagement[users]])
    shorts = rng.binomial(longs, held.short_lessons) if held.short_lessons else np.zeros_like(longs)
    lessons = longs + (SHORT_PER_LONG - 1) * shorts
    visit = np.repeat(np.arange(len(users)), lessons)
    place = np.arange(len(visit)) - np.repeat(np.cumsum(lessons) - lessons, lessons)
    short = place < SHORT_PER_LONG * shorts[visit]
    who, mood = users[visit], now.engagement[users[visit]]
    minutes = (
        traits.pace[who]
        * MINUTES[mood]
        * rng.standard_gamma(4.0, len(visit))
        / 4.0
        / np.where(short, SHORT_PER_LONG, 1)
    )
    value = np.clip(np.rint(minutes * 100), 10, MOST_MINUTES * 100).astype(np.int64)
    time_us = _within_day(start_us[visit], _running(value * 600_000, visit), place + 1, lessons[visit] + 1)
    told = np.where(short, SHORT, LONG).astype(np.int8) if held.short_lessons else None
    done = _rows(LESSON, who, time_us, value=value, lesson=told)
    return [done, _quizzes(who, time_us, mood, traits, rng)]


def _quizzes(
    who: Numbers, lesson_us: Numbers, mood: NDArray[np.int8], traits: Traits, rng: np.random.Generator
) -> Events:
    taken = rng.random(len(who)) < QUIZZES[mood]
    who, mood = who[taken], mood[taken]
    score = traits.ability[who] + SCORE_SHIFT[mood] + rng.normal(0.0, SCORE_SPREAD, len(who))
    after = np.minimum(rng.integers(MINUTE_US // 2, 5 * MINUTE_US, len(who)), (DAY_US - 1 - lesson_us[taken]) // 2)
    value = np.clip(np.rint(score * 100), 0, 10_000).astype(np.int64)
    return _rows(QUIZ, who, lesson_us[taken] + after, value=value)


@dataclass(frozen=True)
class Showing:
    """What moving from one state to the next shows, per move: for certain (masks), or with a chance (floats)."""

    paid: Mask
    replanned: Mask
    left: Mask
    declined: Array
    refunded: Array
    ticket: Array


def showing(before: States, after: States, due: Mask) -> Showing:
    """Return what the move of each user shows; `due` tells whose charge is due that day."""
    paying, was_good, is_good = before.paying(), before.billing == GOOD, after.billing == GOOD
    charged = paying & was_good & due
    came_back = (before.engagement == CANCELLED) & (after.engagement != CANCELLED)
    still_failing = paying & ~was_good & ~is_good
    return Showing(
        paid=(charged & is_good) | (paying & ~was_good & is_good),
        replanned=((before.plan != after.plan) & (after.engagement != CANCELLED)) | came_back,
        left=(before.engagement != CANCELLED) & (after.engagement == CANCELLED),
        declined=np.where(charged & ~is_good, 1.0, np.where(still_failing, RETRY_SEEN, 0.0)),
        refunded=np.where(paying & (before.mood == AGGRIEVED), REFUND_WHILE_ANGRY, 0.0),
        ticket=_ticket_chance(before, after),
    )


def prices(held: Conditions) -> Numbers:
    """Return what each plan costs a month, in cents."""
    return np.rint(PRICES_CENTS * held.price).astype(np.int64)


def business(people: Population, after: States, day: int, held: Conditions, rng: np.random.Generator) -> list[Events]:
    """Return what moving from one state to the next shows: payments, tickets, plan changes, cancellations."""
    before, drawn = people.states, rng.random((3, len(people)))
    shown = showing(before, after, people.traits.due(day))
    refunded, ticket = drawn[1] < shown.refunded, drawn[2] < shown.ticket
    price = prices(held)[before.plan]
    return [
        _seen(PAID, shown.paid, rng, value=price),
        _seen(DECLINED, drawn[0] < shown.declined, rng, value=price),
        _seen(REFUNDED, refunded, rng, value=price),
        _seen(TICKET, ticket, rng),
        _seen(PLAN_CHANGED, shown.replanned, rng, plan=after.plan),
        _seen(CANCELLATION, shown.left, rng),
    ]


def bots(people: int, held: Conditions, rng: np.random.Generator) -> list[Events]:
    """Return the visits of machines: any hour alike, no lesson, no plan; their numbers start at FIRST_BOT."""
    count = round(people * held.bots_per_user)
    users = FIRST_BOT + np.repeat(np.arange(count), rng.poisson(BOT_VISITS_PER_DAY, count))
    return [_rows(SESSION, users, rng.integers(1, DAY_US, len(users)))]


def _ticket_chance(before: States, after: States) -> Array:
    angered = (before.mood == CONTENT) & (after.mood == AGGRIEVED)
    awake = (before.engagement >= BREAK) & (before.engagement != CANCELLED)
    chance = np.where(before.mood == AGGRIEVED, TICKET_WHILE_ANGRY, np.where(awake, TICKET_FOR_NOTHING, 0.0))
    return np.where(before.engagement == CANCELLED, 0.0, np.where(angered, TICKET_WHEN_ANGERED, chance))


def _seen(
    kind: int, who: Mask, rng: np.random.Generator, value: Numbers | None = None, plan: NDArray[np.int8] | None = None
) -> Events:
    users = np.flatnonzero(who)
    time_us = _time_of_day(len(users), rng)
    return _rows(
        kind,
        users,
        time_us,
        value=None if value is None else value[users],
        plan=None if plan is None else plan[users],
    )


def _rows(
    kind: int,
    user: Numbers,
    time_us: Numbers,
    *,
    value: Numbers | None = None,
    plan: NDArray[np.int8] | None = None,
    lesson: NDArray[np.int8] | None = None,
) -> Events:
    nothing = np.full(len(user), NONE, np.int8)
    return Events(
        user=user,
        kind=np.full(len(user), kind, np.int8),
        time_us=time_us,
        value=nothing.astype(np.int64) if value is None else value,
        plan=nothing if plan is None else plan,
        lesson=nothing if lesson is None else lesson,
    )


def _time_of_day(count: int, rng: np.random.Generator) -> Numbers:
    """Draw times by the rhythm of the day, never midnight itself: a day is the half-open (midnight, midnight]."""
    hours = np.interp(rng.random(count), HOURS_UNTIL, np.arange(25))
    return np.clip((hours * 3_600_000_000).astype(np.int64), 1, DAY_US - 1)


def _running(length: Numbers, group: Numbers) -> Numbers:
    """Return the running sum within each run of equal group numbers."""
    if not len(length):
        return length
    total = np.cumsum(length)
    first = np.concatenate([[True], group[1:] != group[:-1]])
    base = (total - length)[first]
    running: Numbers = total - base[np.cumsum(first) - 1]
    return running


def _within_day(start_us: Numbers, offset_us: Numbers, place: Numbers, places: Numbers) -> Numbers:
    """Return start + offset, squeezed evenly into what is left of the day when a session would pass midnight."""
    room_us = DAY_US - 1 - start_us
    squeezed = room_us * place // places
    time_us: Numbers = start_us + np.minimum(offset_us, squeezed)
    return time_us
