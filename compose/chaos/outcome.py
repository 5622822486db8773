"""What must hold once everything is quiet: every counter, vector, archived event, dead letter and score."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import redis
from confluent_kafka import Consumer, Message, TopicPartition

from churn.admission import Admission
from churn.declaration import Declaration
from churn.errors import OutageError
from churn.kafka_config import client_config
from churn.layout import DAY_US, layout_of
from churn.model import Scorer
from churn.packing import unpack
from churn.partition import Emission, Partition
from churn.records import Record
from churn.scores import EPOCH, Score, decode, precedence, to_us
from churn.settings import Settings
from churn.slab import Slab
from churn.topics import ACTIVITY, DEAD_LETTERS, SCORES, USER_STATE, Topic
from compose.chaos.load import Ledger, expected_totals
from compose.topic_admin import partitions_of
from feature_repo.archive import files
from feature_repo.reader import OnlineReader, UserRow
from stream_processors.changelog import read as read_state

Differences = dict[str, list[str]]
"""What differs, in sentences, by what was compared; empty lists where nothing does."""
Vectors = dict[str, bytes]
MAX_SILENT_READS = 120


@dataclass(frozen=True)
class Recomputed:
    """What one pass over the whole topic gives, without any worker."""

    last: Vectors
    midnights: dict[str, list[tuple[int, bytes]]]
    """By user, in the order of time: a midnight and the vector as of then."""


@dataclass
class Outcome:
    """Compares everything that a system left with what it should be."""

    settings: Settings
    declaration: Declaration
    ledger: Ledger
    scorer: Scorer | None = None

    def differences(self) -> Differences:
        """Compare everything."""
        recomputed = self.recompute()
        found = {
            "counters": list(self._counters()),
            "online vectors": list(self._online(recomputed)),
            "dead letters": list(self._letters()),
        }
        if (self.settings.archive_dir).exists():
            found["archive"] = list(self._archive())
        if self.scorer is not None:
            found["scores"] = list(self._scores(self.scorer, recomputed))
        return found

    # --- recomputation ---

    def recompute(self) -> Recomputed:
        """Compute every vector from the topic alone, each partition in one batch."""
        by_partition: dict[int, list[Record]] = defaultdict(list)
        for message in read(ACTIVITY, self.settings):
            by_partition[message.partition() or 0].append(
                Record(message.offset() or 0, message.timestamp()[1] * 1000, message.key(), message.value())
            )
        found = Recomputed({}, defaultdict(list))
        for number, records in by_partition.items():
            self._recompute(number, records, found)
        return found

    def _recompute(self, number: int, records: list[Record], found: Recomputed) -> None:
        layout = layout_of(self.declaration)
        partition = Partition(layout, number)
        admitted, _ = Admission(layout, self.settings.max_future_minutes * 60_000_000).admit(records)
        for effect in partition.ingest(admitted, records[-1].offset + 1):
            if isinstance(effect, Emission):
                for user, vector in _rows(partition, effect):
                    found.midnights[user].append((effect.as_of_us, vector))
        everyone = partition.refresh()
        if everyone is not None:
            found.last.update(_rows(partition, everyone))

    # --- comparisons ---

    def _counters(self) -> Iterator[str]:
        """Compare the stored lifetime totals with the producer's ledger."""
        layout, totals = layout_of(self.declaration), self._stored_totals()
        for user in sorted(set(totals) | set(self.ledger.users)):
            for column, counter in enumerate(self.declaration.counters.values()):
                want = expected_totals(self.ledger, user, counter.adds, counter.scale)
                got = int(totals[user][column]) if user in totals else None
                if got != want:
                    yield f"{user}: {layout.counters[column]} is {got}, published were {want}"

    def _stored_totals(self) -> dict[str, npt.NDArray[np.int64]]:
        slab = Slab(layout_of(self.declaration), 0)
        topic = USER_STATE.name(self.settings.topic_prefix)
        for partition in range(self.settings.partitions):
            users = read_state(client_config(self.settings), topic, partition).users
            if users:
                unpack(slab, [key.decode() for key in users], list(users.values()))
        return {name: slab.totals[slot] for name, slot in slab.slot_of.items()}

    def _online(self, recomputed: Recomputed) -> Iterator[str]:
        stored = self.online(sorted(recomputed.last))
        for user, want in recomputed.last.items():
            got = stored[user]
            if got != want:
                yield f"{user}: {self._features(got, want)}"

    def online(self, users: list[str]) -> dict[str, bytes | None]:
        """Return each user's vector in the online store; None where there is no row."""
        rows = self._rows_of(users)
        return {row.user_id: None if row.features is None else bits(row.features) for row in rows}

    def _rows_of(self, users: list[str]) -> list[UserRow]:
        with redis.Redis.from_url(self.settings.redis_url.get_secret_value(), socket_timeout=30) as client:
            reader = OnlineReader(client, self.settings.feast_project, self.declaration.feature_names)
            rows = reader.read_many(users)
            reader.close()
        return rows

    def _features(self, got: bytes | None, want: bytes) -> str:
        if got is None:
            return "no row"
        pairs = zip(self.declaration.feature_names, np.frombuffer(got, "f4"), np.frombuffer(want, "f4"), strict=True)
        return ", ".join(f"{name} {g:g} for {w:g}" for name, g, w in pairs if g.tobytes() != w.tobytes())

    def _letters(self) -> Iterator[str]:
        places = Counter(_source(message) for message in read(DEAD_LETTERS, self.settings))
        if len(places) != self.ledger.rubbish:
            yield f"{len(places)} records have a dead letter, {self.ledger.rubbish} were no events"
        yield from (f"{place}: {count} dead letters" for place, count in places.items() if count > 1)

    def _archive(self) -> Iterator[str]:
        paths = files(self.settings.archive_dir)
        rows = Counter(i for path in paths for i in pq.read_table(path, columns=["event_id"])["event_id"].to_pylist())
        yield from (f"event {i} is archived {n} times" for i, n in rows.items() if n > 1)
        yield from (f"event {i} is missing" for i in sorted(self.ledger.event_ids - set(rows)))
        yield from (f"event {i} was never published" for i in sorted(set(rows) - self.ledger.event_ids))

    def _scores(self, scorer: Scorer, recomputed: Recomputed) -> Iterator[str]:
        scores = [decode(message.value() or b"") for message in read(SCORES, self.settings)]
        yield from _contradictions(scores)
        timelines = _timelines(scores)
        for user, vector in recomputed.last.items():
            moments = [*recomputed.midnights[user], (_END_US, vector)]
            wanted = scorer.score(np.array([np.frombuffer(v, "f4") for _, v in moments])).probability.tolist()
            yield from _compare_timeline(user, moments, wanted, timelines.get(user, []))
        yield from self._online_scores(scorer, recomputed)

    def _online_scores(self, scorer: Scorer, recomputed: Recomputed) -> Iterator[str]:
        """Compare what Feast's clients see with the model's score of the last vector."""
        users = sorted(recomputed.last)
        matrix = np.array([np.frombuffer(recomputed.last[user], "f4") for user in users])
        wanted = scorer.score(matrix).probability.astype(np.float32).tolist()
        for row, want in zip(self._rows_of(users), wanted, strict=True):
            got = None if row.score is None else row.score.probability
            if got != want:
                yield f"{row.user_id}: the online score is {got}, of the vector it is {want:g}"


