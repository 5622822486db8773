from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from churn.errors import SettingsError
from churn.events import decode
from producers.synthetic.business import Scenario, SyntheticBusiness
from producers.synthetic.history import publish_history
from producers.synthetic.live import Clock, publish_live
from producers.synthetic.noise import Noise

SCENARIO = Scenario(users=300, days=3, seed=9)
NOON = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
END = datetime(2026, 1, 10, 8, 0, tzinfo=UTC)


class Collected(Protocol):
    messages: list[tuple[str, bytes]]

    @property
    def values(self) -> list[bytes]: ...
    def publish(self, user_id: str, value: bytes) -> None: ...
    def poll(self) -> None: ...


SteppedClock = Callable[[datetime, datetime, timedelta], Clock]


def test_history_then_live_has_no_gap_and_no_repetition(sink: Collected, stepped_clock: SteppedClock) -> None:
    business = SyntheticBusiness(SCENARIO)
    publish_history(business, sink, until=NOON)
    publish_live(business, sink, stepped_clock(NOON, END, timedelta(minutes=13)), after=NOON)
    both = sink.values.copy()
    sink.messages.clear()
    publish_history(business, sink, until=END)
    assert both == sink.values


def test_what_came_due_while_nobody_published_is_published_first(sink: Collected, stepped_clock: SteppedClock) -> None:
    late_start = stepped_clock(END, END, timedelta(seconds=1))
    count = publish_live(SyntheticBusiness(SCENARIO), sink, late_start, after=NOON)
    times = [decode(value).occurred_at for value in sink.values]
    assert count == len(times) > 500
    assert NOON < times[0] < times[-1] <= END


def test_no_event_is_dated_after_the_moment_of_its_publication(sink: Collected, stepped_clock: SteppedClock) -> None:
    clock = stepped_clock(NOON, NOON + timedelta(hours=30), timedelta(minutes=7))

    class Watching:
        def publish(self, user_id: str, value: bytes) -> None:
            sink.publish(user_id, value)
            assert decode(value).occurred_at <= clock.now()

        def poll(self) -> None:
            """Nothing can fail here."""

    publish_live(SyntheticBusiness(SCENARIO), Watching(), clock, after=NOON, extra_per_second=0.05)
    assert len(sink.messages) > 5400


def test_extra_visits_come_at_the_chosen_rate_dated_now(sink: Collected, stepped_clock: SteppedClock) -> None:
    clock = stepped_clock(NOON, NOON + timedelta(seconds=60), timedelta(milliseconds=50))
    publish_live(SyntheticBusiness(SCENARIO), sink, clock, after=NOON, extra_per_second=100)
    events = [decode(value) for value in sink.values]
    assert 6000 <= len(events) <= 6020
    assert len({event.event_id for event in events}) == len(events)
    first_half = sum(event.occurred_at <= NOON + timedelta(seconds=30) for event in events)
    assert first_half == pytest.approx(3000, abs=20)


def test_a_second_run_on_the_same_day_repeats_no_extra_id(sink: Collected, stepped_clock: SteppedClock) -> None:
    for start in (NOON, NOON + timedelta(minutes=1)):
        clock = stepped_clock(start, start + timedelta(seconds=10), timedelta(seconds=1))
        publish_live(SyntheticBusiness(SCENARIO), sink, clock, after=start, extra_per_second=50)
    ids = [decode(value).event_id for value in sink.values]
    assert len(set(ids)) == len(ids) >= 1000


def test_noise_holds_live_events_back_and_gives_them_all_in_the_end(
    sink: Collected, stepped_clock: SteppedClock
) -> None:
    noisy = Scenario(users=300, days=3, seed=9, noise=Noise(disordered=0.2, late=0.1))
    clock = stepped_clock(NOON, END, timedelta(minutes=13))
    count = publish_live(SyntheticBusiness(noisy), sink, clock, after=NOON)
    times = [decode(value).occurred_at for value in sink.values]
    assert len(times) == count
    assert times != sorted(times)


def test_every_new_midnight_gets_its_truth(sink: Collected, stepped_clock: SteppedClock, tmp_path: Path) -> None:
    clock = stepped_clock(NOON, END, timedelta(hours=1))
    publish_live(SyntheticBusiness(SCENARIO), sink, clock, after=NOON, truth_folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["day=2026-01-08", "day=2026-01-09", "day=2026-01-10"]


def test_live_cannot_begin_before_the_business(sink: Collected, stepped_clock: SteppedClock) -> None:
    clock = stepped_clock(NOON, END, timedelta(hours=1))
    with pytest.raises(SettingsError, match="choose a later instant"):
        publish_live(SyntheticBusiness(SCENARIO), sink, clock, after=datetime(2025, 1, 1, tzinfo=UTC))
