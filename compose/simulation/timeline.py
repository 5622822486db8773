"""What the loop did, day by day, from the audit log: alarms, triggers, trainings, promotions, rollbacks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from training.audit_log import AUDIT_FILE

SHOWN = (
    "alarm",
    "triggered",
    "registered",
    "gate_passed",
    "gate_failed",
    "training_failed",
    "gave_up",
    "promoted",
    "rolled_back",
    "challenged",
)
"""The steps of a timeline; the rest of the log is bookkeeping."""


class Line(msgspec.Struct, frozen=True):
    """What a line of the audit log tells a timeline."""

    step: str
    version: str
    reason: str
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Happening:
    """One step of the loop: the day of the year at whose first midnight it was taken, -1 before the year."""

    day: int
    step: str
    version: str
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def says(self) -> str:
        """Return the line of a timeline.

        >>> Happening(3, "promoted", "2", "passed the gate").says
        'day   3  promoted         2  passed the gate'
        """
        return f"day {self.day:>3}  {self.step:<15} {self.version:>2}  {self.reason}"


class Diary:
    """Reads the audit log as it grows: a step belongs to the day on which it appeared."""

    def __init__(self, models_dir: Path) -> None:
        self._path = models_dir / AUDIT_FILE
        self._read_bytes = 0

    def turn(self, day: int) -> list[Happening]:
        """Return the steps that were written since the last call, as those of a day; a line not ended yet is left."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as log:
            log.seek(self._read_bytes)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        lines = (msgspec.json.decode(line, type=Line) for line in whole.splitlines())
        return [
            Happening(day, line.step, line.version, line.reason, line.evidence) for line in lines if line.step in SHOWN
        ]


def champion_after(champion: str, happenings: Sequence[Happening]) -> str:
    """Return the version that serves after these steps.

    >>> champion_after("1", [Happening(0, "promoted", "2", ""), Happening(0, "alarm", "", "")])
    '2'
    """
    served = [each.version for each in happenings if each.step in ("promoted", "rolled_back")]
    return served[-1] if served else champion
