"""Vectors of the past against everything that a stream emits on random histories, bit for bit."""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn.admission import Admitted
from churn.layout import DAY_US
from churn.partition import Emission, Partition
from churn.time_travel import Moment
from feature_repo.archive import files
from stream_processors.segments import SegmentWriter
from tests.churn.histories import ADMISSION, DECLARATION, LAYOUT, Happening, at, happenings, record
from training.day_counts import events_of
from training.past import Recomputer

Emitted = list[tuple[Moment, bytes]]


def late_and_repeated(history: Sequence[Happening], chance: random.Random) -> list[Happening]:
    """Return the history about in the order of time: some come late, by hours or weeks, some come twice."""
    delays = [0, 0, 0, 3_600_000_000, 40 * DAY_US]
    named = [Happening(h.user, h.kind, h.at_us, h.amount, h.plan, f"id{i}") for i, h in enumerate(history)]
    named += chance.sample(named, len(named) // 4)
    return sorted(named, key=lambda h: h.at_us + chance.choice(delays))


def streamed(history: Sequence[Happening], size: int, folder: Path) -> Emitted:
    """Return everything that is emitted of a history, which is archived as the archive role does."""
    partition, kept, found = Partition(LAYOUT, 0), list[Admitted](), list[Emission]()
    for start in range(0, len(history), size):
        part = [record(h, start + i, at(200)) for i, h in enumerate(history[start : start + size])]
        batch, _ = ADMISSION.admit(part)
        kept.append(batch)
        found += [e for e in partition.ingest(batch, start + len(part)) if isinstance(e, Emission)]
        found += [e for e in (partition.updates(),) if e is not None]
    everyone = partition.refresh()
    found += [everyone] if everyone else []
    _archive(kept, len(history), folder)
    return [
        (Moment(user, 0, e.as_of_us, e.source_offset), vector.tobytes())
        for e in found
        for user, vector in zip(partition.names(e.slots), e.matrix, strict=True)
    ]


def _archive(kept: Sequence[Admitted], end: int, folder: Path) -> None:
    whole = Admitted.joined(kept)
    _, firsts = np.unique([event.event_id for event in whole.events], return_index=True)
    SegmentWriter(folder, DECLARATION).write(0, 0, end, [whole.take(np.sort(firsts))])


@given(st.lists(happenings, min_size=1, max_size=40), st.randoms(use_true_random=False), st.integers(1, 9))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_the_archive_gives_every_emitted_vector_again(
    history: list[Happening], chance: random.Random, size: int
) -> None:
    with tempfile.TemporaryDirectory() as name, duckdb.connect() as database:
        emitted = streamed(late_and_repeated(history, chance), size, Path(name))
        moments = [moment for moment, _ in emitted]
        matrix = Recomputer(DECLARATION).vectors(database, events_of(files(Path(name))), moments)
        assert [vector.tobytes() for vector in matrix] == [vector for _, vector in emitted]
