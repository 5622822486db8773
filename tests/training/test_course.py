"""What is learnt is a function of the logs: not of how they are read, nor of when the learner is killed."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from churn.blocks import FeatureBlock, LabelBlock
from churn.declaration import parse
from churn.layout import DAY_US
from training.course import Course
from training.snapshots import Snapshot

DECLARED = parse(
    """
business: test
events: {visit: {activity: true}}
features:
  silent: {days_since_last: activity, cap: 90, says: a}
  days: {days: activity, windows: [30], says: b}
""",
    "test",
).with_horizon(3)
"""So that of six midnights the last three can be judged."""
PARTITIONS = 3
DAYS = range(100, 106)
USERS = 6
Learnt = list[tuple[int, str, bytes, bool, float | None]]


@dataclass
class Logs:
    """Both topics, by partition, complete."""

    labels: dict[int, list[LabelBlock]] = field(default_factory=dict)
    features: dict[int, list[FeatureBlock]] = field(default_factory=dict)


def roll(partition: int, day: int, epoch: int, random: np.random.Generator) -> list[FeatureBlock]:
    """Return a midnight's roll in two blocks, and an update after it."""
    users = [f"{partition}-{i}" for i in range(USERS)]
    matrix = np.stack([random.integers(1, 5, USERS), random.integers(0, 30, USERS)], axis=1).astype(np.float32)
    facts = (partition, epoch, day * DAY_US, 0, 0, DECLARED.feature_set_version)
    blocks = [FeatureBlock("roll", *facts, users[s], matrix[s].tobytes()) for s in (slice(0, 4), slice(4, USERS))]
    later = (partition, epoch, day * DAY_US + 5, 0, 0, DECLARED.feature_set_version)
    return [*blocks, FeatureBlock("update", *later, users[:1], matrix[:1].tobytes())]


def matured(partition: int, day: int, epoch: int, random: np.random.Generator) -> list[LabelBlock]:
    """Return a midnight's labels in two blocks."""
    users, gone = [f"{partition}-{i}" for i in range(USERS)], random.random(USERS) < 0.4
    facts = (partition, epoch, day * DAY_US, (day + 30) * DAY_US)
    return [LabelBlock(*facts, users[s], gone[s].tobytes()) for s in (slice(0, 3), slice(3, USERS))]


def written(seed: int) -> Logs:
    """Return logs in which owners change, repeat the last midnights, and still write after they have lost a partition."""
    random, logs = np.random.default_rng(seed), Logs()
    for partition in range(PARTITIONS):
        labels, features, epoch, day = [], [], 1, DAYS.start
        while day <= DAYS.stop:
            features += roll(partition, day, epoch, random)
            labels += matured(partition, day, epoch, random) if day < DAYS.stop else []
            if random.random() < 0.25 and epoch < 4:
                epoch, day = epoch + 1, max(DAYS.start, day - int(random.integers(0, 3))) - 1
                features += roll(partition, day + 1, epoch, random)[:1] + roll(partition, day + 2, epoch - 1, random)
                labels += matured(partition, day + 1, epoch, random)[:1] + matured(
                    partition, day + 2, epoch - 1, random
                )
            day += 1
        logs.labels[partition], logs.features[partition] = labels[: 2 * int(random.integers(0, 20))], features
    return logs


