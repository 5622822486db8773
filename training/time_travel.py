"""One user at one moment of the past, from the archive alone: which events were known then, and the vector of them.

Time here is the partition's own clock, the one that `as_of` of every block and score is read from. As of T the stream
knew what had arrived in the user's partition before the first event that took its clock past T, and nothing else:

* an event counts when it arrived before that one, however late; arrival is the order of offsets, not a time;
* an event dated before T that arrived after it does not count: the stream did not know of it yet;
* a midnight knows everything strictly before it, any other time the events of that microsecond too; an event of a
  midnight puts the clock a microsecond past it, and is first known as of then.

That finds the offset of every midnight that events crossed, and of the last emission up to T otherwise. It is not all:
between two events of a partition the wall clock may move a quiet one over a midnight, and late events may come after
(the emission of that midnight is without them), and one `as_of` may be emitted several times, as late events come in.
There the pair of `as_of` and `source_offset` of the block or score decides: give the offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb

from churn.declaration import Declaration
from churn.errors import InputError, UnknownUserError
from churn.layout import Floats
from churn.scores import from_us
from churn.time_travel import Moment, first_beyond
from feature_repo.archive import chain, files, segments
from training.day_counts import events_of
from training.past import Recomputer


@dataclass(frozen=True)
class Past:
    """A user at a moment.

    Attributes:
        vector: float32 [1, features].
        events: how many events of the user were known.
        archived_until: the archive holds every event of the partition below this offset.
        clock_us: event time of the newest event known then in the partition.
        complete: whether the archive holds all that was known then; if not, events on their way may change the answer.
    """

    moment: Moment
    vector: Floats
    events: int
    archived_until: int
    clock_us: int
    complete: bool


class TimeTravel:
    """Answers about the past of an archive; use as a context manager."""

    def __init__(self, declaration: Declaration, archive_dir: Path) -> None:
        """Look at what is there; raises DataError when a segment is missing."""
        self._files, self._segments = files(archive_dir), segments(archive_dir)
        self._recomputer = Recomputer(declaration)
        self._database = duckdb.connect()

    def __enter__(self) -> "TimeTravel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def vectors(self, moments: Sequence[Moment]) -> Floats:
        """Return float32 [moments, features]."""
        return self._recomputer.vectors(self._database, events_of(self._files), moments)

    def at(self, user: str, as_of_us: int, source_offset: int | None = None) -> Past:
        """Return what the stream said of a user as of a time; see the module for which offset that is.

        Raises:
            UnknownUserError: no event of the user is archived, or none was known then.
            InputError: below the offset lie events that take the clock past the time, so that the stream never emitted
                this pair.
        """
        partition = self._partition_of(user)
        until = chain([each for each in self._segments if each.partition == partition])[-1].end
        found = self._first_beyond(partition, as_of_us) if source_offset is None else source_offset
        offset, complete = (until, False) if found is None else (found, found <= until)
        moment = Moment(user, partition, as_of_us, offset)
        clock_us, events = self._known(moment)
        if clock_us >= first_beyond(as_of_us):
            raise InputError(
                f"below offset {offset} of partition {partition} lie events up to {from_us(clock_us)}: the stream stood"
                f" after {from_us(as_of_us)} by then; give the as_of and source_offset of one block or score"
            )
        if not events:
            raise UnknownUserError(
                f"user {user!r} has no event below offset {offset} of partition {partition}, so the stream did not know"
                f" the user as of {from_us(as_of_us)}"
            )
        events_there = events_of(self._files_of(partition))
        vector = self._recomputer.vectors(self._database, events_there, [moment])
        return Past(moment, vector, events, until, clock_us, complete)

    def _partition_of(self, user: str) -> int:
        found = self._rows('SELECT any_value("partition") FROM ({events}) WHERE user_id = ?', self._files, user)
        if not found or found[0] is None:
            raise UnknownUserError(
                f"user {user!r} is unknown to the archive: check the id, or wait until the archive worker has written"
            )
        return int(found[0])

    def _first_beyond(self, partition: int, as_of_us: int) -> int | None:
        query = 'SELECT min("offset") FROM ({events}) WHERE epoch_us(occurred_at) >= ?'
        (found,) = self._rows(query, self._files_of(partition), first_beyond(as_of_us))
        return None if found is None else int(found)

    def _known(self, moment: Moment) -> tuple[int, int]:
        """Return the partition's clock and how many events of the user were known."""
        query = """SELECT coalesce(epoch_us(max(occurred_at)), 0), count(*) FILTER (user_id = ?)
            FROM ({events}) WHERE "offset" < ?"""
        clock_us, events = self._rows(query, self._files_of(moment.partition), moment.user, moment.source_offset)
        return int(clock_us), int(events)

    def _files_of(self, partition: int) -> list[Path]:
        return [path for path in self._files if int(path.name.split("-", 1)[0]) == partition]

    def _rows(self, query: str, among: Sequence[Path], *values: object) -> tuple[Any, ...]:
        if not among:
            return ()
        return self._database.execute(query.format(events=events_of(among)), list(values)).fetchone() or ()
