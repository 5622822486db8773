"""Labels at both ends of an archive, where what is not seen yet is easily taken for silence; for every horizon."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from churn.declaration import Declaration
from churn.events import Event
from tests.training.archives import archive, midnight
from training.dataset import DataSet
from training.split import Bounds, history_days

Activity = Callable[[str, float], Event]
D = 100
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(params=[7, 14, 30])
def horizon(request: pytest.FixtureRequest) -> int:
    """Return each horizon that a business asks for."""
    return int(request.param)


@pytest.fixture
def business(elearning: Declaration, horizon: int) -> Declaration:
    """Return the example business with this horizon."""
    return elearning.with_horizon(horizon)


def labels(business: Declaration, files: list[Path], scratch: Path, day: int = D) -> dict[str, str]:
    """Return of each user in the population whether it churned, stayed, or is unknown."""
    with DataSet(business, files, scratch) as data:
        got = data.snapshot(day)
    found = {}
    for user, population, known, churned in zip(got.users, got.population, got.known, got.churned, strict=True):
        if population:
            found[user] = ("churned" if churned else "stayed") if known else "unknown"
    return found


def naive(events: list[Event], day: int = D) -> dict[str, str]:
    """Label as is often done: whoever has no event after the snapshot has churned."""
    seen = {each.user_id for each in events if each.occurred_at >= midnight(day)}
    before = {each.user_id for each in events if each.occurred_at < midnight(day)}
    return {user: "stayed" if user in seen else "churned" for user in before}


def test_silence_at_the_end_of_the_archive_is_not_churn(
    business: Declaration, horizon: int, activity: Activity, tmp_path: Path
) -> None:
    # Ann comes back on the last day of the horizon, which the archive has only begun: bob is its last event.
    events = [activity("ann", D - 1), activity("bob", D - 1), activity("bob", D + horizon - 1 + 0.001)]
    assert naive(events) == {"ann": "churned", "bob": "stayed"}
    assert labels(business, archive(tmp_path / "short", events), tmp_path) == {"ann": "unknown", "bob": "unknown"}
    whole = [*events, activity("ann", D + horizon - 0.5), activity("bob", D + horizon)]
    assert labels(business, archive(tmp_path / "whole", whole), tmp_path) == {"ann": "stayed", "bob": "stayed"}


def test_who_came_back_early_is_not_known_before_who_did_not(
    business: Declaration, horizon: int, activity: Activity, tmp_path: Path
) -> None:
    # Learning from the early known would learn from those who stay.
    events = [activity("back", D - 1), activity("back", D + 1), activity("silent", D - 1)]
    assert labels(business, archive(tmp_path / "early", events), tmp_path) == {"back": "unknown", "silent": "unknown"}
    later = [*events, activity("other", D + horizon)]
    assert labels(business, archive(tmp_path / "later", later), tmp_path) == {"back": "stayed", "silent": "churned"}


def test_a_partition_that_lags_makes_nobody_silent(
    business: Declaration, horizon: int, activity: Activity, tmp_path: Path
) -> None:
    ahead = archive(tmp_path, [activity("ann", D - 1), activity("bob", D + horizon)], partition=0)
    behind = archive(tmp_path, [activity("cid", D - 1), activity("dan", D + horizon - 0.01)], partition=1)
    assert labels(business, ahead + behind, tmp_path) == {"ann": "churned", "cid": "unknown"}


def test_the_horizon_is_half_open(business: Declaration, horizon: int, activity: Activity, tmp_path: Path) -> None:
    edge, eve = midnight(D + horizon), midnight(D + horizon) - MICROSECOND
    returns = {"at-the-snapshot": midnight(D), "on-the-last-day": eve, "a-day-too-late": edge}
    events = [activity(user, D - 1) for user in returns]
    events += [Event(f"{user}-returns", user, "session_started", at, 1) for user, at in returns.items()]
    assert set(naive(events).values()) == {"stayed"}
    assert labels(business, archive(tmp_path, events), tmp_path) == {
        "at-the-snapshot": "stayed", "on-the-last-day": "stayed", "a-day-too-late": "churned",
    }  # fmt: skip


def test_the_population_is_of_the_horizon_before(
    business: Declaration, horizon: int, activity: Activity, tmp_path: Path
) -> None:
    events = [activity("just-within", D - horizon), activity("long-gone", D - horizon - 0.001)]
    events += [activity("new", D), activity("end", D + horizon)]
    assert labels(business, archive(tmp_path, events), tmp_path) == {"just-within": "churned"}


def test_an_event_that_comes_late_counts_on_its_own_day(
    business: Declaration, horizon: int, activity: Activity, tmp_path: Path
) -> None:
    # The last offsets of the archive: one of within the horizon, one of before the snapshot.
    events = [activity("back", D - 1), activity("offline", D - horizon - 5), activity("end", D + horizon + 3)]
    events += [activity("back", D + 1), activity("offline", D - 2)]
    assert labels(business, archive(tmp_path, events), tmp_path) == {"back": "stayed", "offline": "churned"}


def test_what_is_no_activity_neither_keeps_nor_brings_back(
    business: Declaration, horizon: int, activity: Activity, tmp_path: Path
) -> None:
    charged = Event("invoice", "ann", "payment_succeeded", midnight(D + 1), 1, {"amount": 10.0})
    events = [activity("ann", D - 1), charged, activity("end", D + horizon)]
    assert naive(events)["ann"] == "stayed"
    assert labels(business, archive(tmp_path, events), tmp_path) == {"ann": "churned"}


def test_before_whole_windows_the_archive_tells_too_few(
    business: Declaration, activity: Activity, tmp_path: Path
) -> None:
    # Ann was there before the archive began on day 90; at day 92 her month would be one of two days.
    files = archive(tmp_path, [activity("ann", 90), activity("ann", 120.0), activity("end", 160)])
    with DataSet(business, files, tmp_path) as data:
        counts = data.counts
    bounds = Bounds(counts.first_day, counts.last_day, business.label.horizon_days, history_days(business))
    assert bounds.earliest >= 90 + 30
    assert bounds.latest == 160 - business.label.horizon_days
