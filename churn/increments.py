"""What a batch of events adds to which counter, as flat arrays: one row per event and counter that it feeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.admission import Admitted, measure_units
from churn.layout import Increment, Int64s, Layout

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Added:
    """Rows in the order of the events: position of the event in the batch, counter, integer units."""

    events: Positions
    counters: Positions
    units: Int64s


@dataclass(frozen=True, slots=True)
class _Measured:
    """The rows of each event type whose units are a measure: `places[code, k]`, -1 where there is no k-th one."""

    measure: str
    scale: int
    places: Int64s


class Increments:
    """The increments of every event type of a layout, laid end to end.

    One pass over a batch costs the same for 3 event types as for 30; a pass per type took 2.2 us an event, this 0.5.
    """

    def __init__(self, layout: Layout) -> None:
        flat = [increment for increments in layout.increments for increment in increments]
        self._counts = np.array([len(increments) for increments in layout.increments], np.int64)
        self._starts = np.cumsum(self._counts) - self._counts
        self._counters = np.array([increment.counter for increment in flat], np.intp)
        self._units = np.array([increment.units for increment in flat], np.int64)
        measures = sorted({(increment.measure, increment.scale) for increment in flat if increment.measure})
        self._measured = [_measured(layout, *pair) for pair in measures]

    def of(self, batch: Admitted) -> Added:
        """Return what the events of a batch add."""
        counts = self._counts[batch.types]
        firsts = np.cumsum(counts) - counts
        flat = np.arange(int(counts.sum())) - np.repeat(firsts - self._starts[batch.types], counts)
        units = self._units[flat]
        for measured in self._measured:
            _fill(units, firsts, batch, measured)
        return Added(np.repeat(np.arange(len(batch)), counts), self._counters[flat], units)


def _measured(layout: Layout, measure: str, scale: int) -> _Measured:
    found = [_places(increments, measure, scale) for increments in layout.increments]
    places = np.full((len(found), max(map(len, found))), -1, np.int64)
    for code, row in enumerate(found):
        places[code, : len(row)] = row
    return _Measured(measure, scale, places)


def _places(increments: Sequence[Increment], measure: str, scale: int) -> list[int]:
    return [n for n, each in enumerate(increments) if (each.measure, each.scale) == (measure, scale)]


def _fill(units: Int64s, firsts: Int64s, batch: Admitted, measured: _Measured) -> None:
    places = measured.places[batch.types]
    carriers = np.flatnonzero(places[:, 0] >= 0)
    if not len(carriers):
        return
    values = measure_units(batch.measures[measured.measure][carriers], measured.scale)
    for place in places[carriers].T:
        there = place >= 0
        units[firsts[carriers[there]] + place[there]] = values[there]
