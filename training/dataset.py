"""The point-in-time data set: for every snapshot what was known at that midnight, and what happened afterwards.

The way to the tiles differs from the stream's (whole days by DuckDB instead of events one by one); the formulas from
there on are the same code, and a property test holds both to the same bits. Users are taken block by block and each
block is walked forward through the days once, so memory follows the block, not the history.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from churn import labels
from churn.declaration import ACTIVITY_COUNTER, TILE_DAYS, Declaration
from churn.errors import DefectError
from churn.features import ActiveDays, FeaturePlan, UserFacts
from churn.labels import Mask
from churn.layout import MAX_UNITS, NEVER, NEVER_YET, Floats, Int32s, Int64s, Layout, layout_of
from churn.rhythm import CALENDAR_DAYS, UInt64s, calendars_of
from training.day_cache import DayCache
from training.day_counts import DayCounts, DayRows, Progress

BLOCK_USERS = 8192
"""8,192 users x 100 active days x 120 bytes a row = 100 MB at most."""
HASH_SPAN = float(1 << 64)


@dataclass(frozen=True)
class Snapshot:
    """Users at one midnight.

    Attributes:
        matrix: float32 [users, features].
        population: active in the horizon before, and not excluded.
        known: the whole horizon after was observed; `churned` means something only where this holds.
        silent_days: days since the last activity, at least 1; 0 without one.
    """

    as_of_day: int
    users: list[str]
    matrix: Floats
    population: Mask
    known: Mask
    churned: Mask
    silent_days: Int32s

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class Sampling:
    """Whom to take: all known users, or the population; of those the `share` whose hash comes first."""

    population_only: bool = False
    labelled_only: bool = False
    share: float = 1.0


EVERYONE = Sampling()


class History:
    """A block of users walked forward in time; `facts(day)` needs days that never go back.

    As in the stream, a user whose latest fact is of a day before D - `user_ttl_days` (at least 31; 0: never) is
    forgotten at the midnight of day D. Here an event counts on its own day: one that came after its user was forgotten,
    and is dated before, is taken as if it had come in time.
    """

    def __init__(self, layout: Layout, rows: DayRows, users: int, user_ttl_days: int = 0) -> None:
        counters, registers = len(layout.counters), len(layout.registers)
        self._rows = rows
        self._users = users
        self._done_rows = 0
        self._day = -(1 << 62)
        self._totals = np.zeros((users, counters), np.int64)
        self._lasts = np.full((users, counters), NEVER, np.int32)
        self._firsts = np.full((users, counters), NEVER_YET, np.int32)
        self._registers = np.zeros((users, registers), np.int64)
        self._activity = layout.counter(ACTIVITY_COUNTER)
        self.seen: Mask = np.zeros(users, np.bool_)
        self._user_ttl_days = user_ttl_days
        self._latest = np.full(users, NEVER, np.int64)

    def facts(self, day: int) -> UserFacts:
        """Return the state of all users of the block at midnight of `day`: everything strictly before it."""
        if day < self._day:
            raise DefectError(f"history stands at day {self._day} and cannot go back to {day}")
        self._day = day
        stop = int(np.searchsorted(self._rows.days, day))
        for start, end in _days_between(self._rows.days, self._done_rows, stop):
            self._add(slice(start, end), int(self._rows.days[start]))
        self._done_rows = stop
        self._forget(np.flatnonzero(self.seen), day)
        active = ActiveDays.of(self._tiles(day, stop))
        calendars = self._calendars(day, stop)
        return UserFacts(active, self._totals, self._lasts, self._firsts, self._registers, calendars, day)

    def _add(self, rows: slice, day: int) -> None:
        users, fed = self._rows.users[rows], self._rows.fed[rows]
        self._forget(users, day)
        # Users are distinct within a day, so plain indexed assignment is exact.
        self._totals[users] += self._rows.units[rows]
        self._lasts[users] = np.where(fed, day, self._lasts[users])
        self._firsts[users] = np.where(fed, np.minimum(self._firsts[users], day), self._firsts[users])
        self._registers[users] = np.maximum(self._registers[users], self._rows.registers[rows])
        self.seen[users] = True
        dated = fed.any(axis=1) | (self._rows.registers[rows] > 0).any(axis=1)
        self._latest[users[dated]] = day

    def _forget(self, users: npt.NDArray[np.intp], day: int) -> None:
        if not self._user_ttl_days:
            return
        gone = users[self._latest[users] < day - self._user_ttl_days]
        self._totals[gone], self._registers[gone], self.seen[gone] = 0, 0, False
        self._lasts[gone], self._firsts[gone], self._latest[gone] = NEVER, NEVER_YET, NEVER

    def _tiles(self, day: int, stop: int) -> Int32s:
        tiles = np.zeros((self._users, TILE_DAYS, self._totals.shape[1]), np.int32)
        rows = slice(int(np.searchsorted(self._rows.days, day - TILE_DAYS + 1)), stop)
        ages = day - self._rows.days[rows]
        tiles[self._rows.users[rows], ages] = np.minimum(self._rows.units[rows], MAX_UNITS)
        return tiles

    def _calendars(self, day: int, stop: int) -> UInt64s:
        rows = slice(int(np.searchsorted(self._rows.days, day - CALENDAR_DAYS + 1)), stop)
        users, days = self._rows.users[rows], self._rows.days[rows]
        # A user who was forgotten since begins with the first activity after that.
        shown = self._rows.fed[rows, self._activity] & (days >= self._firsts[users, self._activity])
        return calendars_of(users[shown], day - days[shown], self._users)

    def next_activity(self, day: int, until_day: int) -> Int32s:
        """Return the first day of activity in [day, until_day) of each user, NEVER_YET without one."""
        start, stop = np.searchsorted(self._rows.days, [day, until_day])
        active = self._rows.fed[start:stop, self._activity]
        found = np.full(self._users, NEVER_YET, np.int32)
        np.minimum.at(found, self._rows.users[start:stop][active], self._rows.days[start:stop][active].astype(np.int32))
        return found


def _days_between(days: Int64s, start: int, stop: int) -> Iterator[tuple[int, int]]:
    bounds = [start, *(np.flatnonzero(np.diff(days[start:stop])) + start + 1).tolist(), stop]
    for first, last in pairwise(bounds):
        if last > first:
            yield first, last


@dataclass(frozen=True)
class Block:
    """Some users with all of their days; `rows` counts users from 0 in the order of `users`."""

    users: Sequence[str]
    observed_until: Int32s
    rows: DayRows


class Snapshots:
    """How a block of users becomes snapshots by one declaration, whichever engine reduced the events."""

    def __init__(self, declaration: Declaration, user_ttl_days: int = 0) -> None:
        self.layout, self._user_ttl_days = layout_of(declaration), user_ttl_days
        self._plan = FeaturePlan(self.layout)
        self._horizon_days = declaration.label.horizon_days
        self._activity = self.layout.counter(ACTIVITY_COUNTER)

    def of(self, block: Block, as_of_days: Sequence[int], sampling: Sampling = EVERYONE) -> Iterator[Snapshot]:
        """Yield the block at each midnight in the order of time."""
        history = History(self.layout, block.rows, len(block.users), self._user_ttl_days)
        hashes = np.array([_hash(user) for user in block.users] if sampling.share < 1.0 else [], dtype=np.uint64)
        for day in sorted(as_of_days):
            yield self._at(history, block, day, sampling, hashes)

    def _at(
        self, history: History, block: Block, day: int, sampling: Sampling, hashes: npt.NDArray[np.uint64]
    ) -> Snapshot:
        facts, horizon = history.facts(day), self._horizon_days
        last = facts.lasts[:, self._activity]
        population = labels.in_population(last, day, horizon) & ~labels.excluded(self.layout, facts.registers)
        known = labels.label_known(block.observed_until, day, horizon)
        churned = labels.churned(history.next_activity(day, day + horizon), day, horizon)
        wanted = population if sampling.population_only else history.seen
        if sampling.labelled_only:
            wanted = wanted & known
        if sampling.share < 1.0:
            wanted = wanted & (_mixed(hashes, day) < np.uint64(int(sampling.share * (HASH_SPAN - 2048))))
        chosen = np.flatnonzero(wanted)
        silent = np.where(last == NEVER, 0, day - last.astype(np.int64)).astype(np.int32)
        users = [block.users[i] for i in chosen.tolist()]
        matrix = self._plan.compute(_taken(facts, chosen))
        return Snapshot(day, users, matrix, population[chosen], known[chosen], churned[chosen], silent[chosen])


class DataSet:
    """Snapshots of an archive by one declaration; use as a context manager."""

    def __init__(
        self,
        declaration: Declaration,
        files: Sequence[Path],
        scratch: Path,
        user_ttl_days: int = 0,
        progress: Progress = lambda _: None,
        cache_dir: Path | None = None,
    ) -> None:
        """Read the archive's files once, or what `cache_dir` does not keep of them; raises DataError without any event."""
        self._snapshots, self._progress = Snapshots(declaration, user_ttl_days), progress
        cache = DayCache(cache_dir, self._snapshots.layout) if cache_dir else None
        self.counts = DayCounts(self._snapshots.layout, files, scratch, progress, cache=cache)

    def __enter__(self) -> "DataSet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.counts.close()

    def snapshot(self, as_of_day: int, sampling: Sampling = EVERYONE) -> Snapshot:
        """Return one snapshot of all users as one piece."""
        return joined(list(self.parts([as_of_day], sampling)))

    def parts(self, as_of_days: Sequence[int], sampling: Sampling = EVERYONE) -> Iterator[Snapshot]:
        """Yield snapshots block of users by block; within a block in the order of time."""
        users = self.counts.users
        for start, stop in self.counts.blocks(BLOCK_USERS):
            self._progress(f"{start:,} of {len(users):,} users at {len(as_of_days)} midnights")
            block = Block(users[start:stop], self.counts.observed_until[start:stop], self.counts.rows(start, stop))
            yield from self._snapshots.of(block, as_of_days, sampling)


def _taken(facts: UserFacts, users: npt.NDArray[np.intp]) -> UserFacts:
    return UserFacts(
        facts.active.take(users),
        facts.totals[users],
        facts.lasts[users],
        facts.firsts[users],
        facts.registers[users],
        facts.calendars[users],
        facts.day,
    )


def _hash(user: str) -> int:
    return int.from_bytes(blake2b(user.encode(), digest_size=8).digest(), "little")


def _mixed(hashes: npt.NDArray[np.uint64], day: int) -> npt.NDArray[np.uint64]:
    """Return a fresh hash per user and day (the finaliser of SplitMix64, Steele et al. 2014)."""
    mixed = hashes + np.array([day], np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)


def joined(parts: Sequence[Snapshot]) -> Snapshot:
    """Return the parts of one midnight as one snapshot."""
    return Snapshot(
        parts[0].as_of_day,
        [user for part in parts for user in part.users],
        np.concatenate([part.matrix for part in parts]),
        np.concatenate([part.population for part in parts]),
        np.concatenate([part.known for part in parts]),
        np.concatenate([part.churned for part in parts]),
        np.concatenate([part.silent_days for part in parts]),
    )
