"""Go on where the history ended: every event when its time comes, and, if wanted, more of them at a chosen rate.

The law's own events are published when the clock reaches their `occurred_at`, none twice, none left out: real time, and
the truth stays exact. A few thousand users give only an event every few seconds, so `extra_per_second` thickens the
stream: further visits are drawn from the same hidden states of the day (users as likely as the law makes them
active), and dated at the clock's time of their publication. They are additional: the hidden states do not
move faster for them, so a truth of thickened days says too high a probability for whoever got extra visits.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np

from churn.errors import SettingsError
from producers.synthetic.business import Day, SyntheticBusiness
from producers.synthetic.emission import DAY_US, Events, joined
from producers.synthetic.encoding import encoded
from producers.synthetic.history import Outlet, Sink, end_of_history, microseconds, midnight_us, split_at
from producers.synthetic.population import Population
from producers.synthetic.truth import TruthFolder

# How long to wait at most before looking at the clock again: what is late is late by at most this.
LONGEST_WAIT_SECONDS = 0.05


class LiveSink(Sink, Protocol):
    """A sink that is asked now and then whether all went well."""

    def poll(self) -> None:
        """Look for failed deliveries without waiting."""


class Clock(Protocol):
    """The time and a way to let it pass."""

    def now(self) -> datetime:
        """Return the present, UTC."""

    def wait(self, seconds: float) -> bool:
        """Let so much time pass; return False when it is time to stop."""


def publish_live(
    business: SyntheticBusiness,
    sink: LiveSink,
    clock: Clock,
    *,
    after: datetime | None = None,
    extra_per_second: float = 0.0,
    truth_folder: Path | None = None,
) -> int:
    """Publish every event dated after `after` (default: the end of the history) as it comes due, until the clock stops.

    What came due before the clock's present is published at once. `extra_per_second` adds visits at that rate from now
    on. The truth of every new midnight is written below `truth_folder`, unless that is None. Return how many events
    were published; the sink is not flushed.

    Raises:
        SettingsError: `after` lies before the start, or `extra_per_second` below 0.
    """
    after = end_of_history(business) if after is None else after
    _check(business, after, extra_per_second)
    first = (after.date() - business.scenario.start).days
    truth = TruthFolder(truth_folder) if truth_folder else None
    live = _Live(business, sink, clock, extra_per_second)
    for day, people in business.days_with_people(first, truth is not None):
        if truth and day.midnight > after:
            truth.write(day)
        if not live.through(day, people, split_at(day, after) if day.number == first else 0):
            break
    return live.finish()


class _Live:
    """One run: the law's own events by their dates, the extra ones by a count that grows with the clock."""

    def __init__(self, business: SyntheticBusiness, sink: LiveSink, clock: Clock, extra_per_second: float) -> None:
        self._business = business
        self._sink = sink
        self._clock = clock
        self._started = self._extra_until = clock.now()
        self._rate = extra_per_second
        self._extra = 0
        self._outlet = Outlet(business, sink)
        # The start of the run is part of the extra ids: a second run on the same day repeats none of them.
        self._stem = f"{business.scenario.tag}-{microseconds(self._started):x}-"

    def finish(self) -> int:
        """Publish what noise still holds back; return how many good events were published in all."""
        self._outlet.finish()
        return self._outlet.events + self._extra

    def through(self, day: Day, people: Population, done: int) -> bool:
        """Publish a day from event number `done` on, till its end has come; return False when the clock stopped."""
        visits = _Visits(self._business.takes(day, people))
        end = day.midnight + timedelta(days=1)
        while True:
            now = self._clock.now()
            passed = split_at(day, now)
            self._outlet.publish(day, day.events.where(slice(done, passed)), done, microseconds(now))
            done = passed
            if self._rate and end > self._started:
                self._publish_extra(day, visits, now)
            self._sink.poll()
            if now >= end:
                return True
            if not self._clock.wait(LONGEST_WAIT_SECONDS):
                return False

    def _publish_extra(self, day: Day, visits: "_Visits", now: datetime) -> None:
        """Publish as many extra events as are missing by now, dated evenly since the last of them."""
        missing = int((now - self._started).total_seconds() * self._rate) - self._extra
        if missing < 1:
            return
        since_us, until_us = (microseconds(at) - midnight_us(day) for at in (self._extra_until, now))
        dates = np.linspace(since_us, until_us, missing + 1)[1:].astype(np.int64)
        rows = replace(visits.next(missing), time_us=np.clip(dates, 1, DAY_US - 1))
        for chunk in encoded(rows, day.date, self._stem, self._extra):
            for user, value in chunk:
                self._sink.publish(user, value)
        self._extra += missing
        self._extra_until = now


class _Visits:
    """An endless row of visits, cut from one drawing of the day after another."""

    def __init__(self, takes: Iterator[Events]) -> None:
        self._takes = takes
        self._rows: Events | None = None
        self._used = 0

    def next(self, count: int) -> Events:
        """Return the next `count` rows."""
        pieces: list[Events] = []
        while count:
            if self._rows is None or self._used == len(self._rows):
                self._rows, self._used = next(self._takes), 0
            piece = self._rows.where(slice(self._used, self._used + count))
            self._used += len(piece)
            count -= len(piece)
            pieces.append(piece)
        return joined(pieces)


def _check(business: SyntheticBusiness, after: datetime, extra_per_second: float) -> None:
    if after.date() < business.scenario.start:
        raise SettingsError(
            f"live begins at {after.isoformat()}, before {business.scenario.start}; choose a later instant"
        )
    if extra_per_second < 0:
        raise SettingsError(f"extra events per second is {extra_per_second:g}; give 0 or more")
