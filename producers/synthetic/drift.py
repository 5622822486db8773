"""Ways in which the business changes on a known day, so that whoever watches for drift can be put to the test.

====================  ==================================================  ===========================
name                  what changes                                        the published truth
====================  ==================================================  ===========================
price-rise            paid plans cost a quarter more; for two months      exact: the law knows it
                      their users tire and cancel more, less each day
new-lesson-type       `lesson_completed` carries `lesson_type: short`;    exact: nobody stays or
                      within 30 days up to 70 % of the lessons are        leaves for it, only the
                      short: three times as many of a third of the length  inputs move
bot-wave              for 14 days machines open sessions around the       bots have no truth rows,
                      clock and do nothing else                           people's stay exact
payment-outage        for 4 days most charges are declined                exact: the law knows it
====================  ==================================================  ===========================
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from churn.errors import SettingsError

KINDS = ("price-rise", "new-lesson-type", "bot-wave", "payment-outage")

PRICE_RISE = 1.25
# Right after a rise paid users tire and cancel 5 times as often; the anger halves every 20 days and is over after 60.
PRICE_ANGER = 4.0
PRICE_ANGER_HALF_LIFE_DAYS = 20
PRICE_ANGER_DAYS = 60
SHORT_LESSONS_AT_MOST = 0.7
SHORT_LESSONS_RAMP_DAYS = 30
BOT_DAYS = 14
BOTS_PER_USER = 0.02
OUTAGE_DAYS = 4
OUTAGE_FAILURE = 0.85
USUAL_FAILURE = 0.05


@dataclass(frozen=True)
class Drift:
    """One change of the business: what (one of KINDS) and the first day it holds."""

    kind: str
    start: date

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(f"unknown drift {self.kind!r}; choose one of {', '.join(KINDS)}")


@dataclass(frozen=True)
class Conditions:
    """What holds on one day: factors on the law and shares of what is emitted."""

    price: float = 1.0
    price_anger: float = 0.0
    payment_failure: float = USUAL_FAILURE
    short_lessons: float = 0.0
    bots_per_user: float = 0.0


def conditions(drifts: Iterable[Drift], day: date) -> Conditions:
    """Return what holds on `day` under the given drifts.

    >>> conditions([Drift("payment-outage", date(2026, 3, 1))], date(2026, 3, 2)).payment_failure
    0.85
    """
    held = Conditions()
    for drift in drifts:
        age_days = (day - drift.start).days
        if age_days >= 0:
            held = _changed(held, drift.kind, age_days)
    return held


def _changed(held: Conditions, kind: str, age_days: int) -> Conditions:
    if kind == "price-rise":
        fading = 0.5 ** (age_days / PRICE_ANGER_HALF_LIFE_DAYS) if age_days < PRICE_ANGER_DAYS else 0.0
        return replace(held, price=held.price * PRICE_RISE, price_anger=held.price_anger + PRICE_ANGER * fading)
    if kind == "new-lesson-type":
        share = SHORT_LESSONS_AT_MOST * min(1.0, (age_days + 1) / SHORT_LESSONS_RAMP_DAYS)
        return replace(held, short_lessons=share)
    if kind == "bot-wave":
        return replace(held, bots_per_user=BOTS_PER_USER if age_days < BOT_DAYS else 0.0)
    return replace(held, payment_failure=OUTAGE_FAILURE if age_days < OUTAGE_DAYS else held.payment_failure)
