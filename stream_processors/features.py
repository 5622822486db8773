"""The features role: events in, exact state and vectors out.

Order of effects, and why. For each partition, in this order and never another:

1. events are applied to the state in memory;
2. the vectors that changed go to the features topic and to the online store (idempotent: a repeat writes the same row);
3. when both are known to have arrived, one Kafka transaction writes the changed users, the dead letters and the
   partition's own record with the next source offset;
4. that offset is committed to the consumer group, for lag monitoring only: a restart starts from the record of step 3.

A kill before 3 replays the events since the last transaction onto the state of that transaction: the same counts, and
vectors emitted again. A kill after 3 replays nothing. A worker that lost its partition, frozen and woken, is refused by
the broker at 3 (its transactional id has a newer owner), by Redis at 2 (the fence), and by readers of blocks (epoch).
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import numpy as np
import structlog

from churn.admission import Admission, Refusal
from churn.blocks import BLOCK_USERS, FeatureBlock, LabelBlock, encode
from churn.declaration import Declaration
from churn.errors import OutageError
from churn.fault_points import passing
from churn.kafka_config import client_config
from churn.layout import layout_of
from churn.packing import Held, PartitionMeta, hold, pack
from churn.partition import Departures, Effect, Emission, Labels
from churn.records import Record, Records
from churn.scores import Champion
from churn.settings import Settings
from churn.topics import ACTIVITY, FEATURES, LABELS, MODELS
from feature_repo.champion import Record as NamedModels
from feature_repo.control import ModelsFollower
from feature_repo.instruments import Instruments
from feature_repo.online import OnlineWriter
from stream_processors.figures import Figures
from stream_processors.letters import DeadLetter, Ration, letter_of
from stream_processors.midnights import Midnights
from stream_processors.online_rows import OnlineRows
from stream_processors.outputs import Output
from stream_processors.owned import OwnedPartition
from stream_processors.restore import Restorer
from stream_processors.transport import Batch

RETRY_US = 1_000_000
"""A dependency that is away is asked again once a second, and so is Redis whether it still has its rows."""

BACKLOG_US = 500_000
"""A tick goes on for half a second while rows of a midnight are behind; a worker that is told to stop waits no longer."""

log = structlog.get_logger(__name__)
WallClock = Callable[[], int]


class FeaturesRole:
    """Owns partitions of the activity topic."""

    name = "features"
    round_seconds = 0.02

    def __init__(
        self,
        settings: Settings,
        declaration: Declaration,
        writer: OnlineWriter,
        instruments: Instruments,
        wall_us: WallClock,
    ) -> None:
        prefix, config = settings.topic_prefix, client_config(settings)
        self.topic = ACTIVITY.name(prefix)
        self._features_topic, self._labels_topic = FEATURES.name(prefix), LABELS.name(prefix)
        self._version = declaration.feature_set_version
        self._settings, self._instruments, self._wall_us = settings, instruments, wall_us
        self._by_wall = settings.time_source == "wall"
        self._figures = Figures(instruments)
        self._online = OnlineRows(writer, f"{prefix}:fence:", instruments, wall_us)
        self._admission = Admission(layout_of(declaration), settings.max_future_minutes * 60_000_000)
        self._output = Output(config)
        self._restorer = Restorer(settings, declaration, self._admission, wall_us)
        self._owned: dict[int, OwnedPartition] = {}
        self._parked: dict[int, OwnedPartition] = {}
        self._letters: dict[int, list[DeadLetter]] = {}
        self._rations: dict[int, Ration] = defaultdict(Ration)
        self._checkpoints: dict[int, asyncio.Task[None]] = {}
        self._midnights = Midnights(self._owned, self._take, self._figures.measure)
        self._problems: dict[str, str] = {}
        self._retry_online_us = self._verified_us = self._turn = 0
        self._split: list[tuple[str, float]] = []
        self._follower = ModelsFollower(config, MODELS.name(prefix), settings.model_name, self._on_models)
        self._follower.following.start()

    # --- partitions come and go ---

    async def acquire(self, partitions: Iterable[int], generation: int) -> Mapping[int, int]:
        """Load the state of new partitions; a partition kept over consecutive generations had no other owner."""
        wanted = list(partitions)
        await asyncio.to_thread(self._restorer.check_topics)
        kept = {p: o for p, o in self._parked.items() if p in wanted and o.generation == generation - 1}
        for number, dropped in self._parked.items():
            if number not in kept:
                dropped.changelog.close()
        self._parked = {}
        missing = [p for p in wanted if p not in kept and p not in self._owned]
        loaded = await asyncio.gather(*(asyncio.to_thread(self._restore, p, generation) for p in missing))
        for owned in loaded:
            # What was refused before a give-up is refused again by the replay: a letter kept from then would be a second.
            self._letters[owned.state.number] = []
            self._rations.pop(owned.state.number, None)
        for owned in [*kept.values(), *loaded]:
            owned.generation = generation
            self._adopt(owned)
        return {p: self._owned[p].read_offset for p in wanted}

    def _restore(self, number: int, generation: int) -> OwnedPartition:
        started_us = self._wall_us()
        owned = self._restorer.load(number, generation)
        self._instruments.set("churn_restore_seconds", (self._wall_us() - started_us) / 1e6, partition=str(number))
        return owned

    def _adopt(self, owned: OwnedPartition) -> None:
        number = owned.state.number
        self._owned[number] = owned
        self._letters.setdefault(number, [])
        self._figures.show(owned)
        self._announce(owned)

    def _announce(self, owned: OwnedPartition) -> None:
        """Send an empty block, so that readers refuse blocks of former owners from here on."""
        nobody, nothing = np.zeros(0, np.intp), np.zeros((0, 0), np.float32)
        self._send_features(
            owned, Emission("update", owned.state.clock.watermark_us, owned.read_offset, 0, nobody, nothing)
        )

    async def release(self, partitions: Iterable[int]) -> None:
        """Checkpoint and park; what cannot be saved is dropped and replayed by the next owner."""
        for number in [p for p in partitions if p in self._owned]:
            owned = self._owned.pop(number)
            await self._finish_checkpoint(number)
            try:
                for effect in owned.state.finish():
                    self._take(owned, effect)
                self._emit_updates(owned)
                await self._online.delete_departed(owned)
                await self._online.write(owned)
                await self._checkpoint(owned)
                self._parked[number] = owned
            except OutageError as error:
                log.warning("partition given up without a last checkpoint", partition=number, error=str(error))
                owned.changelog.close()
            self._figures.forget(number)

    # --- events ---

    async def process(self, partition: int, records: Sequence[Record], end_offset: int) -> None:
        """Apply a batch; vectors of midnights that it crosses are emitted on the way."""
        owned = self._owned.get(partition)
        if owned is None:
            return
        fresh = Records.of(records).since(owned.read_offset)
        if fresh:
            self._apply(owned, fresh, end_offset, records)
        await asyncio.sleep(0)

    def _apply(self, owned: OwnedPartition, records: Records, end_offset: int, batch: Sequence[Record]) -> None:
        admitted, refusals = self._admission.admit(records)
        if refusals:
            self._refuse(owned.state.number, refusals, batch)
        for effect in owned.state.ingest(admitted, records[-1].offset + 1, in_steps=True):
            self._take(owned, effect)
        self._midnights.go_on()
        owned.note(records, end_offset)
        passing("features.after_apply")
        self._instruments.observe("churn_batch_events", len(records))
        self._figures.measure(owned)

    def _refuse(self, number: int, refusals: Sequence[Refusal], batch: Sequence[Record]) -> None:
        headers = batch.headers() if isinstance(batch, Batch) else {}
        kept = self._rations[number].kept(refusals)
        self._letters[number] += [letter_of(self.topic, number, r, headers.get(r.record.offset, ())) for r in kept]
        self._instruments.count("churn_unkept_letters", len(refusals) - len(kept))
        for reason, count in Counter(refusal.reason for refusal in refusals).items():
            self._instruments.count("churn_dead_letters", count, reason=reason)

    # --- effects ---

    def _take(self, owned: OwnedPartition, effect: Effect) -> None:
        if isinstance(effect, Departures):
            owned.let_go(effect)
            self._send_departed(owned, effect.users)
        elif isinstance(effect, Labels):
            self._send_labels(owned, effect)
        else:
            self._send_features(owned, effect)

    def _send_features(self, owned: OwnedPartition, emission: Emission, for_model: str = "") -> None:
        state = owned.state
        owned.mark_stale(emission.slots, emission.changed, urgent=emission.kind == "update")
        for start in range(0, max(1, len(emission.slots)), BLOCK_USERS):
            slots = emission.slots[start : start + BLOCK_USERS]
            block = FeatureBlock(
                emission.kind, state.number, owned.epoch, emission.as_of_us, emission.source_offset, emission.arrived_us,
                self._version, state.names(slots), emission.matrix[start : start + BLOCK_USERS].tobytes(), for_model,
            )  # fmt: skip
            self._output.send(self._features_topic, None, encode(block), state.number)
        passing("features.after_send")
        if emission.arrived_us:
            owned.oldest_online_us = min(owned.oldest_online_us or emission.arrived_us, emission.arrived_us)
        self._instruments.count("churn_feature_rows", len(emission.slots), kind=emission.kind)

    def _send_departed(self, owned: OwnedPartition, users: list[str]) -> None:
        """Tell the scorer, behind all their vectors: its score of such a vector must not outlive the row."""
        state = owned.state
        for start in range(0, len(users), BLOCK_USERS):
            block = FeatureBlock(
                "update", state.number, owned.epoch, state.clock.watermark_us, state.next_offset, 0, self._version, [], b"",
                departed=users[start : start + BLOCK_USERS],
            )  # fmt: skip
            self._output.send(self._features_topic, None, encode(block), state.number)

    def _send_labels(self, owned: OwnedPartition, labels: Labels) -> None:
        state = owned.state
        for start in range(0, len(labels.slots), BLOCK_USERS):
            rows = slice(start, start + BLOCK_USERS)
            users, churned = state.names(labels.slots[rows]), labels.churned[rows].tobytes()
            block = LabelBlock(state.number, owned.epoch, labels.as_of_us, labels.known_at_us, users, churned)
            self._output.send(self._labels_topic, None, encode(block), state.number)

    def _emit_updates(self, owned: OwnedPartition) -> None:
        updates = owned.state.updates()
        if updates is not None:
            self._send_features(owned, updates)

    # --- time ---

    async def tick(self) -> None:
        """Move time on, emit, write the online store, start checkpoints that are due."""
        self._midnights.go_on()
        wall_us = self._wall_us()
        await self._pass(wall_us)
        # What nobody waits for goes on without the pause between two ticks, in which events have their turn all the same.
        while self._with_backlog() and self._wall_us() - wall_us < BACKLOG_US:
            await self._write_waiting(self._wall_us() + self._settings.emit_interval_ms * 1000)
            await self._pass(self._wall_us())

    def _with_backlog(self) -> list[OwnedPartition]:
        """Return whose rows are behind that nobody waits for, if the online store takes any now."""
        if self._wall_us() < self._retry_online_us:
            return []
        return [owned for owned in self._owned.values() if owned.emits_updates and owned.waiting]

    async def _write_waiting(self, until_us: int) -> None:
        """Write slice after slice, the partitions in turn, for as long as users with new events may wait."""
        while self._wall_us() < until_us and (behind := self._with_backlog()):
            self._turn += 1
            await self._try_online(self._online.write_waiting(behind[self._turn % len(behind)]))

    async def _pass(self, wall_us: int) -> None:
        for owned in list(self._owned.values()):
            self._pass_time(owned, wall_us)
        self._output.poll()
        verify = wall_us - self._verified_us >= RETRY_US
        if verify:
            self._verified_us = wall_us
        for owned in list(self._owned.values()):
            if (owned.emits_updates or owned.departed) and wall_us >= self._retry_online_us:
                await self._try_online(self._write_online(owned, verify))
            self._start_checkpoint(owned, wall_us)

    def _pass_time(self, owned: OwnedPartition, wall_us: int) -> None:
        if self._by_wall and owned.idle(wall_us) and not owned.state.rolling:
            for effect in owned.state.advance(wall_us, in_steps=True):
                self._take(owned, effect)
        if owned.refresh_for is not None and owned.emits_updates and not owned.state.rolling:
            promotion, owned.refresh_for = owned.refresh_for, None
            everyone = owned.state.refresh()
            if everyone is not None:
                self._send_features(owned, everyone, promotion)
        elif owned.emits_updates:
            self._emit_updates(owned)

    async def _write_online(self, owned: OwnedPartition, verify: bool) -> None:
        if verify:
            await self._online.verify(owned)
        await self._online.delete_departed(owned)
        if owned.emits_updates:
            await self._online.write(owned)

    async def _try_online(self, work: Awaitable[None]) -> None:
        try:
            await work
            self._problems.pop("online store", None)
        except OutageError as error:
            self._problems["online store"] = str(error)
            self._retry_online_us = self._wall_us() + RETRY_US

    # --- checkpoints ---

    def _start_checkpoint(self, owned: OwnedPartition, wall_us: int) -> None:
        number = owned.state.number
        running = self._checkpoints.get(number)
        if running is not None:
            if running.done():
                del self._checkpoints[number]
                running.result()
            return
        if owned.state.rolling:  # a restart from the far side of a midnight would never emit what was left of it
            return
        due = wall_us - owned.last_checkpoint_us >= self._settings.checkpoint_interval_ms * 1000
        # While the online store is behind in live traffic, its rows would be lost with a crash: wait for it.
        online_done = not (owned.emits_updates and owned.behind)
        if due and online_done and owned.state.next_offset > owned.saved_offset:
            owned.last_checkpoint_us = wall_us
            self._checkpoints[number] = asyncio.create_task(self._try_checkpoint(owned))

    async def _finish_checkpoint(self, number: int) -> None:
        running = self._checkpoints.pop(number, None)
        if running is not None:
            await running

    async def _try_checkpoint(self, owned: OwnedPartition) -> None:
        if owned.state.rolling:  # begun since the checkpoint was found due
            return
        try:
            await self._checkpoint(owned)
            self._problems.pop("checkpoint", None)
        except OutageError as error:
            if type(error) is not OutageError:  # fenced, or messages given up: only a fresh start helps
                raise
            self._problems["checkpoint"] = str(error)

    async def _checkpoint(self, owned: OwnedPartition) -> None:
        state, number = owned.state, owned.state.number
        if owned.emits_updates:
            # Events that came since the tick: were they saved with their vectors unsent, nobody would send them again.
            self._emit_updates(owned)
        slots, letters, forgotten = state.take_unsaved(), self._letters[number], owned.take_forgotten()
        self._letters[number] = []
        users, held = state.names(slots), hold(state.slab, slots)
        meta = PartitionMeta(
            self._version, self._settings.partitions, state.next_offset, state.clock.watermark_us, state.clock.arrived_us,
            owned.epoch, not owned.emits_updates, owned.rebuilt_below,
        )  # fmt: skip
        started_us = self._wall_us()
        try:
            await asyncio.to_thread(self._save, owned, users, held, meta, letters, forgotten)
        except OutageError:
            state.mark_unsaved(slots)
            owned.forgotten = forgotten + owned.forgotten
            self._letters[number] = letters + self._letters[number]
            raise
        owned.saved_offset = meta.next_offset
        self._instruments.observe("churn_checkpoint_seconds", (self._wall_us() - started_us) / 1e6)

    def _save(
        self,
        owned: OwnedPartition,
        users: list[str],
        held: Held,
        meta: PartitionMeta,
        letters: list[DeadLetter],
        forgotten: list[str],
    ) -> None:
        self._output.flush()
        passing("features.after_delivery")
        owned.changelog.write([*forgotten, *users], [*[None] * len(forgotten), *pack(held)], meta, letters)

    def committable(self) -> Mapping[int, int]:
        """Return the offsets below which every effect is durable."""
        return {number: owned.saved_offset for number, owned in self._owned.items() if owned.saved_offset}

    # --- surroundings ---

    def _on_models(self, named: list[NamedModels]) -> None:
        """Ask every partition to show everyone to the newest model, or to new arms; called on the follower's thread."""
        wanted = ""
        for record in named:
            if isinstance(record, Champion):
                wanted = record.promotion
            elif record.split != self._split:
                self._split, wanted = record.split, record.announcement
        for owned in list(self._owned.values()) if wanted else []:
            owned.refresh_for = wanted

    def not_ready(self) -> list[str]:
        """Return why the role cannot do its work."""
        reasons = [f"{what}: {why}" for what, why in self._problems.items()]
        return reasons if self._owned else ["no partition is assigned yet", *reasons]

    def close(self) -> None:
        """Let go of every connection."""
        self._follower.following.stop()
        for owned in [*self._owned.values(), *self._parked.values()]:
            owned.changelog.close()
        self._online.close()
