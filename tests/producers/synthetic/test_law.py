from datetime import date

import numpy as np
import pytest

from producers.synthetic.drift import Conditions
from producers.synthetic.law import (
    AGGRIEVED,
    BASIC,
    CANCELLED,
    CONTENT,
    FAILING,
    FREE,
    GOOD,
    KEEN,
    LOST,
    STATES,
    STEADY,
    WEARY,
    day_law,
    state_index,
)

MONDAY, SATURDAY = date(2026, 1, 5), date(2026, 1, 10)
USUAL = Conditions()
HARD = Conditions(price=1.25, price_anger=4.0, payment_failure=0.85)


@pytest.mark.parametrize("held", [USUAL, HARD])
@pytest.mark.parametrize("day", [MONDAY, date(2026, 7, 15)])
def test_every_row_of_chances_sums_to_1(day: date, held: Conditions) -> None:
    joint = day_law(day, held).joint()
    assert joint.shape == (4, 2, STATES, STATES)
    assert joint.min() >= 0
    np.testing.assert_allclose(joint.sum(axis=-1), 1.0, atol=1e-12)


def test_the_joint_chance_is_the_product_of_its_parts() -> None:
    law = day_law(MONDAY, USUAL)
    codes = np.array([[KEEN, BASIC, GOOD, CONTENT], [STEADY, FREE, FAILING, AGGRIEVED]], np.int8)
    here, there = state_index(codes[:, 0], codes[:, 1], codes[:, 2], codes[:, 3])
    # Habit regular, charge due: keen -> steady 0.03, basic -> free 0.0002, charge declined 0.05, angered 0.005.
    assert law.joint()[1, 1, here, there] == pytest.approx(0.03 * 0.0002 * 0.05 * 0.005)


def test_mondays_are_busier_than_saturdays() -> None:
    assert (day_law(MONDAY, USUAL).visits[:, KEEN] > day_law(SATURDAY, USUAL).visits[:, KEEN]).all()


def test_only_those_who_are_about_are_active() -> None:
    active = day_law(MONDAY, USUAL).active
    assert (active[:, [LOST, 1, 2, CANCELLED]] == 0).all()
    assert (np.diff(active[:, [WEARY, STEADY, KEEN]], axis=1) > 0).all()


@pytest.mark.parametrize(("billing", "mood"), [(FAILING, CONTENT), (GOOD, AGGRIEVED)])
def test_failed_payments_and_grievances_make_leaving_likelier(billing: int, mood: int) -> None:
    engagement = day_law(MONDAY, USUAL).engagement
    leaving = engagement[..., [LOST, CANCELLED]].sum(axis=-1)
    assert (leaving[:, WEARY, BASIC, billing, mood] > 2 * leaving[:, WEARY, BASIC, GOOD, CONTENT]).all()


def test_a_price_rise_drives_out_paying_users_only() -> None:
    usual, hard = day_law(MONDAY, USUAL).engagement, day_law(MONDAY, HARD).engagement
    cancel = (slice(None), STEADY, slice(None), GOOD, CONTENT, CANCELLED)
    np.testing.assert_allclose(hard[cancel] / usual[cancel], np.tile([1.0, 5.0, 5.0], (4, 1)))


def test_the_free_plan_is_never_charged() -> None:
    assert (day_law(MONDAY, HARD).billing[1, :, FREE, GOOD] == [1, 0]).all()
