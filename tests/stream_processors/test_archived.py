"""The archive read as a log gives the records that were accepted, and says what is missing."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from churn.admission import Admission, Admitted
from churn.errors import DataError
from churn.events import decode
from churn.layout import layout_of
from churn.records import Record
from churn.scores import to_us
from feature_repo.declared import load
from stream_processors.archived import archived
from stream_processors.segments import SegmentWriter
from tests.stream_processors.road import START, event

DECLARATION = load(Path("feature_repo/declarations/elearning.yaml"))
ADMISSION = Admission(layout_of(DECLARATION), 600_000_000)


def records(first: int, last: int) -> list[Record]:
    """Return events of three days in turn, with a declared and an undeclared measure and attribute."""
    found = []
    for n in range(first, last):
        user, value = event(
            f"u{n % 3}", "lesson_completed", START + timedelta(days=n % 3, microseconds=n), f"e{n}", 0.1 * n
        )
        content = json.loads(value) | {"attributes": {"plan": "pro", "colour": "blå"}}
        content["measures"]["depth"] = n / 7
        found.append(Record(n, to_us(START + timedelta(days=3)) + n, user.encode(), json.dumps(content).encode()))
    return found


def admitted(some: list[Record]) -> Admitted:
    passed, refused = ADMISSION.admit(some)
    assert refused == []
    return passed


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    writer = SegmentWriter(tmp_path, DECLARATION)
    writer.write(1, 0, 50, [admitted(records(0, 50))])
    writer.write(1, 50, 90, [admitted(records(50, 90))])
    return tmp_path


def test_records_come_back_in_the_order_of_their_offsets_with_every_field(archive: Path) -> None:
    found = [record for part in archived(archive, 1, 80) for record in part]
    wanted = records(0, 80)
    assert [(r.offset, r.arrived_us, r.key) for r in found] == [(r.offset, r.arrived_us, r.key) for r in wanted]
    assert [decode(r.value or b"") for r in found] == [decode(r.value or b"") for r in wanted]
    assert np.array_equal(admitted(found).measures["minutes"], admitted(wanted).measures["minutes"])


@pytest.mark.parametrize(
    ("partition", "below", "missing"), [(1, 91, "from offset 90 to 91"), (2, 5, "from offset 0 to 5")]
)
def test_what_is_in_neither_place_is_named(archive: Path, partition: int, below: int, missing: str) -> None:
    with pytest.raises(DataError, match=missing):
        list(archived(archive, partition, below))


def test_an_archive_that_begins_late_is_refused(tmp_path: Path) -> None:
    SegmentWriter(tmp_path, DECLARATION).write(1, 50, 90, [admitted(records(50, 90))])
    with pytest.raises(DataError, match="partition 1 before offset 50 are neither"):
        list(archived(tmp_path, 1, 80))
