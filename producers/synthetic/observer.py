"""The ideal observer: knows the law, sees only what is published, and says what can be known of churn from it.

Of every user it keeps how likely each hidden state is (Bayes' rule, day after day), and averages the oracle's
probabilities over that. Nobody who reads the same events can do better on average, whereas the oracle itself knows what no
event tells.

A hypothesis is a user's plan and billing: these are seen sooner or later, and then one hypothesis is left. Under each of
them a belief is kept over habit x engagement x mood, and one over the billing cycle. Used are: sign-ups; visits, lessons,
quizzes, minutes and scores; plan; payments, declines, refunds; tickets; cancellations; and every day without any of
them. Not used are the times within the day, which tell nothing.
Exact but for two things that are taken as independent of the rest: pace and ability (`evidence`), and, of users who joined
before the records, the billing cycle until a charge has told it. Such a user is unknown until the first event; till then the
belief is that of all who have not shown themselves yet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from churn.errors import DefectError
from producers.synthetic import evidence, sightings
from producers.synthetic.drift import Conditions
from producers.synthetic.emission import NONE, Events, Numbers, showing
from producers.synthetic.evidence import Traits
from producers.synthetic.law import (
    BILLING_CYCLE_DAYS,
    ENGAGEMENTS,
    FREE,
    HABITS,
    MOODS,
    STATES,
    Array,
    DayLaw,
)
from producers.synthetic.population import PLAN_SHARES, States, initial_chances
from producers.synthetic.sightings import SHAPES, Newcomers, Sightings

FRAMES = 6
"""Plan x billing."""
INNER = len(ENGAGEMENTS) * len(MOODS)
WIDTH = len(HABITS) * INNER
STRANGER = 0
"""The row of everybody who has not been seen yet; user number u has row u + 1."""
VANISHING = 1e-60
RULED_OUT = -1
NEGLIGIBLE = 1e-12
"""A hypothesis below it is dropped: a million of them would not move a probability by 1e-6."""


@dataclass
class Beliefs:
    """Hypotheses, one row each; each is believed to its part of the weight.

    `weight` [rows, WIDTH] sums to 1 over each who, `cycle` [rows, BILLING_CYCLE_DAYS] over each row.
    """

    who: Numbers
    frame: Numbers
    cycle: Array
    weight: Array

    def __len__(self) -> int:
        return len(self.who)

    def where(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Beliefs":
        """Return the chosen rows."""
        return Beliefs(self.who[chosen], self.frame[chosen], self.cycle[chosen], self.weight[chosen])

    def merged(self) -> "Beliefs":
        """Return the rows in the order of (who, frame), those of one hypothesis added up and scaled to 1 over each who."""
        mass = self.weight.sum(axis=1)
        total = np.bincount(self.who, mass)[self.who]
        kept = np.flatnonzero(mass > NEGLIGIBLE * total)
        key = (self.who * FRAMES + self.frame)[kept]
        order = np.argsort(key, kind="stable")
        key, rows = key[order], kept[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        share = 1 / np.bincount(self.who[rows], mass[rows])[self.who[rows]]
        own = rows[first]
        cycle = _added(self.cycle, rows, mass[rows], first)
        weight = _added(self.weight, rows, share, first)
        return Beliefs(self.who[own], self.frame[own], cycle / cycle.sum(axis=1, keepdims=True), weight)

    def split_at(self, cycle: int) -> tuple["Beliefs", NDArray[np.bool_]]:
        """Return the rows apart by whether the billing cycle is `cycle`, and which are those where it is."""
        chance = self.cycle[:, cycle]
        both = np.concatenate([np.flatnonzero(chance < 1), np.flatnonzero(chance > 0)])
        found = np.arange(len(both)) >= np.count_nonzero(chance < 1)
        rows = self.where(both)
        rows.weight *= np.where(found, chance[both], 1 - chance[both])[:, None]
        rows.cycle[found] = np.eye(BILLING_CYCLE_DAYS)[cycle]
        rows.cycle[~found, cycle] = 0
        rows.cycle /= rows.cycle.sum(axis=1, keepdims=True)
        return rows, found


def _added(weight: Array, rows: NDArray[np.intp], share: Array, first: NDArray[np.intp]) -> Array:
    """Return the sums of `share` times the given rows over each run that begins at a place of `first`."""
    # A sparse product orders, scales and adds in one pass over the rows: 9 times as fast as `np.add.reduceat`.
    runs = csr_array((share, rows, np.append(first, len(rows))), shape=(len(first), len(weight)))
    summed = np.asarray(runs @ weight)
    # Habits ruled out day by day sink below 1e-308, where each multiplication takes 100 times as long.
    summed[summed < VANISHING] = 0.0
    return summed


def together(*parts: Beliefs) -> Beliefs:
    """Return the rows of all parts."""
    return Beliefs(
        np.concatenate([part.who for part in parts]),
        np.concatenate([part.frame for part in parts]),
        np.concatenate([part.cycle for part in parts]),
        np.concatenate([part.weight for part in parts]),
    )


class Observer:
    """Take in one day after another, from day 0 on; in between say what can be known at that midnight.

    `law_of` and `conditions_of` give the law and the conditions of a day by its number; before day 0, where the
    records begin, users joined at an even pace over `earlier_days` days.
    """

    def __init__(
        self, law_of: Callable[[int], DayLaw], conditions_of: Callable[[int], Conditions], earlier_days: int
    ) -> None:
        self._law_of, self._conditions_of = law_of, conditions_of
        self._beliefs = _before_the_records(law_of, earlier_days)
        self._known = np.zeros(1, np.bool_)
        self._traits = Traits.of_strangers()
        self.day = 0

    def probabilities(self, by_state: Array, users: int) -> Array:
        """Return the mean over what is believed of `by_state` [H, STATES, cycle], a probability, for users 0 to `users`."""
        believed, each = self._beliefs, np.empty(len(self._beliefs))
        table = _by_frame(by_state, axis=1)
        for frame in range(FRAMES):
            rows = believed.frame == frame
            of_cycle = believed.weight[rows] @ table[:, frame].reshape(WIDTH, BILLING_CYCLE_DAYS)
            each[rows] = (of_cycle * believed.cycle[rows]).sum(axis=1)
        found = np.bincount(believed.who, each, minlength=users + 1)
        met = np.zeros(users + 1, np.bool_)
        met[: len(self._known)] = self._known[: users + 1]
        return np.minimum(np.where(met, found, found[STRANGER])[1 : users + 1], 1.0)

    def see(self, events: Events) -> None:
        """Take in everything that was published on the next day.

        Raises:
            DefectError: the law rules out what was seen.
        """
        # Small products one after another: more threads than one only wait for each other (4 times slower on 2 busy cores).
        with threadpool_limits(1, "blas"):
            self._see(events)
        if len(np.unique(self._beliefs.who)) < self._known.sum() + 1:
            raise DefectError(f"day {self.day}: what was published of a user is impossible by the law of that day")
        self.day += 1

    def _see(self, events: Events) -> None:
        law, held = self._law_of(self.day), self._conditions_of(self.day)
        seen, new = sightings.sighted(events, held)
        self._meet(seen)
        likelihood = self._explain(law, seen)
        self._beliefs = self._moved(law, seen, likelihood)
        self._welcome(new)

    def _meet(self, seen: Sightings) -> None:
        """Give users who are seen for the first time the belief about strangers, on the plan that they show."""
        self._grow(int(seen.users.max(initial=-1)) + 1)
        first = ~self._known[seen.users + 1]
        users, plan = seen.users[first], seen.plan[first].astype(np.int64)
        strangers = self._beliefs.where(self._beliefs.who == STRANGER)
        own, row = np.nonzero((plan[:, None] == NONE) | (plan[:, None] == strangers.frame // 2))
        alike = strangers.where(row)
        met = Beliefs(users[own] + 1, alike.frame, alike.cycle, alike.weight)
        self._known[users + 1] = True
        self._beliefs = together(self._beliefs, met.merged())

    def _grow(self, users: int) -> None:
        if users + 1 > len(self._known):
            self._known = np.concatenate([self._known, np.zeros(users + 1 - len(self._known), np.bool_)])
            self._traits.grow(users)

    def _explain(self, law: DayLaw, seen: Sightings) -> Array:
        """Return how well each habit, engagement and mood explains what the seen users did: [seen, WIDTH]."""
        by_counts = evidence.of_counts(law, seen)
        learning = seen.lessons > 0
        some = seen.where(learning)
        likely = self._engagement(some, by_counts[learning])
        by_counts[learning] *= self._traits.learn(some, likely)[:, None]
        return np.repeat(by_counts.reshape(len(by_counts), WIDTH // 2), 2, axis=1)

    def _engagement(self, seen: Sightings, by_counts: Array) -> Array:
        """Return how likely each engagement is by what was believed and by counts: [seen, E]."""
        rows = np.flatnonzero(np.isin(self._beliefs.who, seen.users + 1))
        rows = rows[np.argsort(self._beliefs.who[rows], kind="stable")]
        who = self._beliefs.who[rows]
        first = np.flatnonzero(np.diff(who, prepend=-1))
        summed = _added(self._beliefs.weight, rows, np.ones(len(rows)), first)
        believed = summed.reshape(-1, len(HABITS), len(ENGAGEMENTS), len(MOODS)).sum(axis=3)
        return np.asarray((believed * by_counts).sum(axis=1))

    def _moved(self, law: DayLaw, seen: Sightings, likelihood: Array) -> Beliefs:
        """Return the beliefs at the next midnight: Bayes' rule on what was seen, then the law of the day's moves."""
        now, due = self._by_due()
        place, plan, shape = _of_rows(now, seen)
        active = place >= 0
        now.weight[active] *= likelihood[place[active]]
        kind = ((shape * 2 + due) * FRAMES + now.frame) * 2 + active
        possible = (plan == NONE) | (plan == now.frame // 2)
        return _Moves(law).of(now, np.where(possible, kind, RULED_OUT)).merged()

    def _by_due(self) -> tuple[Beliefs, NDArray[np.bool_]]:
        """Return the beliefs apart by whether a charge is due today, and for which it is; the free plan has none."""
        free = self._beliefs.frame // 2 == FREE
        paid, due = self._beliefs.where(~free).split_at(-self.day % BILLING_CYCLE_DAYS)
        unpaid = self._beliefs.where(free)
        return together(paid, unpaid), np.append(due, np.zeros(len(unpaid), np.bool_))

    def _welcome(self, new: Newcomers) -> None:
        """Take in who signed up: the traits and the first state are known by chance only, the cycle for certain."""
        self._grow(int(new.users.max(initial=-1)) + 1)
        self._known[new.users + 1] = True
        cycle = np.tile(np.eye(BILLING_CYCLE_DAYS)[-self.day % BILLING_CYCLE_DAYS], (len(new.users), 1))
        weight = np.tile(_at_first(), (len(new.users), 1))
        welcomed = Beliefs(new.users + 1, new.plan.astype(np.int64) * 2, cycle, weight)
        self._beliefs = together(self._beliefs, welcomed)


def _of_rows(now: Beliefs, seen: Sightings) -> tuple[NDArray[np.intp], NDArray[np.int8], Numbers]:
    """Return for each row its user's place among the active ones (-1: silent), plan told (or NONE), and shape."""
    where = np.full(int(now.who.max()) + 1, -1)
    where[seen.users + 1] = np.arange(len(seen.users))
    row = where[now.who]
    plan = np.append(seen.plan, np.int8(NONE))[row]
    shape = np.append(seen.shape, 0)[row]
    return np.where((row >= 0) & (np.append(seen.visits, 0)[row] > 0), row, -1), plan, shape


