"""The running stack of a simulated year: its first champion, and when every part of it has dealt with a day."""

import os
from datetime import datetime, timedelta

from churn.declaration import Declaration
from compose.demo import Demo
from compose.local import ROOT
from compose.registry_commands import steward_of
from compose.simulation.gauges import wait_reached
from feature_repo.declared import load as load_declaration
from training.plan import retraining

DECLARATION = "feature_repo/declarations/elearning.yaml"
SERVICES = ("features", "archive", "scorer", "learner", "keeper")
CANDIDATE = "logistic"
SETTINGS = {
    "CHURN_TIME_SOURCE": "events",
    # One partition: a midnight is over everywhere with the first event of a day.
    "CHURN_PARTITIONS": "1",
    # All candidates, searched, take a minute and a half; of a year's 60 trainings each takes 4 s.
    "CHURN_RETRAIN_CANDIDATES": CANDIDATE,
    "CHURN_TRAINER_LOADED": "true",
    "CHURN_EMIT_INTERVAL_MS": "20",
    "CHURN_CHECKPOINT_INTERVAL_MS": "5000",
    "CHURN_ARCHIVE_FLUSH_SECONDS": "1",
    # Nobody may be taken for dead because a training has both processors.
    "CHURN_SESSION_TIMEOUT_SECONDS": "60",
}
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
FIRST = "1"
"""The first champion: the registry numbers versions from 1."""
LEARNED, KEPT = "churn_learned_midnight_seconds", "churn_keeper_midnight_seconds"
UNPROVEN = "too few users for the gate to be sure; a year needs a first champion, and its successors must be no worse"
WHO, WHY = "simulation", "the first champion, never retrained, to compare with"


def variables() -> dict[str, str]:
    """Return the variables of every process of a simulated year.

    A training imports 4,300 modules. Where Python is told to keep no bytecode, it would compile them anew each week, 10 s of
    processor each time: it is kept in a folder of ours then.
    """
    kept = {NO_BYTECODE: "", "PYTHONPYCACHEPREFIX": str(ROOT / ".local" / "bytecode")}
    return {**SETTINGS, **(kept if os.environ.get(NO_BYTECODE) else {})}


class Stage:
    """What the simulated year asks of a stack that runs."""

    def __init__(self, demo: Demo) -> None:
        self._demo, self._settings = demo, demo.settings
        self._declaration: Declaration = load_declaration(demo.settings.declaration)
        self._steward = steward_of(demo.settings)

    def prepare(self) -> None:
        """Start every service."""
        self._demo.prepare(SERVICES)

    def train_first(self, last_midnight: datetime, now: datetime) -> str:
        """Train and promote the first champion as of simulated `now`, when all of the history is dealt with; return the report."""
        self._demo.wait_streamed(("features", "archive", "learner"))
        self._wait_kept(last_midnight)
        report = self._demo.stack.run("train", "--no-truth", "--now", now.isoformat(), *retraining(CANDIDATE).words)
        if self._steward.registry.champion() is None:
            self._steward.promote(FIRST, WHO, UNPROVEN, now, override=True)
        self._demo.stack.wait_ready("scorer")
        self._demo.wait_streamed(("scorer",))
        return report

    def challenge_with_first(self, now: datetime) -> None:
        """Let the first champion score everyone in shadow from now on."""
        self._steward.challenge(FIRST, 0.0, self._declaration, WHO, WHY, now)

    def wait_dealt_with(self, midnight: datetime) -> None:
        """Return once the learner has learnt the labels known at a midnight, and the keeper has done what it does then."""
        learnt = midnight - timedelta(days=self._declaration.label.horizon_days)
        wait_reached(self._demo.stack.url("learner"), LEARNED, learnt.timestamp(), self.check)
        self._wait_kept(midnight)

    def _wait_kept(self, midnight: datetime) -> None:
        # The keeper has not dealt with a midnight before the training that it began then has ended.
        wait_reached(self._demo.stack.url("keeper"), KEPT, midnight.timestamp(), self.check)

    def check(self) -> None:
        """Raise ChildDiedError for a part that has ended."""
        self._demo.stack.check()
