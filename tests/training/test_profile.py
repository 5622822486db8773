"""What is seen in an archive, and that its content has one name however it is filed."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from churn.declaration import Declaration
from churn.errors import DataError
from churn.events import Event
from tests.training.archives import archive, midnight
from training.profile import Profile, profile_of

Activity = Callable[[str, float], Event]
PLANS = ("free", "gold", "pro")


@pytest.fixture
def events() -> list[Event]:
    """Return lessons of 20 users over ten days, some of a plan that nobody declared."""
    return [
        Event(
            f"e{n}", f"u{n % 20}", "lesson_completed", midnight(n % 10), 1, {"minutes": n / 7}, {"plan": PLANS[n % 3]}
        )
        for n in range(60)
    ]


def test_counts_are_of_all_batches(elearning: Declaration, events: list[Event], tmp_path: Path) -> None:
    found = profile_of(elearning, archive(tmp_path, events), batch_bytes=1)
    assert (found.events, found.users, found.days, found.repeated) == (60, 20, (0, 9), 0)
    assert found.by_day({"lesson_completed"}) == dict.fromkeys(range(10), 6)
    minutes = found.measures["lesson_completed", "minutes"]
    assert (minutes.events, minutes.missing, minutes.outside, minutes.largest) == (60, 0, 0, 59 / 7)
    plan = found.attributes["plan"]
    assert (plan.present, plan.undeclared, plan.examples) == (60, 20, {"gold"})


def test_values_of_before_they_were_declared_are_seen_too(
    elearning: Declaration, events: list[Event], tmp_path: Path
) -> None:
    found = profile_of(elearning, archive(tmp_path, events, declared=False))
    assert found.measures["lesson_completed", "minutes"].largest == 59 / 7
    assert found.attributes["plan"].undeclared == 20


def test_content_does_not_depend_on_order_and_files(
    elearning: Declaration, events: list[Event], tmp_path: Path
) -> None:
    one = profile_of(elearning, archive(tmp_path / "one", events))
    parts = [*archive(tmp_path / "two", events[::-2], 0), *archive(tmp_path / "two", events[::2], 1)]
    assert profile_of(elearning, parts, batch_bytes=1).content == one.content


@pytest.mark.parametrize(
    "other",
    [
        Event("e0", "u0", "lesson_completed", midnight(0), 1, {"minutes": 0.001}, {"plan": "free"}),
        Event("e0", "u0", "lesson_completed", midnight(0), 1, {"minutes": 0.0}, {"plan": "pro"}),
        Event("e0", "u1", "lesson_completed", midnight(0), 1, {"minutes": 0.0}, {"plan": "free"}),
        Event("e0", "u0", "lesson_completed", midnight(1), 1, {"minutes": 0.0}, {"plan": "free"}),
    ],
)
def test_content_changes_with_any_fact(
    elearning: Declaration, events: list[Event], other: Event, tmp_path: Path
) -> None:
    contents = {
        profile_of(elearning, archive(tmp_path / name, found)).content
        for name, found in (("a", events), ("b", [other, *events[1:]]), ("c", events[1:]))
    }
    assert len(contents) == 3


def test_an_event_that_came_twice_is_counted(elearning: Declaration, activity: Activity, tmp_path: Path) -> None:
    once = [activity("ann", 1.0), activity("bob", 2.0)]
    files = [*archive(tmp_path, once, 0), *archive(tmp_path, once[:1], 1)]
    assert profile_of(elearning, files).repeated == 1


def test_a_file_without_needed_columns_is_described_not_read(
    elearning: Declaration, activity: Activity, tmp_path: Path
) -> None:
    (file,) = archive(tmp_path, [activity("ann", 1.0)])
    pq.write_table(pq.read_table(file).drop_columns(["user_id"]), file)
    found: Profile = profile_of(elearning, [file])
    assert found.events == 0
    assert "user_id" not in found.columns


def test_an_empty_archive_is_refused(elearning: Declaration) -> None:
    with pytest.raises(DataError, match="holds no events"):
        profile_of(elearning, [])