_END_US = 1 << 62


def _contradictions(scores: list[Score]) -> Iterator[str]:
    """Yield scores that share the documented key and differ: a reader could not tell which one counts."""
    seen: dict[tuple[object, ...], Score] = {}
    for s in scores:
        content = msgspec.structs.replace(s, emitted_at=EPOCH, arrived_at=None)
        if seen.setdefault((s.user_id, s.as_of, *precedence(s)), content) != content:
            yield f"{s.user_id}: two scores as of {s.as_of} from offset {s.source_offset} differ"


def _timelines(scores: list[Score]) -> dict[str, list[tuple[int, float]]]:
    """Return by user, in the order of time, the one score of each as_of that the documented key leaves."""
    kept: dict[tuple[str, int], Score] = {}
    for s in scores:
        place = (s.user_id, to_us(s.as_of))
        former = kept.get(place)
        if former is None or precedence(s) >= precedence(former):
            kept[place] = s
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for user, as_of_us in sorted(kept):
        found[user].append((as_of_us, kept[user, as_of_us].probability))
    return found


def _compare_timeline(
    user: str, moments: list[tuple[int, bytes]], wanted: list[float], timeline: list[tuple[int, float]]
) -> Iterator[str]:
    """At each moment the newest score so far must be the model's for the vector of that moment."""
    position, present = 0, float("nan")
    for (moment_us, _), want in zip(moments, wanted, strict=True):
        while position < len(timeline) and timeline[position][0] <= moment_us:
            present = timeline[position][1]
            position += 1
        if present != want:
            when = "in the end" if moment_us == _END_US else f"at midnight {np.datetime64(moment_us // DAY_US, 'D')}"
            yield f"{user}: the score {when} is {present:g}, of the vector it is {want:g}"


def _source(message: Message) -> tuple[int, int]:
    headers = dict(message.headers() or [])
    return int(headers["partition"] or b"-1"), int(headers["offset"] or b"-1")


def _rows(partition: Partition, emission: Emission) -> Iterator[tuple[str, bytes]]:
    yield from zip(partition.names(emission.slots), map(bits, emission.matrix), strict=True)


def bits(vector: npt.NDArray[np.float32]) -> bytes:
    """Return a vector as bytes; all missing values alike, since they are null in the online store."""
    clean = np.where(np.isnan(vector), np.float32(np.nan), vector).astype(np.float32)
    return bytes(clean.tobytes())


def read(topic: Topic, settings: Settings) -> list[Message]:
    """Read a topic from its beginning to its present end (committed messages only)."""
    own = {"group.id": "chaos", "enable.partition.eof": True, "isolation.level": "read_committed", "log_level": 2}
    consumer = Consumer({**client_config(settings), **own})
    count = partitions_of(topic, settings)
    consumer.assign([TopicPartition(topic.name(settings.topic_prefix), p, 0) for p in range(count)])
    messages: list[Message] = []
    ended, silent_reads = 0, 0
    while ended < count and silent_reads < MAX_SILENT_READS:
        found = consumer.consume(5000, 0.5)
        silent_reads = 0 if found else silent_reads + 1
        for message in found:
            if message.error() is None:
                messages.append(message)
            else:
                ended += 1
    consumer.close()
    if ended < count:
        raise OutageError(f"{topic.suffix}: no answer for {MAX_SILENT_READS * 0.5:g} s")
    return messages
