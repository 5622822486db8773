"""What matured labels say of the models that serve: drift of the outcome, a promise that is not kept, a promotion to take back.

A day of labels is judged when a later one has begun, or when nothing more of it has come for a moment.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec

from churn.blocks import OutcomeBlock
from churn.days import day_number, iso
from churn.layout import DAY_US
from churn.model import Model
from training.bootstrap import Interval, Measured
from training.loop.contest import KEPT_DAYS, Contest, Rows, difference, measured
from training.loop.finding import Finding
from training.loop.outcome_drift import OutcomeDrift, OutcomeState

QUIET_SECONDS = 1.0


@dataclass(frozen=True)
class MaturedPolicy:
    """When matured labels speak against a champion.

    Attributes:
        least_rows, least_churned: below them nothing is judged.
        confidence: of the difference to the former champion: it is looked at every day, so one look must seldom err.
        promise_margin: how far above the upper end of its hold-out's log loss the lower end on matured labels may be, as a
            share of it: seasons move the loss of the best model by some percent.
    """

    least_rows: int = 1000
    least_churned: int = 50
    confidence: float = 0.999
    promise_margin: float = 0.1


AS_STATED = MaturedPolicy()


class MaturedState(msgspec.Struct):
    """What must survive: where the kept rows begin, by partition; what the monitor knows; the last day that was judged."""

    starts: dict[int, int] = {}
    drift: OutcomeState = msgspec.field(default_factory=OutcomeState)
    judged_day: int = -1


@dataclass(frozen=True)
class Spoken:
    """What a day of labels says. `promise` is the evidence of a promise that is not kept, `worse` that of a rollback."""

    findings: list[Finding] = field(default_factory=list)
    promise: dict[str, Any] | None = None
    worse: dict[str, Any] | None = None
    measures: dict[str, Measured] = field(default_factory=dict)


class Matured:
    """Gathers outcomes, judges each day once."""

    def __init__(self, state: MaturedState, policy: MaturedPolicy = AS_STATED) -> None:
        self._policy, self.contest = policy, Contest()
        self._starts, self.judged_day = dict(state.starts), state.judged_day
        self._drift = OutcomeDrift(state=state.drift)
        self._began: dict[int, dict[int, int]] = {}
        self._came_at = 0.0
        self._passed_over = -1

    def state(self) -> MaturedState:
        """Return what must survive; after a restart the rows are read again."""
        return MaturedState(self._starts, self._drift.state(), self.judged_day)

    def starts(self, partitions: range) -> dict[int, int]:
        """Return from where to read."""
        return {partition: self._starts.get(partition, 0) for partition in partitions}

    def take(self, partition: int, offset: int, block: OutcomeBlock, at_seconds: float) -> None:
        """Take the next block of a partition."""
        if block.users and block.known_at_us // DAY_US > self._passed_over and self.contest.take(block):
            self._came_at = at_seconds
        began = self._began.setdefault(partition, {})
        began.setdefault(block.known_at_us // DAY_US, offset)
        for day in [day for day in began if day <= self.contest.last_day - KEPT_DAYS]:
            del began[day]
        self._starts[partition] = min(began.values(), default=offset)

    def due(self, midnight: int, ended: bool, at_seconds: float) -> int | None:
        """Return the day of labels to judge now; `ended`: the topic was read to its end; `midnight`: the keeper's."""
        days = sorted(day for day in self.contest.known_days if day > self.judged_day)
        if not days:
            return None
        later = len(days) > 1
        quiet = ended and midnight >= days[0] and at_seconds - self._came_at >= QUIET_SECONDS
        return days[0] if later or quiet else None

    def pass_over(self, day: int) -> None:
        """Judge nothing that became known on a day or before it, and keep none of what is still to come of it."""
        self._passed_over = day
        self.judged_day = max(self.judged_day, day)

    def judge(
        self, day: int, champion: "Contestant", others: dict[str, "Contestant"], promised: float | None
    ) -> Spoken:
        """Judge the labels that became known on a day; `others` by role, `previous` among them where there is one."""
        self.judged_day = day
        own = self.contest.rows([champion.version], champion.knows_until, only_known=day)
        findings = self._drift.day(day, own.churned, own.probability[champion.version]) if len(own) else []
        rows = self.contest.rows([champion.version], champion.knows_until, champion.since_day)
        return Spoken(
            findings,
            self._unkept(rows, champion, promised),
            self._worse(champion, others.get("previous")),
            self._measures(rows, champion, others),
        )

    def _enough(self, rows: Rows) -> bool:
        policy, churned = self._policy, int(rows.churned.sum())
        return rows.telling and len(rows) >= policy.least_rows and churned >= policy.least_churned

    def _unkept(self, rows: Rows, champion: "Contestant", promised: float | None) -> dict[str, Any] | None:
        if promised is None or not self._enough(rows):
            return None
        seen, bound = measured(rows, champion.version).log_loss, promised * (1 + self._policy.promise_margin)
        return (
            None if seen.low <= bound else {**_figures(seen), "promised": round(promised, 6), "bound": round(bound, 6)}
        )

    def _worse(self, champion: "Contestant", previous: "Contestant | None") -> dict[str, Any] | None:
        if previous is None or champion.returned:
            return None
        until, since = max(champion.knows_until, previous.knows_until), max(champion.since_day, previous.since_day)
        rows = self.contest.rows([champion.version, previous.version], until, since)
        if not self._enough(rows):
            return None
        found = difference(rows, champion.version, previous.version, self._policy.confidence)
        if found.low <= 0:
            return None
        return {
            **_figures(found),
            "rows": len(rows),
            "previous": previous.version,
            "confidence": self._policy.confidence,
        }

    def _measures(self, rows: Rows, champion: "Contestant", others: dict[str, "Contestant"]) -> dict[str, Measured]:
        found = {"champion": measured(rows, champion.version)} if rows.telling else {}
        for role, other in others.items():
            until, since = max(champion.knows_until, other.knows_until), champion.since_day
            both = self.contest.rows([champion.version, other.version], until, since)
            if both.telling:
                found[role] = measured(both, other.version)
        return found


@dataclass(frozen=True)
class Contestant:
    """A version as it is compared: the last midnight it learnt from, the day it first served, whether it has come back."""

    version: str
    knows_until: int
    since_day: int
    returned: bool = False


def contestant(model: Model, version: str, since_us: int, returned: bool = False) -> Contestant:
    """Return a version as it is compared."""
    until = model.trained.get("train_until")
    return Contestant(
        version, day_number(date.fromisoformat(str(until))) if until else -1, since_us // DAY_US, returned
    )


def _figures(found: Interval) -> dict[str, Any]:
    return {"log_loss": round(found.value, 6), "low": round(found.low, 6), "high": round(found.high, 6)}


def says_worse(day: int, worse: dict[str, Any]) -> str:
    """Say why a promotion is taken back."""
    return (
        f"on {worse['rows']:,} labels matured by {iso(day)} its log loss is {worse['log_loss']:+.4f} beside that of version"
        f" {worse['previous']}, {worse['confidence']:.1%} sure between {worse['low']:+.4f} and {worse['high']:+.4f}"
    )