def _decoded(code: int) -> tuple[int, int, int, int]:
    """Return shape, due, frame and active of a kind of rows."""
    rest, active = divmod(code, 2)
    rest, frame = divmod(rest, FRAMES)
    shape, due = divmod(rest, 2)
    return shape, due, frame, active


class _Moves:
    """The chances of one day to move from one inner state and frame to another and to show just what was seen."""

    def __init__(self, law: DayLaw) -> None:
        by_due = law.joint()
        self._joint = _by_frame(_by_frame(by_due, axis=2), axis=4)
        self._quiet = np.repeat(1 - law.active, len(MOODS), axis=1)

    def of(self, now: Beliefs, kind: Numbers) -> Beliefs:
        """Return every row moved to every frame to which it can have moved; rows of one kind move alike (`_decoded`)."""
        order = np.argsort(kind, kind="stable")
        kinds, start = np.unique(kind[order], return_index=True)
        groups = list(zip(kinds.tolist(), np.split(order, start[1:]), strict=True))
        places = [(code, rows, after) for code, rows in groups for after in _leads_to(code)]
        source = np.concatenate([rows for _, rows, _ in places])
        frame = np.repeat([after for *_, after in places], [len(rows) for _, rows, _ in places])
        weight, done = np.empty((len(source), WIDTH)), 0
        for code, rows, after in places:
            np.matmul(now.weight[rows], self._chances(code, after), out=weight[done : (done := done + len(rows))])
        return Beliefs(now.who[source], frame, now.cycle[source], weight)

    def _chances(self, code: int, after: int) -> Array:
        """Return the chances [WIDTH, WIDTH] to move and to show what was seen."""
        shape, due, frame, active = _decoded(code)
        chances = self._joint[:, due, frame, :, after] * _shown()[shape, due, frame, :, after]
        return _apart(chances if active else chances * self._quiet[:, :, None])


