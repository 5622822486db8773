"""Times of the past around a midnight: which events were known then."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from churn.errors import InputError
from tests.churn.histories import DECLARATION, Happening, at
from tests.training.emitted import stream
from training.time_travel import TimeTravel

READS = DECLARATION.feature_names.index("reads_30d")


@pytest.fixture
def travel(tmp_path: Path) -> Iterator[TimeTravel]:
    """Return the past of a user who read on a day, at the midnight that ended it, and on the day after."""
    history = [Happening("ann", "read", at_us, 1.0) for at_us in (at(0, 9), at(1), at(1, 9))]
    stream(history, 1).archive(tmp_path)
    with TimeTravel(DECLARATION, tmp_path) as found:
        yield found


def test_a_midnight_is_without_the_event_of_that_microsecond(travel: TimeTravel) -> None:
    past = travel.at("ann", at(1))
    assert (past.moment.source_offset, past.events, past.vector[0, READS]) == (1, 1, 1.0)


def test_the_microsecond_after_knows_it(travel: TimeTravel) -> None:
    past = travel.at("ann", at(1) + 1)
    assert (past.moment.source_offset, past.events, past.vector[0, READS]) == (2, 2, 2.0)


def test_a_midnight_with_the_offset_behind_its_event_was_never_emitted(travel: TimeTravel) -> None:
    with pytest.raises(InputError, match="give the as_of and source_offset of one block or score"):
        travel.at("ann", at(1), 2)
