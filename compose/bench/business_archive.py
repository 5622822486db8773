"""The archive of a synthetic business without a stream: the files that the archive worker would have written."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from producers.synthetic.business import Day, SyntheticBusiness
from producers.synthetic.emission import KINDS, NONE
from producers.synthetic.encoding import MEASURES, user_id
from producers.synthetic.history import midnight_us
from producers.synthetic.law import PLANS
from producers.synthetic.truth import TruthFolder

TIMES = pa.timestamp("us", tz="UTC")
ARRIVES_AFTER_US = 1_000_000
Progress = Callable[[int, int, int], None]


def write_business(business: SyntheticBusiness, data_dir: Path, progress: Progress, truth: bool = False) -> None:
    """Write every day of the history below `data_dir`/archive, as one partition, and if wanted its truth beside it."""
    archive, offset, names = data_dir / "archive", 0, []
    truths = TruthFolder(data_dir / "truth")
    for day in business.days(truth):
        names.append(f"date={day.date.isoformat()}/0000.parquet")
        _write_day(archive / names[-1], day, offset)
        truths.write(day)
        offset += len(day.events)
        progress(day.number + 1, business.scenario.days, offset)
    marker = archive / "_segments" / f"0000-{0:012d}-{offset:012d}.json"
    marker.parent.mkdir(parents=True)
    marker.write_text(json.dumps({"files": names, "rows": offset}))


def _write_day(path: Path, day: Day, first_offset: int) -> None:
    events = day.events
    count, occurred = len(events), events.time_us + midnight_us(day)
    columns = {
        "partition": pa.array(np.zeros(count, np.int32)),
        "offset": pa.array(np.arange(first_offset, first_offset + count)),
        "event_id": pa.array([f"{day.number:x}-{place:x}" for place in range(count)]),
        "user_id": pa.array([user_id(number) for number in events.user.tolist()], pa.string()),
        "event_type": pa.array([KINDS[kind] for kind in events.kind.tolist()], pa.string()),
        "occurred_at": pa.array(occurred, TIMES),
        "arrived_at": pa.array(occurred + ARRIVES_AFTER_US, TIMES),
        **{f"measure_{measure}": _measured(day, measure) for measure in sorted(set(MEASURES.values()))},
        "attribute_plan": pa.array([PLANS[p] if p != NONE else None for p in events.plan.tolist()], pa.string()),
    }
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), path, compression="zstd")


def _measured(day: Day, measure: str) -> pa.Array:
    kinds = [kind for kind, name in MEASURES.items() if name == measure]
    return pa.array(day.events.value / 100, mask=~np.isin(day.events.kind, kinds))
