"""What the stream makes of a small load, for programs that claim to make the same of it."""

from typing import NamedTuple

from churn.admission import Admission
from churn.layout import DAY_US, Floats, layout_of
from churn.partition import Partition
from churn.records import Record
from compose.bench.load import events
from feature_repo.declared import load

NOW_US = 20_000 * DAY_US + 12 * 3_600_000_000
LAYOUT = layout_of(load("feature_repo/declarations/elearning.yaml"))


class Answers(NamedTuple):
    """Events as (user, value), and the stream's vector of every user after the last of them."""

    events: list[tuple[str, bytes]]
    users: list[str]
    features: tuple[str, ...]
    matrix: Floats


def stream_answers() -> Answers:
    """Return 400 events of 20 users over 40 days, most of them of few users, and the stream's answers."""
    made = list(events("skewed", 20, 400, NOW_US - 40 * DAY_US, NOW_US))
    partition = Partition(LAYOUT, 0)
    records = [Record(number, NOW_US, user.encode(), value) for number, (user, value) in enumerate(made)]
    list(partition.ingest(Admission(LAYOUT, 0).admit(records)[0], len(records)))
    everyone = partition.refresh()
    assert everyone is not None
    return Answers(made, partition.names(everyone.slots), tuple(partition.plan.names), everyone.matrix)
