"""How soon an event shows: from its arrival in Kafka to features that can be read in Redis, and to a score.

Two ways that do not lean on each other. Every score carries when its oldest event arrived and when it was emitted; a
consumer outside notes when it received it. Beside that, probes: new users with one event each, whom a reader of
the online store asks for until their row and their score are there; their arrival is read from Kafka afterwards.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import psutil
import redis
from confluent_kafka import Consumer, TopicPartition

from churn.kafka_config import client_config
from churn.scores import Score, decode, to_us
from churn.settings import Settings
from churn.topics import ACTIVITY, SCORES, Topic
from compose.bench.load import chosen_users, event
from compose.bench.served import Served
from compose.bench_api import percentile
from compose.processes import wait_until
from compose.topic_admin import partitions_of
from feature_repo.reader import OnlineReader
from producers.publisher import Publisher

PROBE = "probe-"
PROBE_EVERY_SECONDS = 0.05
WARM_UP_SECONDS = 3.0
SLICE_SECONDS = 0.005
READ_EVERY_SECONDS = 0.002
LAST_SECONDS = 30.0
FEATURE = "sessions_7d"


def now_us() -> int:
    """Return the wall clock in microseconds, the clock of Kafka's timestamps."""
    return time.time_ns() // 1000


@dataclass
class Probes:
    """When each probe was sent, and when its effect was first seen; wall clock in microseconds."""

    sent_us: dict[str, int] = field(default_factory=dict)
    features_us: dict[str, int] = field(default_factory=dict)
    score_us: dict[str, int] = field(default_factory=dict)

    def waiting(self) -> list[str]:
        """Return the probes that do not show wholly yet."""
        return [u for u in list(self.sent_us) if u not in self.score_us or u not in self.features_us]


def measure(served: Served) -> dict[str, Any]:
    """Return percentiles in milliseconds at a steady rate of events of random users."""
    sizes, probes = served.bench.sizes, Probes()
    ends = _ends(served.settings)
    with _receiving(served.settings) as received, _reading(served, probes):
        cpu_before, began = _cpu_seconds(served), time.perf_counter()
        published, began_us = _publish(served, probes)
        seconds, cpu = time.perf_counter() - began, _cpu_seconds(served)
        wait_until(lambda: not probes.waiting(), LAST_SECONDS, "every probe has features and a score in Redis")
    arrived = _arrivals(served.settings, ends, probes)
    figures = {
        "offered_events_per_second": sizes.freshness_rate,
        "published_events_per_second": round(published / (sizes.freshness_seconds + WARM_UP_SECONDS)),
        "probes": len(arrived),
        **_of_probes(probes, arrived),
        **_of_scores(received, began_us),
        "cpu_cores": {name: round((spent - cpu_before[name]) / seconds, 3) for name, spent in cpu.items()},
    }
    served.bench.say(
        f"freshness: features p99 {figures['arrival_to_features_p99_ms']} ms, scores p99 {figures['arrival_to_received_p99_ms']} ms"
    )
    return figures


def _cpu_seconds(served: Served) -> dict[str, float]:
    """Return what every process has spent so far; `load` is this one, which publishes and reads."""
    stack = served.bench.stack
    children = {"kafka": stack.kafka.child, "redis": stack.redis.child, **stack.supervisor.children}
    pids = {name: child.pid for name, child in children.items() if child and child.is_running} | {"load": os.getpid()}
    return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()}


# --- the load ---


def _publish(served: Served, probes: Probes) -> tuple[int, int]:
    """Publish at a steady rate, a probe now and then; returns how many events, and when the warm-up was over."""
    sizes, settings = served.bench.sizes, served.settings
    users, run = _users(served), f"{now_us():x}"
    total_seconds = WARM_UP_SECONDS + sizes.freshness_seconds
    topic, done, next_probe = ACTIVITY.name(settings.topic_prefix), 0, WARM_UP_SECONDS
    with Publisher(client_config(settings) | {"linger.ms": 1}, topic) as publisher:
        began, began_us = time.perf_counter(), now_us()
        while (spent := time.perf_counter() - began) < total_seconds:
            while done < spent * sizes.freshness_rate:
                publisher.publish(*event(next(users), f"{run}-{done:x}", now_us(), done))
                done += 1
            if spent >= next_probe:
                next_probe += PROBE_EVERY_SECONDS
                _send_probe(publisher, probes, run)
            publisher.poll()
            time.sleep(SLICE_SECONDS)
    return done + len(probes.sent_us), began_us + int(1e6 * WARM_UP_SECONDS)


def _users(served: Served) -> Iterator[str]:
    # Every user is as likely as any other: the load that touches most users, and so the heaviest one.
    return cycle([served.users[number] for number in chosen_users("uniform", len(served.users), 100_000, 7)])