@dataclass
class Reading:
    """A course and how far its logs were handed to it."""

    logs: Logs
    course: Course
    learnt: Learnt

    def __post_init__(self) -> None:
        self.label_at = {p: lane.line.position.label_offset for p, lane in self.course.lanes.items()}
        self.feature_at = {p: lane.next_feature for p, lane in self.course.lanes.items()}
        self._look()

    def _look(self) -> None:
        for p, lane in self.course.lanes.items():
            lane.labels_ended = self.label_at[p] >= len(self.logs.labels[p])
            lane.features_ended = self.feature_at[p] >= len(self.logs.features[p])

    def read(self, labels: bool, partition: int, blocks: int) -> None:
        """Hand over the next blocks of one partition of one topic."""
        lane = self.course.lanes[partition]
        for _ in range(blocks):
            at = self.label_at if labels else self.feature_at
            log: list[LabelBlock] | list[FeatureBlock] = (self.logs.labels if labels else self.logs.features)[partition]
            if at[partition] < len(log):
                block = log[at[partition]]
                if isinstance(block, LabelBlock):
                    lane.labels.append((at[partition], block))
                else:
                    lane.add_features(at[partition], block)
                at[partition] += 1
        self._look()

    def learn(self, most: int = 1_000_000) -> None:
        """Learn what is possible, a number of blocks at most."""
        while most and (found := self.course.learn_next()) is not None:
            joined, nothing = found.joined, [None] * len(found.joined.users)
            said = nothing if found.said is None else found.said.tolist()
            rows = zip(joined.users, joined.matrix, joined.churned.tolist(), said, strict=True)
            self.learnt += [(joined.as_of_us // DAY_US, user, vector.tobytes(), *told) for user, vector, *told in rows]
            most -= 1

    def finish(self) -> None:
        """Read and learn everything."""
        for partition in range(PARTITIONS):
            self.read(True, partition, 1000)
            self.read(False, partition, 1000)
        self.learn()


def begun(logs: Logs, saved: bytes | None = None, learnt: Learnt | None = None) -> Reading:
    """Return a learner that begins, or goes on from a snapshot as it is on disk."""
    snapshot = msgspec.json.decode(saved, type=Snapshot) if saved else None
    return Reading(logs, Course(DECLARED, range(PARTITIONS), snapshot), list(learnt or []))


def straight(logs: Logs) -> Reading:
    """Return the learner that read everything at once."""
    reading = begun(logs)
    reading.finish()
    return reading


STEP = st.one_of(
    st.tuples(st.just("read"), st.booleans(), st.integers(0, PARTITIONS - 1), st.integers(1, 8)),
    st.tuples(st.just("learn"), st.integers(1, 3)),
    st.tuples(st.just("save")),
    st.tuples(st.just("kill")),
)


def follow(logs: Logs, steps: list[tuple[object, ...]]) -> Reading:
    """Return the learner after these steps and then everything; a kill falls back to the last snapshot."""
    reading, saved, kept = begun(logs), None, Learnt()
    for what, *arguments in steps:
        if what == "save":
            saved, kept = msgspec.json.encode(reading.course.snapshot()), list(reading.learnt)
        elif what == "kill":
            reading = begun(logs, saved, kept)
        else:
            act: Callable[..., None] = reading.read if what == "read" else reading.learn
            act(*arguments)
    reading.finish()
    return reading


@settings(max_examples=40)
@given(st.integers(0, 1000), st.lists(STEP, max_size=40))
def test_any_reading_and_any_kills_end_like_the_straight_run(seed: int, steps: list[tuple[object, ...]]) -> None:
    logs = written(seed)
    whole, torn = straight(logs), follow(logs, steps)
    assert torn.learnt == whole.learnt
    assert msgspec.json.encode(torn.course.model.state()) == msgspec.json.encode(whole.course.model.state())


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_no_label_is_learnt_twice_and_time_never_goes_back(seed: int) -> None:
    learnt = straight(written(seed)).learnt
    assert len({(day, user) for day, user, *_ in learnt}) == len(learnt)
    assert [day for day, *_ in learnt] == sorted(day for day, *_ in learnt)


def test_the_histories_have_something_to_learn() -> None:
    learnt = straight(written(1)).learnt
    assert len(learnt) > 20
    assert {day for day, *_, said in learnt if said is not None} == {103, 104, 105}


def test_a_partition_whose_log_has_ended_is_not_waited_for() -> None:
    logs = written(2)
    assert {user[0] for _, user, *_ in straight(logs).learnt} == {"0", "1", "2"}
    logs.labels[0] = []
    assert {user[0] for _, user, *_ in straight(logs).learnt} == {"1", "2"}


def test_a_partition_with_more_to_read_is_waited_for() -> None:
    reading = begun(written(2))
    for partition in (1, 2):
        reading.read(True, partition, 1000)
        reading.read(False, partition, 1000)
    reading.learn()
    assert reading.learnt == []


def test_a_partition_that_is_added_repeats_no_midnight() -> None:
    logs = written(2)
    reading = straight(logs)
    latest = max(lane.line.position.as_of_us for lane in reading.course.lanes.values())
    assert reading.course.follow([0, 3]) == [3]
    position = reading.course.lanes[3].line.position
    assert (position.label_offset, position.as_of_us) == (0, latest + 1)
