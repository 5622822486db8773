"""What the keeper has noticed and done, in the audit log: each note once, however often the keeper was killed.

A note is kept in the keeper's state, in the same write as the step that it tells of, until it stands in the log; one
that stands there already is known by its id.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from churn.scores import from_us
from training.audit_log import AuditLog, Step
from training.registry import Registry

KEEPER = "the keeper"


class Note(msgspec.Struct, frozen=True):
    """An entry to be: `id` names it for good, `at_us` is the keeper's time, `version` may be empty."""

    id: str
    at_us: int
    step: Step
    version: str
    reason: str
    evidence: dict[str, Any]
    who: str = KEEPER


class Journal:
    """Writes notes into the audit log of one model."""

    def __init__(self, log: AuditLog, registry: Registry) -> None:
        self._log, self._registry = log, registry

    def write(self, notes: Sequence[Note]) -> None:
        """Write those of the notes that do not stand there yet; all are on the disk when it returns."""
        if not notes:
            return
        with self._log.writing() as writing:
            written = {entry.evidence.get("id") for entry in writing.history.entries}
            for note in notes:
                if note.id not in written:
                    evidence = {"id": note.id, **note.evidence}
                    at = from_us(note.at_us)
                    writing.add(at, note.step, self._registry.name, note.version, note.who, note.reason, evidence)
            self._registry.keep_anchor(writing.head)
