"""Publish the past of the business: every event up to an instant, in order, as fast as Kafka takes it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np

from churn.errors import SettingsError
from producers.synthetic.business import Day, SyntheticBusiness
from producers.synthetic.emission import DAY_US, Events
from producers.synthetic.encoding import encoded
from producers.synthetic.noise import Disturber, Message, NoiseCounts
from producers.synthetic.truth import TruthFolder

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Progress = Callable[[int, int, int], None]
"""Called after each day as progress(done_days, total_days, events so far)."""


class Sink(Protocol):
    """Where events go: a `producers.publisher.Publisher`, or a list."""

    def publish(self, user_id: str, value: bytes) -> None:
        """Take one event."""


@dataclass(frozen=True)
class Published:
    """What a history came to: good events (each counted once), all messages, the noise among them, its end."""

    events: int
    messages: int
    noise: NoiseCounts
    until: datetime


def no_progress(done_days: int, total_days: int, events: int) -> None:
    """Show nothing."""


def publish_history(
    business: SyntheticBusiness,
    sink: Sink,
    truth_folder: Path | None = None,
    until: datetime | None = None,
    progress: Progress = no_progress,
) -> Published:
    """Publish every event dated up to and including `until` (default: the midnight after the last whole day).

    The truth of every day begun by then is written below `truth_folder`, unless that is None. Messages that noise
    still holds back at the end are published last, so that nothing is missing. The sink is not flushed.

    Raises:
        SettingsError: `until` is not after the start.
    """
    until = end_of_history(business) if until is None else until
    total_days = _days_begun(business, until)
    truth = TruthFolder(truth_folder) if truth_folder else None
    outlet = Outlet(business, sink)
    for day in business.days_from(0, truth is not None):
        if truth:
            truth.write(day)
        outlet.publish(day, day.events.where(slice(split_at(day, until))), 0, midnight_us(day) + DAY_US)
        progress(day.number + 1, total_days, outlet.events)
        if day.number + 1 == total_days:
            break
    outlet.finish()
    return Published(outlet.events, outlet.messages, outlet.noise, until)


def end_of_history(business: SyntheticBusiness) -> datetime:
    """Return the midnight after the scenario's last whole day, UTC."""
    last = business.scenario.start + timedelta(days=business.scenario.days)
    return datetime(last.year, last.month, last.day, tzinfo=UTC)


def split_at(day: Day, instant: datetime) -> int:
    """Return how many of the day's events are dated up to and including `instant`."""
    passed_us = microseconds(instant) - midnight_us(day)
    return int(np.searchsorted(day.events.time_us, passed_us, side="right"))


def midnight_us(day: Day) -> int:
    """Return the day's first instant in microseconds since 1970."""
    return microseconds(day.midnight)


def microseconds(instant: datetime) -> int:
    """Return an instant in microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


class Outlet:
    """Encode events, let noise have its way with them, and hand them to the sink."""

    def __init__(self, business: SyntheticBusiness, sink: Sink) -> None:
        self.events = 0
        self.messages = 0
        self._sink = sink
        self._stem = business.scenario.tag
        self._noise = business.scenario.noise
        self._disturber = Disturber(self._noise, business.scenario.seed)

    @property
    def noise(self) -> NoiseCounts:
        """Return the noise made so far."""
        return self._disturber.counts

    def publish(self, day: Day, events: Events, first: int, now_us: int) -> None:
        """Publish events of one day, the first of which is number `first` of that day; hold back what is not yet due."""
        stem = f"{self._stem}-{day.number:x}-"
        self.events += len(events)
        chunks = encoded(events, day.date, stem, first)
        if not self._noise:
            for chunk in chunks:
                self._send(chunk)
            return
        due_us = (events.time_us + midnight_us(day)).tolist()
        lines = chain.from_iterable(chunks)
        self._disturber.disturb([Message(due, *line) for due, line in zip(due_us, lines, strict=True)], stem)
        self._send_messages(self._disturber.due(now_us))

    def finish(self) -> None:
        """Publish what noise still holds back."""
        self._send_messages(self._disturber.rest())

    def _send(self, lines: list[tuple[str, bytes]]) -> None:
        publish = self._sink.publish
        for user, value in lines:
            publish(user, value)
        self.messages += len(lines)

    def _send_messages(self, messages: list[Message]) -> None:
        self._send([(message.user_id, message.value) for message in messages])


def _days_begun(business: SyntheticBusiness, until: datetime) -> int:
    start = business.scenario.start
    midnight = datetime(start.year, start.month, start.day, tzinfo=UTC)
    if until <= midnight:
        raise SettingsError(f"the history ends at {until.isoformat()}, before it starts ({start}); choose a later end")
    return -((midnight - until) // timedelta(days=1))
