"""The batch data set against the stream's own state, and its edges in time."""

import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn.admission import Admission, Admitted
from churn.declaration import Declaration, parse
from churn.events import Event, encode
from churn.features import FeaturePlan
from churn.layout import DAY_US, MAX_UNITS, Floats, layout_of
from churn.records import Record
from churn.scores import to_us
from churn.slab import Slab
from tests.training.archives import archive, midnight
from training.dataset import DataSet, Sampling

WriteArchive = Callable[[Sequence[Event]], list[Path]]

BUSINESS = """
business: test
events:
  visit: {activity: true, measures: {minutes: {min: 0, max: 100000000, optional: true}}}
  paid: {measures: {amount: {min: 0, max: 1000}}}
  gone: {}
counters:
  visits: {unit: visits, adds: {visit: 1}}
  minutes: {unit: minutes, scale: 100, adds: {visit: minutes, paid: 2}}
  money: {unit: money, scale: 2, adds: {paid: amount}}
  nothing: {unit: none, adds: {}}
registers:
  plan: {attribute: plan, values: [free, "pro's"]}
  standing: {events: {paid: good, gone: left}}
features:
  visits_{window}d: {sum: visits, windows: [1, 2, 7, 30], says: a}
  days_{window}d: {days: minutes, windows: [7, 29, 30], says: a}
  mean_{window}d: {mean: money, per: visits, windows: [7, 30], says: a}
  most_{window}d: {max: minutes, windows: [7, 30], says: a}
  total: {total: minutes, says: a}
  money_total: {total: money, says: a}
  nothing_total: {total: nothing, says: a}
  trend: {trend: visits, says: a}
  trend_days: {trend_days: money, says: a}
  trend_mean: {trend_mean: money, per: visits, says: a}
  decayed_{half_life}: {decayed: minutes, half_lives: [0.5, 5], says: a}
  decayed_days_{half_life}: {decayed_days: activity, half_lives: [2], says: a}
  week_{week}: {week_days: activity, weeks: [1, 9], says: a}
  weeks: {weeks_active: activity, says: a}
  streak: {week_streak: activity, says: a}
  missed: {missed_days: activity, says: a}
  gap: {gap_mean: activity, says: a}
  spread: {gap_spread: activity, says: a}
  longest: {gap_longest: activity, says: a}
  silence: {silence_to_mean: activity, says: a}
  silence_longest: {silence_to_longest: activity, says: a}
  surprise: {silence_surprise: activity, says: a}
  money_mean: {mean_total: money, per: visits, says: a}
  last: {days_since_last: activity, cap: 90, says: a}
  last_minutes: {days_since_last: minutes, cap: 20, says: a}
  first: {days_since_first: money, cap: 730, says: a}
  plan_{value}: {is: plan, says: a}
  standing_{value}: {is: standing, says: a}
label: {horizon_days: 30, exclude: {standing: left}}
"""
START = 20_000
SNAPSHOTS = (START + 31, START + 38, START + 80)
DECLARED = parse(BUSINESS, "test")
LAYOUT = layout_of(DECLARED)


@st.composite
def one_event(draw: st.DrawFn) -> tuple[Event, int]:
    """Draw an event and how many days late it comes."""
    kind = draw(st.sampled_from(["visit", "visit", "paid", "gone"]))
    amounts = st.sampled_from([0.0, 0.005, 0.25, 0.5, 0.75, 1.25, 7.115, 999.995]) | st.floats(0, 1000)
    minutes = st.none() | amounts | st.just(99_999_999.9)
    value = draw(minutes if kind == "visit" else amounts)
    plans = st.none() | st.sampled_from(["free", "pro's", "unheard of", ""])
    plan = draw(plans)
    day = draw(st.integers(0, 85) | st.sampled_from([0, 1, 30, 31, 37, 38, 79, 80]))
    micros = draw(st.sampled_from([0, 1, DAY_US - 1]) | st.integers(0, DAY_US - 1))
    measure = {"visit": "minutes", "paid": "amount"}.get(kind)
    event = Event(
        "e",
        draw(st.sampled_from(["ann", "bob", "Ünal", "zoë"])),
        kind,
        midnight(START + day) + timedelta(microseconds=micros),
        1,
        {measure: value} if measure and value is not None else None,
        None if plan is None else {"plan": plan},
    )
    return event, draw(st.sampled_from([0, 0, 0, 1, 5, 40]))


def admitted(events: Sequence[Event]) -> Admitted:
    """Return events as the stream admits them; all must pass."""
    arrived_us = to_us(midnight(START + 1000))
    records = [Record(i, arrived_us, e.user_id.encode(), encode(e)) for i, e in enumerate(events)]
    passed, refused = Admission(LAYOUT, 0).admit(records)
    assert refused == []
    return passed


