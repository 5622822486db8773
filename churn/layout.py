"""Where each fact of a user's state lives, derived from the declaration.

All parts of the state are merged by commutative operations (sum, max, min, or), so that the order of events never matters:

=========  ======================  =========  ==================================================
part       shape of one user       merged by  meaning
=========  ======================  =========  ==================================================
tiles      int32 [32 days, C]      sum        units per UTC day; days without any take no room (`churn.tiles`)
totals     int64 [C]               sum        units over the lifetime
lasts      int32 [C]               max        last UTC day with the counter, NEVER without one
firsts     int32 [C]               min        first UTC day with the counter, NEVER_YET without one
registers  int64 [R]               max        microseconds << 8 | code of the latest value
calendar   int64                   or         63 UTC days with or without an activity (`churn.rhythm`)
=========  ======================  =========  ==================================================
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.declaration import Declaration

DAY_US = 86_400_000_000
RING_DAYS = 32
"""31 days are kept; the 32nd slot makes the ring a power of two, so that day mod 32 is a mask."""
NEVER = np.iinfo(np.int32).min
NEVER_YET = np.iinfo(np.int32).max
MAX_UNITS = np.iinfo(np.int32).max
"""A tile saturates here; saturating sums of non-negative units do not depend on their order."""
CODE_BITS = 8

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Increment:
    """One event type adds to one counter: a constant number of units, or a measure times the counter's scale."""

    counter: int
    units: int
    measure: str
    scale: int


@dataclass(frozen=True)
class Layout:
    """Column numbers of counters and registers, and what each event type does to them."""

    declaration: Declaration
    counters: tuple[str, ...]
    registers: tuple[str, ...]
    event_types: tuple[str, ...]
    increments: tuple[tuple[Increment, ...], ...]

    def counter(self, name: str) -> int:
        """Return the column of a counter."""
        return self.counters.index(name)

    def register(self, name: str) -> int:
        """Return the column of a register."""
        return self.registers.index(name)


def layout_of(declaration: Declaration) -> Layout:
    """Derive the state layout from a declaration."""
    counters, event_types = tuple(declaration.counters), tuple(declaration.events)
    increments = tuple(_increments(declaration, event) for event in event_types)
    return Layout(declaration, counters, tuple(declaration.registers), event_types, increments)


def _increments(declaration: Declaration, event: str) -> tuple[Increment, ...]:
    found = []
    for column, counter in enumerate(declaration.counters.values()):
        amount = counter.adds.get(event)
        if isinstance(amount, str):
            found.append(Increment(column, 0, amount, counter.scale))
        elif amount is not None:
            found.append(Increment(column, amount * counter.scale, "", counter.scale))
    return tuple(found)
