"""The keeper process: follows midnights, matured outcomes and promotions, and sees to it that the models stay good.

Every turn reads a little, then decides by the time that events tell (and, where the wall clock moves time, that one).
What it decides is saved before it is done, and everything that it does can be found done already after a kill.
"""

import os
import threading
import time
from collections.abc import Callable

import structlog

from churn.blocks import FeatureBlock, decode_features, decode_outcomes
from churn.declaration import Declaration
from churn.errors import DefectError, OutageError
from churn.fault_points import passing
from churn.kafka_config import client_config
from churn.layout import DAY_US
from churn.population import Population
from churn.scores import from_us
from churn.settings import Settings
from churn.topics import FEATURES, MODELS, OUTCOMES
from feature_repo.champion import ServingModel
from feature_repo.control import ModelsFollower, serve_champions
from feature_repo.instruments import Instruments
from training.audit_log import AuditLog
from training.block_reader import FULL_BYTES, BlockReader
from training.loop.care import Care
from training.loop.journal import Journal, Note
from training.loop.midnights import Midnight, Midnights
from training.loop.presence import take
from training.loop.requests import asked, done
from training.loop.retraining import Retraining
from training.loop.runs import Begin, Command, Runs, begin_process
from training.loop.state import load, save
from training.loop.triggers import AS_STATED, TriggerPolicy, Triggers
from training.steward import Steward

WAIT_SECONDS = 0.05
SAVE_SECONDS = 5.0
LOOK_SECONDS = 0.25
AHEAD_DAYS = 3
"""A partition that is so many midnights ahead of the others is paused."""
RETRY_SECONDS = 1.0
HEAR_SECONDS = 0.1

log = structlog.get_logger(__name__)


