"""Events for measurements: many users of one business, evenly or as unevenly as real ones."""

import uuid
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from churn.events import SCHEMA_VERSION, Event, encode
from churn.scores import from_us

Load = Literal["skewed", "uniform"]
Mode = Literal["live", "replay"]
LOADS: tuple[Load, ...] = ("skewed", "uniform")
MODES: tuple[Mode, ...] = ("live", "replay")
Keyed = tuple[str, bytes]

KINDS: tuple[tuple[str, dict[str, float] | None], ...] = (
    ("session_started", None),
    ("lesson_completed", {"minutes": 12.5}),
    ("quiz_submitted", {"score": 71.0}),
    ("session_started", None),
    ("payment_succeeded", {"amount": 9.9}),
)
"""What users do, in turn; measures as the e-learning declaration asks for them."""


def chosen_users(load: Load, users: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the number of the user of each event; in a skewed load the r-th user sends in proportion to 1/r.

    >>> chosen_users("skewed", 1, 3, 0).tolist()
    [0, 0, 0]
    """
    chance = np.random.default_rng(seed)
    if load == "uniform":
        return chance.integers(0, users, count)
    shares = np.cumsum(1.0 / np.arange(1, users + 1))
    return np.searchsorted(shares / shares[-1], chance.random(count)).astype(np.int64)


def events(load: Load, users: int, count: int, start_us: int, until_us: int, seed: int = 1) -> Iterator[Keyed]:
    """Yield (user, value) pairs in the order of time, dated evenly from one time to the other."""
    run, step_us = uuid.uuid4().hex[:8], (until_us - start_us) / count
    for number, user in enumerate(chosen_users(load, users, count, seed).tolist()):
        yield event(user_name(user), f"{run}-{number:x}", start_us + int(number * step_us), number)


def everyone(users: int, start_us: int, until_us: int) -> Iterator[Keyed]:
    """Yield one event of every user, dated evenly from one time to the other."""
    run, step_us = uuid.uuid4().hex[:8], (until_us - start_us) / users
    for number in range(users):
        yield event(user_name(number), f"{run}-{number:x}", start_us + int(number * step_us), number)


def user_name(number: int) -> str:
    """Return the name of a user.

    >>> user_name(7)
    'u0000007'
    """
    return f"u{number:07d}"


def event(user_id: str, event_id: str, occurred_us: int, number: int = 0) -> Keyed:
    """Return one event of a user as (user, value); `number` picks its type in turn."""
    kind, measures = KINDS[number % len(KINDS)]
    return user_id, encode(Event(event_id, user_id, kind, from_us(occurred_us), SCHEMA_VERSION, measures))
