"""What is simulated: how many users and days, and which changes of the business on which day of the year."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from churn.errors import InputError
from producers.synthetic.business import Scenario
from producers.synthetic.drift import (
    BOT_DAYS,
    KINDS,
    OUTAGE_DAYS,
    PRICE_ANGER_DAYS,
    SHORT_LESSONS_RAMP_DAYS,
    Drift,
)

LASTS_DAYS = {
    "payment-outage": OUTAGE_DAYS,
    "bot-wave": BOT_DAYS,
    "price-rise": PRICE_ANGER_DAYS,
    "new-lesson-type": SHORT_LESSONS_RAMP_DAYS,
}
"""When what changes has changed: two are over then, the price and the short lessons stay."""


@dataclass(frozen=True)
class Episode:
    """One change of the business: what, and the first day of the year on which it holds (0 is the first)."""

    kind: str
    start: int

    @property
    def end(self) -> int:
        """Return the first day on which nothing goes on changing."""
        return self.start + LASTS_DAYS[self.kind]


EPISODES = (
    Episode("payment-outage", 30),
    Episode("bot-wave", 75),
    Episode("price-rise", 150),
    Episode("new-lesson-type", 265),
)
"""Each begins after the one before has ended and its labels have matured, with 30 days more to come back in."""


@dataclass(frozen=True)
class Plan:
    """A simulated year: `days` of it behind `warm_up` days of history; days are counted from the end of that."""

    users: int
    days: int
    warm_up: int
    seed: int
    episodes: tuple[Episode, ...] = ()

    @property
    def name(self) -> str:
        """Return what the run is called in files and sentences."""
        return "drift" if self.episodes else "quiet"

    def scenario(self, today: date) -> Scenario:
        """Return the business of the plan; its last day is over before `today`, so that no event is in the future."""
        start = today - timedelta(days=self.warm_up + self.days + 1)
        drifts = tuple(Drift(each.kind, start + timedelta(days=self.warm_up + each.start)) for each in self.episodes)
        return Scenario(self.users, self.warm_up + self.days, self.seed, start, drifts)


def episodes_of(texts: Sequence[str], days: int) -> tuple[Episode, ...]:
    """Return the episodes that `KIND:DAY` texts name, the earliest first; the default ones within `days` without any.

    Raises:
        InputError: a text is no such pair, or its day lies outside the year.

    >>> episodes_of(["price-rise:12"], 90)
    (Episode(kind='price-rise', start=12),)
    """
    if not texts:
        return tuple(each for each in EPISODES if each.start < days)
    return tuple(sorted((_episode(text, days) for text in texts), key=lambda each: each.start))


def _episode(text: str, days: int) -> Episode:
    kind, _, day = text.partition(":")
    if kind not in KINDS or not day.isdecimal() or int(day) >= days:
        raise InputError(
            f"--drift {text!r}: give KIND:DAY, such as price-rise:120, with a day from 0 to {days - 1} and a kind of"
            f" {', '.join(KINDS)}"
        )
    return Episode(kind, int(day))
