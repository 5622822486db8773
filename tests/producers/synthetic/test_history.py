from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

import pytest

from churn.admission import Admission
from churn.errors import SettingsError
from churn.events import decode
from churn.layout import layout_of
from churn.records import Record
from feature_repo.declared import load
from producers.synthetic.business import Scenario, SyntheticBusiness
from producers.synthetic.history import publish_history
from producers.synthetic.noise import Noise

NOISY = Scenario(users=300, days=12, seed=5, noise=Noise(duplicates=0.02, disordered=0.05, late=0.03, broken=0.04))
CLEAN = Scenario(users=300, days=12, seed=5)
ARRIVED_US = 1_800_000_000_000_000


class Collected(Protocol):
    messages: list[tuple[str, bytes]]

    @property
    def values(self) -> list[bytes]: ...
    def publish(self, user_id: str, value: bytes) -> None: ...


def test_a_clean_history_is_in_the_order_of_time(sink: Collected) -> None:
    published = publish_history(SyntheticBusiness(CLEAN), sink)
    times = [decode(value).occurred_at for value in sink.values]
    assert times == sorted(times)
    assert published.events == published.messages == len(times)
    assert published.until == datetime(2026, 1, 17, tzinfo=UTC)


def test_what_is_refused_is_what_was_broken(sink: Collected) -> None:
    published = publish_history(SyntheticBusiness(NOISY), sink)
    admission = Admission(layout_of(load("feature_repo/declarations/elearning.yaml")), max_future_us=600_000_000)
    records = [Record(i, ARRIVED_US, user.encode(), value) for i, (user, value) in enumerate(sink.messages)]
    admitted, refusals = admission.admit(records)
    assert Counter(refusal.reason for refusal in refusals) == published.noise.broken
    assert len(admitted) == published.events + published.noise.duplicates
    assert published.messages == len(records) == len(admitted) + len(refusals)


def test_noise_neither_loses_nor_alters_an_event(sink: Collected) -> None:
    published = publish_history(SyntheticBusiness(NOISY), sink)
    noisy = Counter(sink.values)
    sink.messages.clear()
    publish_history(SyntheticBusiness(CLEAN), sink)
    assert set(sink.values) <= noisy.keys()
    assert sum(noisy[value] == 2 for value in sink.values) == published.noise.duplicates > 50


def test_the_noise_is_the_same_every_time(sink: Collected) -> None:
    publish_history(SyntheticBusiness(NOISY), sink)
    once = sink.messages.copy()
    sink.messages.clear()
    publish_history(SyntheticBusiness(NOISY), sink)
    assert sink.messages == once


def test_late_events_come_out_of_order(sink: Collected) -> None:
    scenario = Scenario(users=300, days=12, seed=5, noise=Noise(late=0.03))
    published = publish_history(SyntheticBusiness(scenario), sink)
    latest, behind = datetime(2026, 1, 1, tzinfo=UTC), 0
    for value in sink.values:
        at = decode(value).occurred_at
        behind += (latest - at).total_seconds() > 43_200
        latest = max(latest, at)
    assert 0.9 * published.noise.late < behind <= published.noise.late


def test_a_history_may_end_within_a_day(sink: Collected) -> None:
    until = datetime(2026, 1, 8, 15, 30, tzinfo=UTC)
    publish_history(SyntheticBusiness(CLEAN), sink, until=until)
    last = decode(sink.values[-1]).occurred_at
    assert datetime(2026, 1, 8, 15, tzinfo=UTC) < last <= until


def test_progress_tells_every_day(sink: Collected) -> None:
    told: list[tuple[int, int, int]] = []
    publish_history(SyntheticBusiness(CLEAN), sink, progress=lambda *state: told.append(state))
    assert [state[:2] for state in told] == [(day, 12) for day in range(1, 13)]
    assert told[-1][2] == len(sink.values)


def test_the_truth_of_every_day_begun_is_written(sink: Collected, tmp_path: Path) -> None:
    publish_history(SyntheticBusiness(CLEAN), sink, tmp_path, until=datetime(2026, 1, 7, 1, tzinfo=UTC))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["day=2026-01-05", "day=2026-01-06", "day=2026-01-07"]


def test_a_history_that_ends_before_it_starts_is_refused(sink: Collected) -> None:
    with pytest.raises(SettingsError, match="before it starts"):
        publish_history(SyntheticBusiness(CLEAN), sink, until=datetime(2025, 12, 31, tzinfo=UTC))
    assert CLEAN.start == date(2026, 1, 5)
