"""What a consumer outside the system sees: ends of topics, when events arrived, scores as they come."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from churn.kafka_config import client_config
from churn.scores import Score, decode, to_us
from churn.settings import Settings
from churn.topics import ACTIVITY, SCORES, Topic
from compose.bench.clock import now_us, percentiles
from compose.topic_admin import partitions_of

Ends = Mapping[TopicPartition, int]
Received = list[tuple[int, bytes]]
"""(received at in microseconds, value) of every message."""


def consumer_of(settings: Settings) -> Consumer:
    """Return a consumer that commits nothing and tells the end of a partition."""
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


def ends(settings: Settings, topic: Topic = ACTIVITY) -> Ends:
    """Return where each partition of a topic ends now."""
    name = topic.name(settings.topic_prefix)
    places = [TopicPartition(name, number) for number in range(partitions_of(topic, settings))]
    with closing(consumer_of(settings)) as consumer:
        return {place: consumer.get_watermark_offsets(place, timeout=10.0)[1] for place in places}


def messages_since(settings: Settings, starts: Ends) -> Iterator[Any]:
    """Yield every message from these offsets to the present ends."""
    left = len(starts)
    with closing(consumer_of(settings)) as consumer:
        consumer.assign([TopicPartition(place.topic, place.partition, start) for place, start in starts.items()])
        while left:
            for message in consumer.consume(10_000, 0.5):
                left -= message.error() is not None
                if message.error() is None:
                    yield message


@contextmanager
def receiving(settings: Settings, topic: Topic = SCORES) -> Iterator[Received]:
    """Collect every message of a topic from here on."""
    received: Received = []
    consumer = consumer_of(settings)
    consumer.assign([TopicPartition(p.topic, p.partition, end) for p, end in ends(settings, topic).items()])

    def run(stop: threading.Event) -> None:
        while not stop.is_set():
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                received.append((now_us(), message.value() or b""))

    with closing(consumer), in_background(run):
        yield received


@contextmanager
def in_background(run: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run something beside the block; what it raises is raised at the end of the block."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, stop)
        try:
            yield
        finally:
            stop.set()
        running.result()


def score_figures(received: Sequence[tuple[int, bytes]], began_us: int) -> dict[str, Any]:
    """Return the figures of scores that new events caused since a time, which is counted from the oldest event."""
    pairs = [(at, score) for at, score in ((at, decode(value)) for at, value in received) if _counts(score, began_us)]
    emitted = [to_us(score.emitted_at) - _arrived(score) for _, score in pairs]
    outside = [at - _arrived(score) for at, score in pairs]
    seconds = (max(at for at, _ in pairs) - began_us) / 1e6
    return {
        "scores_per_second": round(len(pairs) / seconds),
        **percentiles("arrival_to_score", emitted),
        **percentiles("arrival_to_received", outside),
    }


def _counts(score: Score, began_us: int) -> bool:
    return score.arrived_at is not None and to_us(score.arrived_at) >= began_us


def _arrived(score: Score) -> int:
    return to_us(score.arrived_at) if score.arrived_at else 0
