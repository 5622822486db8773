"""From a decided training to its verdict: starts the run, finds it again after a kill, concludes what became of it.

The run registers its version under the run's name, so that the registry tells, whatever happened to the processes:
nothing registered means that the attempt failed, a version that passed the gate and does not serve yet is promoted, and
one that serves though the run did not come to its end is announced once more.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog

from churn.errors import ChurnError, OutageError
from churn.fault_points import passing
from churn.scores import from_us
from training.loop.guarding import RETRY_SECONDS
from training.loop.journal import KEEPER, Note
from training.loop.runs import Ended, Order, Runs
from training.loop.triggers import Attempt, Ending, Triggers
from training.obstacles import PASSED, Approval, obstacle
from training.registry import Registry
from training.steward import GATE, SERVED, Steward

log = structlog.get_logger(__name__)


class Retraining:
    """Carries out what the triggers decide."""

    def __init__(
        self, triggers: Triggers, runs: Runs, steward: Steward, approval: Approval, save: Callable[[], None]
    ) -> None:
        """`save` makes the triggers' state durable."""
        self._triggers, self._runs, self._steward = triggers, runs, steward
        self._approval, self._save = approval, save
        self._wait_until = float("-inf")
        self.problem = ""
        """Why a training that has ended cannot be concluded just now; empty when none waits."""

    @property
    def _registry(self) -> Registry:
        return self._steward.registry

    @property
    def attempt(self) -> Attempt | None:
        """Return the run that was begun and has not been concluded."""
        return self._triggers.state.attempt

    def go_on(self, since_us: int | None, now_us: int) -> tuple[Ending, list[Note]] | None:
        """Start what is due, or conclude what has ended; returns how it ended and what to write down."""
        if self.attempt is not None:
            return None if self._runs.going_on() else self._conclude(self.attempt, now_us)
        # One that somebody started before is waited for: it is the same work, and two would share the machine.
        if not self._runs.going_on() and (attempt := self._triggers.begin(since_us, now_us)) is not None:
            self._start(attempt)
        return None

    def _start(self, attempt: Attempt) -> None:
        passing("keeper.before_attempt")
        self._save()
        passing("keeper.attempt_saved")
        cause = attempt.cause
        figures = self._runs.figures(attempt.run)
        order = Order(attempt.run, cause.who, f"{cause.why}: {cause.reason}", from_us(attempt.at_us), figures)
        if not self._runs.start(order):
            log.warning("another training is going on", run=attempt.run)

    def _conclude(self, attempt: Attempt, now_us: int) -> tuple[Ending, list[Note]] | None:
        if time.monotonic() < self._wait_until:
            return None
        ended = self._runs.ended(attempt.run)
        passing("keeper.run_ended")
        try:
            ending, evidence = self._became(attempt, ended, from_us(now_us))
        except OutageError as error:
            # It is champion in the registry, and Kafka does not know: told again until it does, and not trained again.
            self.problem, self._wait_until = str(error), time.monotonic() + RETRY_SECONDS
            return None
        self.problem = ""
        passing("keeper.concluded")
        return ending, self._triggers.ended(ending, now_us, evidence)

    def _became(self, attempt: Attempt, ended: Ended, now: datetime) -> tuple[Ending, dict[str, Any]]:
        version = self._registry.of_run(attempt.run)
        if version is None:
            return "failed", {"says": ended.says, "code": ended.code, "output": ended.tail}
        facts = self._registry.facts(version)
        if facts.get("gate") != PASSED:
            return "kept", {"version": version}
        history = self._steward.history().entries
        if any(entry.version == version and entry.step in SERVED for entry in history):
            self._tell(version, ended, now)
            return "promoted", {"version": version}
        if obstacle(facts, version, self._approval, override=False):
            return "waiting", {"version": version}
        return self._promoted_late(version, attempt, now)

    def _tell(self, version: str, ended: Ended, now: datetime) -> None:
        """Announce a champion anew whose run was cut off, or found Kafka away, before all had been told."""
        champion = self._registry.champion()
        if ended.figures.get("promoted") is not True and champion is not None and champion.version == version:
            self._steward.announce_again(KEEPER, now)

    def _promoted_late(self, version: str, attempt: Attempt, now: datetime) -> tuple[Ending, dict[str, Any]]:
        """The run was killed between registering and promoting: its last step is taken here."""
        reason = f"passed the gate in {attempt.run}, which was cut off before it could promote"
        try:
            self._steward.promote(version, GATE, reason, now)
        except OutageError:
            raise
        except ChurnError as error:
            log.error("a version that passed the gate was not promoted", version=version, error=str(error))
            return "failed", {
                "says": f"version {version} passed the gate and was not promoted: {error}",
                "version": version,
            }
        return "promoted", {"version": version}