def _apart(chances: Array) -> Array:
    """Return [H, INNER, INNER] as one matrix [WIDTH, WIDTH]: nobody moves from one habit to another."""
    # One dense product is 4 times the work of one per habit, and faster for it.
    whole = np.zeros((len(HABITS), INNER, len(HABITS), INNER))
    habits = np.arange(len(HABITS))
    whole[habits, :, habits] = chances
    return whole.reshape(WIDTH, WIDTH)


@cache
def _leads_to(code: int) -> tuple[int, ...]:
    """Return the frames to which a row of this kind can have moved."""
    if code == RULED_OUT:
        return ()
    shape, due, frame, _ = _decoded(code)
    return tuple(np.flatnonzero(_shown()[shape, due, frame].any(axis=(0, 2))).tolist())


@cache
def _shown() -> Array:
    """Return the chance of each shape, given the move: [SHAPES, due, frame, INNER, frame, INNER]."""
    codes = np.arange(STATES)
    state = [codes // 12, codes // 4 % 3, codes // 2 % 2, codes % 2]
    before = States(*(np.repeat(code, STATES).astype(np.int8) for code in state))
    after = States(*(np.tile(code, STATES).astype(np.int8) for code in state))
    shown = np.stack([_shown_when(before, after, bool(due)) for due in range(2)], axis=1)
    return np.ascontiguousarray(_by_frame(_by_frame(shown, axis=2), axis=4))


def _shown_when(before: States, after: States, due: bool) -> Array:
    show = showing(before, after, np.full(STATES * STATES, due))
    chances = (show.paid.astype(float), show.declined, show.refunded, show.ticket, show.left.astype(float))
    replanned_to = np.where(show.replanned, after.plan, NONE)
    of_shape = np.empty((SHAPES, STATES * STATES))
    for shape in range(SHAPES):
        flags = [shape >> bit & 1 for bit in range(5)]
        of_shape[shape] = replanned_to == shape // 32 - 1
        for flag, chance in zip(flags, chances, strict=True):
            of_shape[shape] *= chance if flag else 1 - chance
    return of_shape.reshape(SHAPES, STATES, STATES)


def _by_frame(table: Array, axis: int) -> Array:
    """Return the axis of STATES as two: frame (plan, billing) and inner state (engagement, mood)."""
    shape = table.shape
    parts = table.reshape(*shape[:axis], len(ENGAGEMENTS), FRAMES, len(MOODS), *shape[axis + 1 :])
    return np.moveaxis(parts, axis, axis + 1).reshape(*shape[:axis], FRAMES, INNER, *shape[axis + 1 :])


def _at_first() -> Array:
    """Return the chances of habit and inner state on the day of signing up: [WIDTH]."""
    return initial_chances().reshape(WIDTH)


def _before_the_records(law_of: Callable[[int], DayLaw], earlier_days: int) -> Beliefs:
    """Return the belief about a user who joined on any of the `earlier_days` before day 0, of whom nothing was seen."""
    weight = np.zeros((BILLING_CYCLE_DAYS, FRAMES, len(HABITS), INNER))
    for day in range(-earlier_days, 0):
        weight = _lived(law_of(day), weight, day)
        weight[-day % BILLING_CYCLE_DAYS, ::2] += np.einsum("p,hi->phi", PLAN_SHARES, initial_chances())
    each, frame = np.divmod(np.arange(BILLING_CYCLE_DAYS * FRAMES), FRAMES)
    cycle = np.eye(BILLING_CYCLE_DAYS)[each]
    return Beliefs(np.full(len(each), STRANGER), frame, cycle, weight.reshape(-1, WIDTH)).merged()


def _lived(law: DayLaw, weight: Array, day: int) -> Array:
    """Return how likely everything is a day later, when nobody looks."""
    joint = _by_frame(_by_frame(law.joint(), axis=2), axis=4)
    due = (np.arange(BILLING_CYCLE_DAYS) + day) % BILLING_CYCLE_DAYS == 0
    after = np.einsum("cfhi,hfigj->cghj", weight, joint[:, 0], optimize=True)
    after[due] = np.einsum("cfhi,hfigj->cghj", weight[due], joint[:, 1], optimize=True)
    return np.asarray(after)
