from datetime import date

import pytest

from churn.errors import SettingsError
from producers.synthetic.drift import Conditions, Drift, conditions

DAY = date(2026, 3, 1)


def test_nothing_changes_before_a_drift_starts() -> None:
    drifts = [Drift(kind, DAY) for kind in ("price-rise", "new-lesson-type", "bot-wave", "payment-outage")]
    assert conditions(drifts, date(2026, 2, 28)) == Conditions(1.0, 0.0, 0.05, 0.0, 0.0)


def test_a_price_rise_stays_while_the_anger_over_it_halves_in_20_days() -> None:
    held = conditions([Drift("price-rise", DAY)], date(2026, 3, 21))
    assert (held.price, held.price_anger) == (1.25, 2.0)
    over = conditions([Drift("price-rise", DAY)], date(2026, 4, 30))
    assert (over.price, over.price_anger) == (1.25, 0.0)


def test_an_outage_lasts_4_days() -> None:
    outage = [Drift("payment-outage", DAY)]
    assert conditions(outage, date(2026, 3, 4)).payment_failure == 0.85
    assert conditions(outage, date(2026, 3, 5)).payment_failure == 0.05


def test_bots_stay_14_days() -> None:
    wave = [Drift("bot-wave", DAY)]
    assert conditions(wave, date(2026, 3, 14)).bots_per_user == 0.02
    assert conditions(wave, date(2026, 3, 15)).bots_per_user == 0.0


def test_short_lessons_come_up_in_30_days_and_stay() -> None:
    lessons = [Drift("new-lesson-type", DAY)]
    assert conditions(lessons, date(2026, 3, 15)).short_lessons == pytest.approx(0.35)
    assert conditions(lessons, date(2026, 9, 1)).short_lessons == 0.7


def test_an_unknown_drift_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="unknown drift 'earthquake'; choose one of price-rise, new-lesson-type"):
        Drift("earthquake", DAY)