def streamed(events: Sequence[tuple[Event, int]], as_of_day: int, user_ttl_days: int = 0) -> dict[str, Floats]:
    """Return vectors as of a midnight by the stream: each day applies what arrived on it, late events included."""
    slab = Slab(LAYOUT, START)
    before = [pair for pair in events if to_us(pair[0].occurred_at) < as_of_day * DAY_US]
    for day in range(START, as_of_day):
        turn(slab, day, user_ttl_days)
        arrives = [e for e, late in before if min(to_us(e.occurred_at) // DAY_US + late, as_of_day - 1) == day]
        if arrives:
            slab.apply(admitted(arrives))
    turn(slab, as_of_day, user_ttl_days)
    slots = np.flatnonzero(slab.occupied())
    matrix = FeaturePlan(LAYOUT).compute(slab.facts(slots))
    return dict(zip([slab.names[slot] for slot in slots], matrix, strict=True))


def turn(slab: Slab, day: int, user_ttl_days: int) -> None:
    slab.advance(day)
    if user_ttl_days:
        slab.remove(np.flatnonzero(slab.occupied() & (slab.last_days() < day - user_ttl_days)))


@given(st.lists(one_event(), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_batch_gives_the_bits_of_the_stream_on_random_histories(pairs: list[tuple[Event, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        files = archive(Path(name), [event for event, _ in pairs])
        with DataSet(DECLARED, files, Path(name)) as data:
            for part in data.parts(SNAPSHOTS):
                expected = streamed(pairs, part.as_of_day)
                assert sorted(part.users) == sorted(expected)
                for user, vector in zip(part.users, part.matrix, strict=True):
                    assert vector.tobytes() == expected[user].tobytes()


@given(st.lists(one_event(), min_size=1, max_size=40), st.integers(31, 60))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_both_forget_the_same_users_at_the_same_midnights(pairs: list[tuple[Event, int]], ttl_days: int) -> None:
    in_time = [(event, 0) for event, _ in pairs]
    with tempfile.TemporaryDirectory() as name:
        files = archive(Path(name), [event for event, _ in in_time])
        with DataSet(DECLARED, files, Path(name), ttl_days) as data:
            for part in data.parts(SNAPSHOTS):
                expected = streamed(in_time, part.as_of_day, ttl_days)
                assert sorted(part.users) == sorted(expected)
                for user, vector in zip(part.users, part.matrix, strict=True):
                    assert vector.tobytes() == expected[user].tobytes()


def test_a_saturated_day_is_the_same_in_both(write_archive: WriteArchive, tmp_path: Path) -> None:
    visits = [
        Event(str(i), "ann", "visit", midnight(START), 1, {"minutes": 99_999_999.0}) for i in range(3)
    ]  # 3 x 10^10 units
    with DataSet(DECLARED, write_archive(visits), tmp_path) as data:
        vector = data.snapshot(START + 1).matrix[0]
    assert vector[DECLARED.feature_names.index("most_7d")] == np.float32(MAX_UNITS / 100)
    assert vector[DECLARED.feature_names.index("total")] == np.float32(299_999_997.0)
    assert vector.tobytes() == streamed([(visit, 0) for visit in visits], START + 1)["ann"].tobytes()


def snapshot_of(
    declaration: Declaration, files: list[Path], scratch: Path, day: int
) -> dict[str, tuple[bool, bool, bool, int]]:
    """Return (population, known, churned, silent days) of each user."""
    with DataSet(declaration, files, scratch) as data:
        got = data.snapshot(day)
    rows = zip(
        got.users,
        got.population.tolist(),
        got.known.tolist(),
        got.churned.tolist(),
        got.silent_days.tolist(),
        strict=True,
    )
    return {user: (population, known, churned, silent) for user, population, known, churned, silent in rows}


def test_labels_look_ahead_and_features_do_not(
    elearning: Declaration, write_archive: WriteArchive, tmp_path: Path, activity: Callable[[str, float], Event]
) -> None:
    events = [
        activity("leaves", 99.5),
        activity("stays", 99.5),
        activity("stays", 129.9),
        activity("at-midnight", 71.0),
        activity("at-midnight", 100.0),
        activity("gone", 69.9),
        activity("later", 101.0),
        activity("keeps-the-archive-going", 130.5),
    ]
    got = snapshot_of(elearning, write_archive(events), tmp_path, 100)
    assert got == {
        "leaves": (True, True, True, 1),
        "stays": (True, True, False, 1),
        "at-midnight": (True, True, False, 29),
        "gone": (False, True, True, 31),
    }


def test_label_is_unknown_until_the_whole_horizon_is_archived(
    elearning: Declaration, write_archive: WriteArchive, tmp_path: Path, activity: Callable[[str, float], Event]
) -> None:
    files = write_archive([activity("ann", 99.0), activity("bob", 129.999)])
    assert snapshot_of(elearning, files, tmp_path, 100) == {"ann": (True, False, True, 1)}


def test_users_of_a_partition_that_lags_are_not_taken_for_silent(
    elearning: Declaration, tmp_path: Path, activity: Callable[[str, float], Event]
) -> None:
    ahead = archive(tmp_path, [activity("ann", 99.0), activity("bob", 131.0)], partition=0)
    behind = archive(tmp_path, [activity("cid", 99.0), activity("cid", 105.0)], partition=1)
    known = {user: row[1] for user, row in snapshot_of(elearning, ahead + behind, tmp_path, 100).items()}
    assert known == {"ann": True, "cid": False}


def test_excluded_users_are_left_out_of_the_population(write_archive: WriteArchive, tmp_path: Path) -> None:
    events = [
        Event("1", "ann", "visit", midnight(START), 1),
        Event("2", "bob", "visit", midnight(START), 1),
        Event("3", "bob", "gone", midnight(START), 1),
    ]
    got = snapshot_of(DECLARED, write_archive(events), tmp_path, START + 1)
    assert {user: row[0] for user, row in got.items()} == {"ann": True, "bob": False}


def test_sampling_takes_the_same_share_again(
    elearning: Declaration, write_archive: WriteArchive, tmp_path: Path, activity: Callable[[str, float], Event]
) -> None:
    files = write_archive([activity(f"user-{i}", 99.0) for i in range(2000)])
    with DataSet(elearning, files, tmp_path) as data:
        half = data.snapshot(100, Sampling(population_only=True, share=0.5)).users
        again = data.snapshot(100, Sampling(population_only=True, share=0.5)).users
        other_day = data.snapshot(101, Sampling(population_only=True, share=0.5)).users
        assert data.counts.active_pairs([100, 101, 200], 30) == 4000
    assert half == again
    assert 900 < len(half) < 1100
    assert half != other_day
