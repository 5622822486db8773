"""The scorer role: vectors in, scores with reasons out, to the scores topic and the online store.

A block is scored by one set of models as a whole: the champion, or where the users are split the challenger in whose share
a user is, gives the user's score; what each challenger says of everyone goes to the shadow topic. Effects come before the commit: scores delivered and online rows
written, then the offset; a kill in between scores the same vectors again, and readers keep one score per user and as_of
(churn.scores.Score says which). A worker that lost its partition, frozen and woken, is refused by Redis: its rows carry
the time at which it got the partition, and those of a later owner stand there already. What it still sends to the topic
is what its next owner says of the same vectors, or is dropped by readers as that of an older model.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import numpy as np
import structlog

from churn.blocks import FeatureBlock, ShadowBlock, decode_features
from churn.blocks import encode as encode_block
from churn.declaration import Declaration
from churn.errors import ChurnError, OutageError
from churn.fault_points import passing
from churn.kafka_config import client_config
from churn.model import Float64s, Scored
from churn.population import activity_teller
from churn.reasons import Explainer
from churn.records import Record
from churn.scores import BANDS, Score, band_codes, encode, from_us
from churn.settings import Settings
from churn.topics import FEATURES, MODELS, SCORES, SHADOW
from feature_repo.champion import Answering, Serving, ServingModel
from feature_repo.control import serve_champions
from feature_repo.instruments import Instruments
from feature_repo.online import OnlineWriter
from stream_processors.online_scores import PendingScores, Turn
from stream_processors.outputs import Output

MODEL_WAIT_SECONDS = 10.0
PATIENCE_SECONDS = 1.0
"""How soon a scorer that waits for a model sees that its partition was given up."""
COMMIT_US = 1_000_000
RETRY_US = 1_000_000

log = structlog.get_logger(__name__)


class ScorerRole:
    """Owns partitions of the features topic."""

    name = "scorer"
    round_seconds = 0.01

    def __init__(
        self,
        settings: Settings,
        declaration: Declaration,
        writer: OnlineWriter,
        instruments: Instruments,
        wall_us: Callable[[], int],
    ) -> None:
        prefix, config = settings.topic_prefix, client_config(settings)
        self.topic, self._scores_topic, self._shadow_topic = (each.name(prefix) for each in (FEATURES, SCORES, SHADOW))
        self._settings, self._instruments, self._wall_us = settings, instruments, wall_us
        self._version = declaration.feature_set_version
        self._explainer = Explainer(declaration)
        self._active = activity_teller(declaration)
        self._writer = writer
        self._output = Output(config)
        self._fence = f"{prefix}:fence:scores:"
        self._turns: dict[int, Turn] = {}
        self._positions: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._durable: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._problems: dict[str, str] = {}
        self._settling: asyncio.Task[None] | None = None
        self._settled_us = self._retry_online_us = 0
        # In turn: a write of older scores that is still under way must not end after one of newer scores.
        self._online_turn = asyncio.Lock()
        self.model = ServingModel(settings.models_dir, declaration, instruments)
        self._follower = serve_champions(config, MODELS.name(prefix), settings.model_name, self.model)
        self._follower.following.start()

    async def acquire(self, partitions: Iterable[int], generation: int) -> Mapping[int, int]:
        """Start at the committed offsets; blocks wait until the present champion is known."""
        wanted = set(partitions)
        self._turns = {p: self._turns.get(p) or self._new_turn(p) for p in wanted}
        self._positions = {p: o for p, o in self._positions.items() if p in wanted}
        self._durable = {p: o for p, o in self._durable.items() if p in wanted}
        return {}

    def _new_turn(self, number: int) -> Turn:
        # Later owners come later: their rows are not overwritten by those of a worker that was frozen meanwhile.
        return Turn((f"{self._fence}{number}", self._wall_us()))

    async def release(self, partitions: Iterable[int]) -> None:
        """Deliver and write what these partitions have brought; what cannot be is dropped and scored by the next owner."""
        try:
            await self._settle()
        except ChurnError as error:
            log.warning("partitions given up before their scores were delivered", error=str(error))
        for number in partitions:
            self._turns.pop(number, None)
            self._positions.pop(number, None)
            self._ends.pop(number, None)
            self._instruments.forget("churn_consumer_lag_records", partition=str(number))

    async def process(self, partition: int, records: Sequence[Record], end_offset: int) -> None:
        """Score the blocks of a batch."""
        for record in records:
            block = decode_features(record.value or b"")
            await self._know_model(partition, block.for_model)
            if partition not in self._turns:  # given up meanwhile: its next owner scores these again
                return
            self._take(partition, block)
            await asyncio.sleep(0)
        if partition not in self._turns:
            return
        self._positions[partition] = records[-1].offset + 1
        self._ends[partition] = max(end_offset, self._positions[partition])
        lag = self._ends[partition] - self._positions[partition]
        self._instruments.set("churn_consumer_lag_records", lag, partition=str(partition))

    async def _know_model(self, partition: int, promotion: str) -> None:
        """Wait until it is known which model scores a block, or that none is named.

        Without any champion a block may be passed over: the features worker shows everyone to the first one. But as long as
        the models topic cannot be read, or the only champion's bundle is refused, passing over would leave users without
        their last score; readiness says what is waited for.
        """
        while partition in self._turns and self.model.serving is None:
            if await asyncio.to_thread(self._follower.wait_current, PATIENCE_SECONDS):
                if not self.model.awaited:
                    break
                await asyncio.to_thread(self.model.wait_serving, PATIENCE_SECONDS)
        if promotion and not self.model.heard_of(promotion):
            await self._wait_for_model(partition, promotion)

    async def _wait_for_model(self, partition: int, promotion: str) -> None:
        """A refresh for a promotion comes from the same topic that we follow, so we hear of it too, soon, unless it is away."""
        while not await asyncio.to_thread(self.model.wait_for, promotion, MODEL_WAIT_SECONDS):
            if partition not in self._turns or self._follower.following.outage is None:
                self.model.pass_over(promotion)
                return

    def _take(self, partition: int, block: FeatureBlock) -> None:
        latest = self._epochs.get(block.partition, 0)
        if block.epoch < latest:
            return
        self._epochs[block.partition] = block.epoch
        self._turns[partition].pending.forget(block.departed)
        if not block.users:
            return
        serving = self.model.serving
        if serving is None or block.feature_set_version != self._version:
            self._instruments.count("churn_unscored_rows", len(block.users))
            return
        self._score(self._turns[partition].pending, block, serving)
        passing("scorer.after_send")

    def _score(self, pending: PendingScores, block: FeatureBlock, serving: Serving) -> None:
        for challenger, scorer in serving.challengers:
            self._shadow(block, challenger.version, scorer.score(block.matrix).probability)
        if not serving.split:
            self._publish(pending, block, serving.leading)
            return
        for answering, places in serving.parts(block.users):
            users, values = [block.users[place] for place in places], block.matrix[places].tobytes()
            self._publish(pending, msgspec.structs.replace(block, users=users, values=values), answering)

    def _shadow(self, block: FeatureBlock, version: str, probability: Float64s) -> None:
        said = ShadowBlock(
            version, block.kind, block.partition, block.epoch, block.as_of_us, block.source_offset, block.users,
            probability.astype("<f8").tobytes(),
        )  # fmt: skip
        self._output.send(self._shadow_topic, None, encode_block(said), block.partition)
        self._instruments.count("churn_version_scores", len(block.users), version=version, use="shadow")

    def _publish(self, pending: PendingScores, block: FeatureBlock, answering: Answering) -> None:
        scored = answering.scorer.score(block.matrix)
        explained = self._explainer.explained(block.matrix, scored.contributions)
        codes = band_codes(scored.probability, self._settings.medium_risk, self._settings.high_risk)
        wall_us = self._wall_us()
        as_of, emitted = from_us(block.as_of_us), from_us(wall_us)
        arrived = from_us(block.arrived_us) if block.arrived_us else None
        active = self._active(block.matrix).tolist()
        others = explained.others.tolist()
        rows = zip(
            block.users, scored.probability.tolist(), codes.tolist(), explained.reasons, active, others, strict=True
        )
        for user, probability, code, why, is_active, rest in rows:
            score = Score(
                user, probability, BANDS[code], why, self._settings.model_name, answering.version, self._version, as_of,
                emitted, block.partition, block.source_offset, arrived, is_active, answering.since, scored.base, rest,
            )  # fmt: skip
            self._output.send(self._scores_topic, user.encode(), encode(score))
        pending.add(block, scored.probability, codes, explained.reasons, answering.version)
        self._instruments.count("churn_version_scores", len(block.users), version=answering.version, use="served")
        self._measure(codes, scored, block, wall_us)

    def _measure(self, codes: object, scored: Scored, block: FeatureBlock, wall_us: int) -> None:
        for code, count in enumerate(np.bincount(np.asarray(codes), minlength=len(BANDS)).tolist()):
            self._instruments.count("churn_scores", count, band=BANDS[code])
        # A sample keeps the histogram cheap; its shape is what is watched.
        for probability in scored.probability[:: max(1, len(block.users) // 50)].tolist():
            self._instruments.observe("churn_score_probability", probability)
        if block.arrived_us and block.kind == "update":
            self._instruments.observe("churn_freshness_seconds", (wall_us - block.arrived_us) / 1e6, hop="score")

    async def tick(self) -> None:
        """Write online rows when caught up; settle and commit once a second."""
        self._output.poll()
        wall_us = self._wall_us()
        if self._caught_up() and wall_us >= self._retry_online_us:
            await self._try_online()
        if self._settling is not None and self._settling.done():
            task, self._settling = self._settling, None
            task.result()
        if self._settling is None and wall_us - self._settled_us >= COMMIT_US and self._positions != self._durable:
            self._settled_us = wall_us
            self._settling = asyncio.create_task(self._try_settle())

    def _caught_up(self) -> bool:
        return all(position >= self._ends.get(p, 0) for p, position in self._positions.items())

    async def _try_online(self) -> None:
        try:
            await self._write_online()
            self._problems.pop("online store", None)
        except OutageError as error:
            self._problems["online store"] = str(error)
            self._retry_online_us = self._wall_us() + RETRY_US

    async def _write_online(self) -> None:
        async with self._online_turn:
            for turn in list(self._turns.values()):
                await self._write_pending(turn)

    async def _write_pending(self, turn: Turn) -> None:
        rows = turn.pending.take()
        if not rows.users and not rows.departed:
            return
        started_us = self._wall_us()
        try:
            await asyncio.to_thread(rows.write, self._writer, turn.fence)
            passing("scorer.after_online")
        except OutageError:
            turn.pending.give_back(rows)
            raise
        self._instruments.observe("churn_online_write_seconds", (self._wall_us() - started_us) / 1e6)
        self._instruments.count("churn_online_rows", len(rows.users))

    async def _try_settle(self) -> None:
        try:
            await self._settle()
            self._problems.pop("scores topic", None)
        except OutageError as error:
            if type(error) is not OutageError:  # messages given up: only a fresh start helps
                raise
            self._problems["scores topic"] = str(error)

    async def _settle(self) -> None:
        """Wait for delivery of all scores so far, then declare their blocks done."""
        positions = dict(self._positions)
        if any(turn.pending.users() for turn in self._turns.values()) and not self._caught_up():
            await asyncio.to_thread(self._output.flush)
            return
        await self._write_online()
        await asyncio.to_thread(self._output.flush)
        passing("scorer.after_delivery")
        self._durable = positions

    def committable(self) -> Mapping[int, int]:
        """Return the offsets below which every effect is durable."""
        return self._durable

    def not_ready(self) -> list[str]:
        """Return why the role cannot do its work."""
        reasons = [f"{what}: {why}" for what, why in self._problems.items()]
        outage = self._follower.following.outage
        return [*reasons, *self.model.not_ready(), *([f"models topic: {outage}"] if outage else [])]

    def close(self) -> None:
        """Let go of every connection."""
        self._follower.following.stop()
        self._writer.close()