def _send_probe(publisher: Publisher, probes: Probes, run: str) -> None:
    user = f"{PROBE}{run}-{len(probes.sent_us)}"
    sent_us = now_us()
    publisher.publish(*event(user, user, sent_us))
    probes.sent_us[user] = sent_us


# --- the reader of the online store ---


@contextmanager
def _reading(served: Served, probes: Probes) -> Iterator[None]:
    with redis.Redis.from_url(served.bench.stack.redis.url) as client:
        reader = OnlineReader(client, served.settings.feast_project, served.declaration.feature_names)
        column = served.declaration.feature_names.index(FEATURE)
        with _in_background(lambda stop: _watch(reader, column, probes, stop)):
            yield
        reader.close()


def _watch(reader: OnlineReader, column: int, probes: Probes, stop: threading.Event) -> None:
    while not stop.wait(READ_EVERY_SECONDS):
        rows = reader.read_many(probes.waiting())
        seen_us = now_us()
        for row in rows:
            if row.features is not None and row.features[column] == 1:
                probes.features_us.setdefault(row.user_id, seen_us)
            if row.score is not None:
                probes.score_us.setdefault(row.user_id, seen_us)


# --- the reader of the scores ---


@contextmanager
def _receiving(settings: Settings) -> Iterator[list[tuple[int, bytes]]]:
    """Collect (received at, value) of every score from here on."""
    received: list[tuple[int, bytes]] = []
    consumer = _consumer(settings)
    consumer.assign([TopicPartition(p.topic, p.partition, end) for p, end in _ends(settings, SCORES).items()])

    def run(stop: threading.Event) -> None:
        while not stop.is_set():
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                received.append((now_us(), message.value() or b""))

    with _in_background(run):
        yield received
    consumer.close()


def _consumer(settings: Settings) -> Consumer:
    return Consumer(
        {
            **client_config(settings),
            "group.id": f"{settings.topic_prefix}-outside",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 5,
            "log_level": 2,
        }
    )


def _ends(settings: Settings, topic: Topic = ACTIVITY) -> dict[TopicPartition, int]:
    """Return where each partition of a topic ends now."""
    consumer, name = _consumer(settings), topic.name(settings.topic_prefix)
    places = [TopicPartition(name, number) for number in range(partitions_of(topic, settings))]
    ends = {place: consumer.get_watermark_offsets(place, timeout=10.0)[1] for place in places}
    consumer.close()
    return ends


@contextmanager
def _in_background(run: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run something beside the block; what it raises is raised at the end of the block."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, stop)
        try:
            yield
        finally:
            stop.set()
        running.result()


# --- what came of it ---


def _arrivals(settings: Settings, starts: Mapping[TopicPartition, int], probes: Probes) -> dict[str, int]:
    """Read back from Kafka when each probe arrived, in microseconds."""
    consumer, found, left = _consumer(settings), {}, len(starts)
    consumer.assign([TopicPartition(place.topic, place.partition, start) for place, start in starts.items()])
    while left:
        for message in consumer.consume(10_000, 0.5):
            left -= message.error() is not None
            user = (message.key() or b"").decode()
            if user in probes.sent_us:
                found[user] = 1000 * message.timestamp()[1]
    consumer.close()
    return found


def _of_probes(probes: Probes, arrived_us: Mapping[str, int]) -> dict[str, float | None]:
    features = [probes.features_us[user] - at for user, at in arrived_us.items()]
    scores = [probes.score_us[user] - at for user, at in arrived_us.items()]
    sent = [probes.features_us[user] - at for user, at in probes.sent_us.items()]
    return {
        **_percentiles("arrival_to_features", features),
        **_percentiles("arrival_to_stored_score", scores),
        **_percentiles("sent_to_features", sent),
    }


def _of_scores(received: Sequence[tuple[int, bytes]], began_us: int) -> dict[str, Any]:
    """Return the figures of scores that new events caused after the warm-up; time is counted from the oldest event."""
    pairs = [(at, score) for at, score in ((at, decode(value)) for at, value in received) if _counts(score, began_us)]
    emitted = [to_us(score.emitted_at) - _arrived(score) for _, score in pairs]
    outside = [at - _arrived(score) for at, score in pairs]
    seconds = (max(at for at, _ in pairs) - began_us) / 1e6
    return {
        "scores_per_second": round(len(pairs) / seconds),
        **_percentiles("arrival_to_score", emitted),
        **_percentiles("arrival_to_received", outside),
    }


def _counts(score: Score, began_us: int) -> bool:
    return score.arrived_at is not None and to_us(score.arrived_at) >= began_us


def _arrived(score: Score) -> int:
    return to_us(score.arrived_at) if score.arrived_at else 0


def _percentiles(name: str, delays_us: Sequence[int]) -> dict[str, float | None]:
    ordered = sorted(delay / 1000 for delay in delays_us)
    return {f"{name}_p50_ms": percentile(ordered, 0.50), f"{name}_p99_ms": percentile(ordered, 0.99)}
