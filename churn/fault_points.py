"""Named points between two effects at which a test has a process killed, exactly there; nothing happens at them otherwise.

A point that nobody armed costs one comparison, once per batch. What falls at a point is decided by whoever arms it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from churn.errors import DefectError, SettingsError

POINTS = {
    "features.after_apply": "events are in the state in memory, nothing has left the process",
    "features.after_send": "vectors are on their way to the features topic, not in the online store",
    "features.after_online": "vectors are in the online store, the checkpoint has not begun",
    "features.after_delivery": "vectors have arrived on the features topic, no transaction has begun",
    "features.transaction_begun": "the transaction is empty",
    "features.transaction_users": "changed users are in the open transaction, letters and position are not",
    "features.transaction_full": "everything is in the transaction, which is not committed",
    "features.transaction_committed": "the checkpoint is durable, nobody was told",
    "features.before_group_commit": "the group's offset is behind the checkpoint",
    "features.after_group_commit": "all effects are done",
    "archive.before_rename": "a file or marker is written under a name that no reader looks at",
    "archive.after_file": "a segment's file has its name, others and the marker are missing",
    "archive.before_marker": "all files of a segment are there, the marker is missing",
    "archive.after_marker": "the segment counts, its offset is not committed",
    "archive.before_group_commit": "the group's offset is behind the segments",
    "archive.after_group_commit": "all effects are done",
    "scorer.after_send": "scores of a block are on their way to the scores topic",
    "scorer.after_online": "scores are in the online store, their delivery is not known",
    "scorer.after_delivery": "scores have arrived on the topic, their block is not known as done",
    "scorer.before_group_commit": "the group's offset is behind the scores",
    "scorer.after_group_commit": "all effects are done",
    "learner.before_delivery": "outcomes are on their way, and the labels learnt in memory alone",
    "learner.before_snapshot": "outcomes have arrived, their labels are learnt in memory alone",
    "learner.before_rename": "the snapshot is written under a name that no reader looks at",
    "learner.after_snapshot": "the snapshot counts, the group's offset is behind it",
    "learner.after_group_commit": "all effects are done",
    "keeper.before_rename": "the keeper's state is written under a name that no reader looks at",
    "keeper.before_attempt": "a training is due, nobody was told and nothing is started",
    "keeper.attempt_saved": "the state tells of a training that is not started yet",
    "keeper.run_started": "a training runs, the keeper has not seen it begin",
    "keeper.run_ended": "a training has ended, its verdict is not in the state",
    "keeper.concluded": "a version that passed the gate serves, the state still waits for its training",
    "keeper.saved": "the state holds notes that are not in the audit log",
    "keeper.noted": "the audit log holds notes that the state still counts as waiting",
    "keeper.rollback_saved": "the state tells of a rollback that has not begun",
    "keeper.rolled_back": "the former model serves again, the version that it replaces is not rejected yet",
    "daily.scoring": "files of scores are being written where no reader looks",
    "daily.before_file": "a file of the day is whole, and not where readers look",
    "daily.after_file": "a file of the day has its name, others or the manifest are missing",
    "daily.before_manifest": "all files are there, the manifest still names those of the run before",
    "daily.after_manifest": "the manifest names the new files, the old ones are still there",
}
"""Every point, and how things stand at it."""


@dataclass
class _Armed:
    name: str
    passings_left: int
    fall: Callable[[], None]


_armed: _Armed | None = None


def arm(spec: str, fall: Callable[[], None]) -> None:
    """Have `fall` called at a passing of a point: `NAME` at the first, `NAME:3` at the third; empty: at none.

    Raises:
        SettingsError: no point is called so, or the number is none.
    """
    global _armed  # noqa: PLW0603  passed by code that knows nobody who could hold it
    name, _, number = spec.partition(":")
    if name and name not in POINTS:
        raise SettingsError(f"no fault point is called {name!r}; there are {', '.join(POINTS)}")
    if number and not (number.isascii() and number.isdigit() and int(number)):
        raise SettingsError(f"fault point {spec!r}: after the colon comes the number of the passing, 1 or more")
    _armed = _Armed(name, int(number or 1), fall) if name else None


def passing(name: str) -> None:
    """Fall here if the point is armed and this is the passing."""
    if _armed is not None:
        _pass_armed(_armed, name)


def _pass_armed(armed: _Armed, name: str) -> None:
    if name not in POINTS:
        raise DefectError(f"fault point {name!r} is not in the list of points")
    if name == armed.name:
        armed.passings_left -= 1
        if armed.passings_left == 0:
            armed.fall()
