"""The durable form of a user's state: one compact value per user, written when the user changed.

A value is a fixed head (offset, day, calendar, totals, lasts, firsts, registers) and the tiles that are not zero, 6 bytes each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from churn.declaration import TILE_DAYS
from churn.errors import DefectError
from churn.features import ActiveDays
from churn.layout import Layout
from churn.rhythm import still_known
from churn.slab import Slab
from churn.tiles import Slots

META_KEY = b""
"""Key of a partition's own record; user ids are never empty."""

SUMMARY_KEY = b"\xffdeclaration"
"""Key of the declaration in words; user ids are UTF-8, which has no byte 0xFF."""

TILE = np.dtype([("cell", "<u2"), ("units", "<i4")])


class PartitionMeta(msgspec.Struct, frozen=True):
    """What a partition's owner must know beside its users; written in one transaction with them.

    Attributes:
        next_offset: the state holds exactly the events below this offset.
        watermark_us: largest plausible event time, or where the wall clock moved it.
        watermark_arrived_us: arrival of the record that set the watermark.
        epoch: number of owners that the partition has had.
        rebuilt_below: offsets below it were admitted by the present declaration, whatever was refused at first.
        unemitted: whether users changed whose vectors were held back (while the past was replayed).
    """

    feature_set_version: str
    partitions: int
    next_offset: int
    watermark_us: int
    watermark_arrived_us: int
    epoch: int
    unemitted: bool = False
    rebuilt_below: int = 0


encode_meta = msgspec.json.Encoder().encode
decode_meta = msgspec.json.Decoder(PartitionMeta).decode


def head_type(layout: Layout) -> np.dtype[np.void]:
    """Return the fixed part of a user's value."""
    counters, registers = len(layout.counters), len(layout.registers)
    fields = [("offset", "<i8"), ("day", "<i4"), ("calendar", "<i8"), ("totals", "<i8", (counters,))]
    days = [("lasts", "<i4", (counters,)), ("firsts", "<i4", (counters,))]
    return np.dtype([*fields, *days, ("registers", "<i8", (registers,))])


@dataclass(frozen=True)
class Held:
    """A copy of some users' state, which stays as it is while the slab goes on."""

    heads: npt.NDArray[np.void]
    active: ActiveDays


def hold(slab: Slab, slots: Slots) -> Held:
    """Copy the state of these users: 0.5 us a user, so that packing them (4 us) can be done in another thread."""
    facts = slab.facts(slots)
    heads = np.empty(len(slots), head_type(slab.layout))
    heads["offset"], heads["day"], heads["calendar"] = slab.offsets[slots], slab.day, slab.calendars[slots]
    heads["totals"], heads["lasts"] = facts.totals, facts.lasts
    heads["firsts"], heads["registers"] = facts.firsts, facts.registers
    return Held(heads, facts.active)


def pack(held: Held) -> list[bytes]:
    """Return the durable value of each user, in their order."""
    users, ages = held.active.places
    row, counter = np.nonzero(held.active.units)
    cells = np.empty(len(row), TILE)
    cells["cell"] = ages[row] * held.active.units.shape[1] + counter
    cells["units"] = held.active.units[row, counter]
    ends = np.cumsum(np.bincount(users[row], minlength=len(held.active))) * TILE.itemsize
    return _cut(held.heads.tobytes(), held.heads.dtype.itemsize, cells.tobytes(), ends.tolist())


def _cut(heads: bytes, size: int, cells: bytes, ends: list[int]) -> list[bytes]:
    values, start = [], 0
    for number, end in enumerate(ends):
        values.append(heads[number * size : (number + 1) * size] + cells[start:end])
        start = end
    return values


def unpack(slab: Slab, users: Sequence[str], values: Sequence[bytes]) -> None:
    """Put users with these durable values into the slab; the slab's day must not be before any of theirs.

    Raises:
        DefectError: a value does not fit the layout.
    """
    kind = head_type(slab.layout)
    sizes = np.fromiter(map(len, values), np.int64, len(values)) - kind.itemsize
    if (sizes < 0).any() or (sizes % TILE.itemsize).any():
        raise DefectError("a stored user state does not fit the declaration; rebuild the state")
    slots, counters = slab.slots_for(users), len(slab.layout.counters)
    head = np.frombuffer(b"".join([v[: kind.itemsize] for v in values]), kind)
    slab.offsets[slots], slab.totals[slots], slab.lasts[slots] = head["offset"], head["totals"], head["lasts"]
    slab.firsts[slots], slab.registers[slots] = head["firsts"], head["registers"]
    slab.calendars[slots] = still_known(head["calendar"], head["day"].astype(np.int64), slab.day)
    slab.tiles.forget(slots)
    cells = np.frombuffer(b"".join([v[kind.itemsize :] for v in values]), TILE)
    row = np.repeat(np.arange(len(users)), sizes // TILE.itemsize)
    age, counter = np.divmod(cells["cell"].astype(np.int64), counters)
    day = head["day"][row] - age
    kept = day > slab.day - TILE_DAYS
    slab.tiles.put(slots[row[kept]], day[kept], counter[kept], cells["units"][kept])
