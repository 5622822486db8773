"""What the keeper makes of what it sees: alarms, causes of trainings, promotions to take back. No loop, no clock.

Findings of kind behaviour, score and outcome are alarms and causes of a training; those of kind quality are alarms that
hold a training back. Each is written down once.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from churn.declaration import Declaration
from churn.errors import ChurnError
from churn.fault_points import passing
from churn.layout import DAY_US
from churn.scores import from_us, to_us
from feature_repo.champion import Serving
from feature_repo.instruments import Instruments
from training.bootstrap import Measured
from training.card import CARD_FILE, read_card
from training.loop.drift import SCORE
from training.loop.finding import Finding
from training.loop.guarding import Guarding, Rollback, alarm_of
from training.loop.journal import Note
from training.loop.matured import Contestant, Matured, contestant, says_worse
from training.loop.midnights import Midnight
from training.loop.reference import REFERENCE_FILE
from training.loop.state import KeeperState, Served
from training.loop.triggers import Cause, Triggers
from training.loop.vectors import keep, kept
from training.loop.watch import Watch
from training.steward import Steward

log = structlog.get_logger(__name__)
ONLINE = "online"
MEASURES = ("log_loss", "auc", "ece")


class Care:
    """The monitors and the guard, and what follows from them; all that it knows is in the keeper's state."""

    def __init__(
        self,
        state: KeeperState,
        triggers: Triggers,
        steward: Steward,
        declaration: Declaration,
        archive_dir: Path,
        folder: Path,
        instruments: Instruments,
    ) -> None:
        self.state, self._triggers, self._registry = state, triggers, steward.registry
        self._folder, self._instruments, self._declaration = folder, instruments, declaration
        self.guarding = Guarding(steward)
        self.watch = Watch(declaration, archive_dir, self._reference, state.watch)
        self.matured = Matured(state.matured)
        self._vectors = kept(folder, declaration)
        self._serving: Serving | None = None
        self._known: dict[str, Contestant] = {}
        self._promised: dict[str, float | None] = {}
        self._begin_series()

    def _begin_series(self) -> None:
        """Known series begin at 0, measures of labels that are still to come at NaN."""
        for feature in self._declaration.feature_names:
            self._instruments.set("churn_keeper_psi", 0.0, feature=feature)
        for name in MEASURES:
            self._instruments.set(f"churn_keeper_{name}", float("nan"), role="champion", bound="value")

    def remember(self) -> None:
        """Put what the monitors know into the state."""
        self.state.watch, self.state.matured = self.watch.state(), self.matured.state()

    def _reference(self, version: str) -> str | None:
        try:
            return self._registry.text(version, REFERENCE_FILE)
        except ChurnError as error:
            log.warning("a version's training rows are not known", version=version, reason=str(error))
            return None

    # --- promotions ---

    def meet(self, serving: Serving | None) -> bool:
        """Note who serves; returns whether that is news."""
        self._serving = serving
        served = self.state.served
        if serving is None or (served is not None and served.champion.promotion == serving.champion.promotion):
            return False
        champion, first = serving.champion, self.state.first_served_us
        returned = champion.version in first
        since = first.setdefault(champion.version, to_us(champion.promoted_at))
        self.state.served = Served(champion, since, returned)
        self.state.first_served_us = dict(sorted(first.items(), key=lambda pair: pair[1])[-20:])
        return True

    @property
    def first_us(self) -> int | None:
        """When the first champion that the keeper knows of began to serve: what was before is history."""
        return min(self.state.first_served_us.values(), default=None)

    def guard(self, settled: bool, now_us: int) -> list[Note]:
        """Look at a promotion that was not looked at yet, as soon as there are vectors to look at it with.

        Those are of the last midnight before it, or a later one; of an earlier one only when `settled`: no other comes. A
        keeper that reads on would hold the champion against a midnight of long ago otherwise.
        """
        served, serving, vectors = self.state.served, self._serving, self._vectors
        if served is None or serving is None or served.guarded or vectors is None or not vectors.users:
            return []
        if vectors.day < to_us(served.champion.promoted_at) // DAY_US and not settled:
            return []
        served.guarded = True
        self._show_moved(self.watch.moved(vectors, serving.scorer))
        left = self.guarding.left(serving.scorer, vectors, served.returned)
        if not left:
            return []
        version = served.champion.version
        no_way = self._no_way_back(served, vectors)
        note = alarm_of(served.champion.promotion, version, left, vectors.day, no_way, now_us)
        self._instruments.count("churn_keeper_alarms", finding="score")
        if not no_way:
            self._take_back(served, "guard", note.reason)
        return [note]

    def _no_way_back(self, served: Served, vectors: Midnight | None) -> str:
        version = served.champion.version
        if served.returned:
            return "it has served before"
        if version in self.state.refused:
            return "it was taken back before, and a person has approved it since"
        return self.guarding.way_back(vectors)

    def _take_back(self, served: Served, cause: Any, reason: str) -> None:
        version = served.champion.version
        self.state.rollback = Rollback(served.champion.promotion, version, cause, reason)
        self.state.refused = [*self.state.refused, version][-100:]
        self._instruments.count("churn_keeper_rollbacks", cause=cause)

    def roll_back(self, now: datetime) -> bool:
        """Carry out a rollback that the saved state tells of; returns whether one was done."""
        rollback = self.state.rollback
        if rollback is None:
            return False
        passing("keeper.rollback_saved")
        if not self.guarding.carry_out(rollback, now):
            return False
        self.state.rollback = None
        return True

    # --- midnights and archived days ---

    def midnight(self, midnight: Midnight, now_us: int) -> list[Note]:
        """Look at a complete midnight, if it is one of those that a champion of ours has served."""
        self.state.midnight = midnight.day
        self.watch.expect(midnight)
        if midnight.users:
            self._vectors = keep(self._folder, midnight, self._declaration)
        first_us = self.first_us
        if self._serving is None or first_us is None or midnight.day * DAY_US < first_us or not midnight.users:
            return []
        seen, findings = self.watch.midnight(midnight, self._serving.scorer)
        self._show_moved(seen.psi | {SCORE: seen.score})
        return self._found(findings, now_us)

    def _show_moved(self, moved: Mapping[str, float]) -> None:
        for name, value in moved.items():
            if name == SCORE:
                self._instruments.set("churn_keeper_score_psi", value)
            else:
                self._instruments.set("churn_keeper_psi", value, feature=name)

    def archived(self, now_us: int) -> list[Note]:
        """Look at days that were archived meanwhile; before there is a champion they wait."""
        first_us = self.first_us
        return [] if first_us is None else self._found(self.watch.archived(first_us), now_us)

    def _found(self, findings: list[Finding], now_us: int) -> list[Note]:
        version = self.state.served.champion.version if self.state.served else ""
        for found in findings:
            self._instruments.count("churn_keeper_alarms", finding=found.kind)
            if found.kind == "quality":
                self._triggers.hold(now_us)
        causes = [_cause(found, now_us) for found in findings if found.kind != "quality"]
        self._triggers.want(causes)
        return [_alarm(found, version, now_us) for found in findings]

    # --- matured labels ---

    def labels(self, ended: bool, at_seconds: float, now_us: int) -> list[Note]:
        """Judge the next day of matured labels, if one is complete, and of a time in which a champion served."""
        served, serving, first_us = self.state.served, self._serving, self.first_us
        if served is None or serving is None or first_us is None:
            return []
        self.matured.pass_over((first_us - 1) // DAY_US)
        day = self.matured.due(self.state.midnight, ended, at_seconds)
        if day is None:
            return []
        version = served.champion.version
        champion = contestant(serving.scorer.model, version, served.since_us, served.returned)
        spoken = self.matured.judge(day, champion, self._others(serving), self._promise(version))
        self._show(spoken.measures)
        if spoken.promise is not None:
            reason = "matured labels tell that the champion foretells worse than its hold-out promised"
            self._triggers.want([Cause("performance", reason, spoken.promise, now_us)])
        notes = self._found(spoken.findings, now_us)
        if spoken.worse is not None and not (no_way := self._no_way_back(served, None)):
            reason = says_worse(day, spoken.worse)
            self._take_back(served, "outcome", reason)
            self._instruments.count("churn_keeper_alarms", finding="outcome")
            evidence = {"kind": "outcome", **spoken.worse}
            notes.append(Note(f"worse-{served.champion.promotion}", now_us, "alarm", version, reason, evidence))
        elif spoken.worse is not None:
            log.warning("the champion does worse than the former one and is not taken back", reason=no_way)
        return notes

    def _others(self, serving: Serving) -> dict[str, Contestant]:
        found = {ONLINE: Contestant(ONLINE, -1, -1)}
        previous = self._registry.previous
        if previous is not None and (known := self._contestant(previous)) is not None:
            found["previous"] = known
        for challenger, scorer in serving.challengers:
            found[f"challenger {challenger.version}"] = contestant(scorer.model, challenger.version, 0)
        return found

    def _contestant(self, version: str) -> Contestant | None:
        if version not in self._known:
            try:
                model = self._registry.model(version)
            except ChurnError:
                return None
            self._known[version] = contestant(model, version, self.state.first_served_us.get(version, 0))
        return self._known[version]

    def _promise(self, version: str) -> float | None:
        """Return the upper end of the log loss that the version's hold-out promised."""
        if version not in self._promised:
            try:
                text = self._registry.text(version, CARD_FILE)
            except ChurnError:  # it was announced past the registry
                text = None
            self._promised[version] = read_card(text).measures["log_loss"].high if text else None
        return self._promised[version]

    def _show(self, measures: Mapping[str, Measured]) -> None:
        for role, found in measures.items():
            for name in MEASURES:
                interval = getattr(found, name)
                for bound in ("value", "low", "high"):
                    self._instruments.set(f"churn_keeper_{name}", getattr(interval, bound), role=role, bound=bound)


def _cause(found: Finding, now_us: int) -> Cause:
    return Cause("drift", found.says, _evidence(found), now_us)


def _alarm(found: Finding, version: str, now_us: int) -> Note:
    name = "-".join(filter(None, (found.kind, found.what, str(found.day))))
    return Note(f"alarm-{name}", now_us, "alarm", version, found.says, _evidence(found))


def _evidence(found: Finding) -> dict[str, Any]:
    day = f"{from_us(found.day * DAY_US):%Y-%m-%d}"
    return {"kind": found.kind, "what": found.what, "day": day, "seen": found.seen, "bound": found.bound}