class Keeper:
    """Watches, decides, acts, remembers."""

    def __init__(
        self,
        settings: Settings,
        declaration: Declaration,
        instruments: Instruments,
        steward: Steward,
        command: Command,
        wall_us: Callable[[], int],
        policy: TriggerPolicy = AS_STATED,
        begin: Begin = begin_process,
    ) -> None:
        """Go on from the saved state; connects when it runs.

        Raises:
            DataError: the state is of another version of this program, or damaged.
        """
        self._settings, self._declaration, self.instruments = settings, declaration, instruments
        self._steward, self._wall_us = steward, wall_us
        self.folder = settings.models_dir / "keeper"
        self.state = load(self.folder, declaration.feature_set_version)
        self._version, self._width = declaration.feature_set_version, len(declaration.feature_names)
        self.triggers = Triggers(policy, self.state.triggers)
        self._runs = Runs(self.folder / "runs", command, begin=begin)
        self._retraining = Retraining(self.triggers, self._runs, steward, settings.model_approval, self._save)
        self._journal = Journal(AuditLog(settings.models_dir), steward.registry)
        self._serving = ServingModel(settings.models_dir, declaration, instruments)
        self._begin()
        self._readers: tuple[BlockReader, ...] = ()
        self._problem = "the keeper has not begun yet"
        self._saved_at = self._looked_at = float("-inf")
        self._dirty = False

    def _begin(self) -> None:
        """Go on from the state: midnights that were open are read again, and so are the rows of matured labels."""
        state, settings = self.state, self._settings
        self.triggers.state = state.triggers
        population, partitions = Population(self._declaration), range(settings.partitions)
        self._midnights = Midnights(population, self._version, partitions, state.midnight, state.places)
        self._midnights.clock_us = state.clock_us
        self._next = {p: place.offset for p, place in self._midnights.places.items()}
        self.care = Care(
            state, self.triggers, self._steward, self._declaration, settings.archive_dir, self.folder, self.instruments
        )

    # --- the process ---

    def run(self, stop: threading.Event) -> None:
        """Keep until told to stop; a training that it started is ended with it.

        That attempt counts as failed, and the next one follows an hour later.

        Raises:
            OutageError: its folder cannot be written; the next start goes on from the state.
        """
        try:
            self._run(stop)
        except OSError as error:
            where = error.filename or self.folder
            raise OutageError(
                f"{where}: {error.strerror or error}; the keeper ends, and goes on where it was when it is started again:"
                " see to the space and the rights of that folder"
            ) from error

    def _run(self, stop: threading.Event) -> None:
        lock = self._alone(stop)
        if lock is None:
            return
        config, prefix = client_config(self._settings), self._settings.topic_prefix
        follower = serve_champions(config, MODELS.name(prefix), self._settings.model_name, self._serving)
        features = BlockReader(config, FEATURES.name(prefix), f"{prefix}-keeper", self._next)
        starts = self.care.matured.starts(range(self._settings.partitions))
        outcomes = BlockReader(config, OUTCOMES.name(prefix), f"{prefix}-keeper", starts)
        self._readers = (features, outcomes)
        follower.following.start()
        try:
            self._hear(follower, stop)
            while not stop.is_set():
                self._turn(features, outcomes)
            self._save()
        finally:
            # After an error nothing is saved: what was decided in that turn has no note in the state yet.
            self._runs.stop()
            follower.following.stop()
            features.close()
            outcomes.close()
            os.close(lock)

    def _hear(self, follower: ModelsFollower, stop: threading.Event) -> None:
        """Wait until it is known who serves: midnights that are read before would be taken for history."""
        self._problem = "the models topic was not read to its end yet"
        while not stop.is_set() and not follower.wait_current(HEAR_SECONDS):
            pass
        self._problem = ""

    def _alone(self, stop: threading.Event) -> int | None:
        """Wait until no other keeper works on these models; returns the lock, None when told to stop meanwhile."""
        while not stop.is_set():
            lock = take(self.folder)
            if lock is not None:
                self._resume()
                return lock
            self._problem = f"another keeper works on {self.folder}; this one goes on when that one ends"
            stop.wait(RETRY_SECONDS)
        return None

    def _resume(self) -> None:
        """Take up what the keeper before has left, who may have worked on while this one waited."""
        self.state = load(self.folder, self._version)
        self._begin()
        # MLflow takes seconds to import: not while a promotion waits for its guard.
        log.info("the keeper begins", previous=self._steward.registry.previous, midnight=self.state.midnight)
        self._write_notes()
        self._show()

    def _turn(self, features: BlockReader, outcomes: BlockReader) -> None:
        read = features.read(self._take, 0.0) + outcomes.read(self._take_outcomes, 0.0)
        self._hold(features)
        ended = [p for p in self._midnights.places if features.ended(p)]
        midnight = self._midnights.next(ended, time.monotonic())
        now_us, settled = self.now_us(), self._midnights.settled(ended, time.monotonic())
        if now_us:
            self._see(midnight, settled, all(outcomes.ended(p) for p in self._midnights.places), now_us)
        if midnight is not None or time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._look(features)
        if not read and midnight is None:
            features.read(self._take, WAIT_SECONDS)

    def _hold(self, features: BlockReader) -> None:
        for partition, days in self._midnights.ahead().items():
            features.hold(partition, FULL_BYTES if days > AHEAD_DAYS else 0)

    def _see(self, midnight: Midnight | None, settled: bool, outcomes_ended: bool, now_us: int) -> None:
        """Look at what is new, a promotion first; save, write down and carry out what follows."""
        news = self.care.meet(self._serving.serving)
        if (first_us := self.care.first_us) is not None:
            self._midnights.wanted_day = first_us // DAY_US
        notes = self.care.midnight(midnight, now_us) if midnight is not None else []
        guarded = self._guarded
        notes += self.care.guard(settled, now_us)
        notes += self.care.labels(outcomes_ended, time.monotonic(), now_us)
        if notes or news:
            self.note(notes)
        self._dirty = self._dirty or midnight is not None or self._guarded != guarded
        if self.state.rollback is not None and self.care.roll_back(from_us(now_us)):
            self._save()

    # --- what comes in ---

    def _take(self, partition: int, offset: int, value: bytes) -> None:
        block = decode_features(value)
        if block.feature_set_version == self._version:
            _check(block, self._width)
        self._next[partition] = offset + 1
        self._midnights.take(partition, offset, block, time.monotonic())
        self._dirty = True

    def now_us(self) -> int:
        """Return the keeper's time: what events told, moved on by the wall clock unless events alone move time."""
        told = self._midnights.clock_us
        return max(told, self._wall_us()) if self._settings.time_source == "wall" else told

    def _take_outcomes(self, partition: int, offset: int, value: bytes) -> None:
        self.care.matured.take(partition, offset, decode_outcomes(value), time.monotonic())
        self._dirty = True

    # --- what is done ---

    def _look(self, reader: BlockReader) -> None:
        """Decide, act, remember."""
        now_us, folder = self.now_us(), self.folder / "requests"
        if not now_us:
            return
        wishes, waiting = asked(folder), self.care.watch.waiting
        self.triggers.want(wishes)
        notes = [*self.care.archived(now_us), *self.triggers.decide(self._since_us, now_us)]
        self._dirty = self._dirty or self.care.watch.waiting != waiting
        if notes or wishes:
            self.note(notes)
        for wish in wishes:
            done(folder, wish.key)
        concluded = self._retraining.go_on(self._since_us, now_us)
        if concluded is not None:
            ending, written = concluded
            self.instruments.count("churn_keeper_trainings", ending=ending)
            self.note(written)
        self._show()
        if self._dirty and time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self._save()
            reader.commit(self._next)

    @property
    def _guarded(self) -> bool:
        return self.state.served is not None and self.state.served.guarded

    @property
    def _since_us(self) -> int | None:
        return self.state.served.since_us if self.state.served else None

    def note(self, notes: list[Note]) -> None:
        """Remember the state with these notes, then write them down."""
        self.state.notes = [*self.state.notes, *notes]
        self._save()
        self._write_notes()

    def _write_notes(self) -> None:
        if not self.state.notes:
            return
        passing("keeper.saved")
        self._journal.write(self.state.notes)
        passing("keeper.noted")
        self.state.notes = []
        self._save()

    def _save(self) -> None:
        state = self.state
        state.places = self._midnights.resume(self._next)
        state.clock_us, state.triggers = self._midnights.clock_us, self.triggers.state
        self.care.remember()
        save(self.folder, state)
        self._saved_at, self._dirty = time.monotonic(), False

    def _show(self) -> None:
        state, since = self.triggers.state, self._since_us
        self.instruments.set("churn_keeper_busy", float(state.attempt is not None or state.chosen is not None))
        if state.attempt is None and self.state.midnight >= 0:
            self.instruments.set("churn_keeper_midnight_seconds", self.state.midnight * DAY_US / 1e6)
        self.instruments.set("churn_keeper_gave_up", float(state.gave_up))
        self.instruments.set("churn_keeper_clock_seconds", self.now_us() / 1e6)
        if since is not None:
            self.instruments.set("churn_keeper_champion_age_days", self.triggers.age_days(since, self.now_us()))

    def not_ready(self) -> list[str]:
        """Return why the keeper cannot do its work."""
        reading = [reader.problem for reader in self._readers]
        found = [self._problem, *reading, self.care.watch.problem, self.care.guarding.problem, self._retraining.problem]
        return [problem for problem in found if problem]


def _check(block: FeatureBlock, width: int) -> None:
    if len(block.values) != len(block.users) * width * 4:
        raise DefectError(f"a block of {len(block.users)} users x {width} features has {len(block.values)} bytes")
