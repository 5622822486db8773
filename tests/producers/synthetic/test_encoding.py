from datetime import date

import numpy as np
import pytest

from churn.declaration import Declaration
from churn.events import Event, decode
from feature_repo.declared import load
from producers.synthetic.business import Scenario, SyntheticBusiness
from producers.synthetic.drift import KINDS as DRIFTS
from producers.synthetic.drift import Drift
from producers.synthetic.emission import LESSON, SESSION, Events
from producers.synthetic.encoding import encoded


@pytest.fixture(scope="module")
def declaration() -> Declaration:
    return load("feature_repo/declarations/elearning.yaml")


@pytest.fixture(scope="module")
def events() -> list[tuple[str, Event]]:
    """Forty days with every drift, as they would be read from the topic."""
    drifts = tuple(Drift(kind, date(2026, 1, 12)) for kind in DRIFTS)
    days = SyntheticBusiness(Scenario(users=400, days=40, seed=3, drifts=drifts)).days(truth=False)
    chunks = [chunk for day in days for chunk in encoded(day.events, day.date, f"t-{day.number:x}-")]
    return [(user, decode(value)) for chunk in chunks for user, value in chunk]


def row(kind: int, user: int, value: int, plan: int, lesson: int) -> Events:
    numbers = [np.array([number], np.int64) for number in (user, 36_610_000_042, value)]
    codes = [np.array([code], np.int8) for code in (kind, plan, lesson)]
    return Events(numbers[0], codes[0], numbers[1], numbers[2], codes[1], codes[2])


def test_a_lesson_to_the_byte() -> None:
    assert list(encoded(row(LESSON, 42, 1250, -1, -1), date(2026, 1, 5), "s-", 255)) == [
        [
            (
                "u0000042",
                b'{"event_id":"s-ff","user_id":"u0000042","event_type":"lesson_completed",'
                b'"occurred_at":"2026-01-05T10:10:10.000042Z","schema_version":1,"measures":{"minutes":12.5}}',
            )
        ]
    ]


def test_a_visit_tells_the_plan() -> None:
    [[(_, value)]] = encoded(row(SESSION, 1, -1, 2, -1), date(2026, 1, 5), "s-")
    assert decode(value).attributes == {"plan": "pro"}


def test_a_short_lesson_tells_its_type() -> None:
    [[(_, value)]] = encoded(row(LESSON, 1, 500, -1, 1), date(2026, 1, 5), "s-")
    assert decode(value).attributes == {"lesson_type": "short"}
    assert decode(value).measures == {"minutes": 5.0}


def test_every_event_is_declared_with_all_its_measures_in_range(
    events: list[tuple[str, Event]], declaration: Declaration
) -> None:
    assert len(events) > 10_000
    for _, event in events:
        measures = event.measures or {}
        declared = declaration.events[event.event_type].measures
        assert measures.keys() == declared.keys()
        assert all(declared[name].minimum <= value <= declared[name].maximum for name, value in measures.items())


def test_the_key_is_the_user(events: list[tuple[str, Event]]) -> None:
    assert all(user == event.user_id for user, event in events)


def test_no_event_id_occurs_twice(events: list[tuple[str, Event]]) -> None:
    assert len({event.event_id for _, event in events}) == len(events)


def test_sign_ups_and_plan_changes_tell_a_declared_plan(
    events: list[tuple[str, Event]], declaration: Declaration
) -> None:
    told = [event for _, event in events if event.event_type in {"signed_up", "plan_changed"}]
    assert len(told) > 50
    assert {(event.attributes or {})["plan"] for event in told} <= set(declaration.registers["plan"].values)
