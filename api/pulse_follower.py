"""Follows the scores topic and the ends of the activity topic, and publishes a view of both."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from api.pulse import EventRate, Pulse, PulseView
from churn.scores import decode
from feature_repo.following import READ_ONLY, Following, end_offset, partitions, sentence

# At the start the table is filled from the last scores of every partition; reading 20,000 takes about 0.2 s.
CATCH_UP_MESSAGES = 20_000
BATCH_MESSAGES = 500
CONSUME_SECONDS = 0.1
MEASURE_SECONDS = 1.0
# librdkafka's default of 1 s between fetches makes a bulk reader idle, and 64 MB of read-ahead is not needed here.
BULK = {"fetch.queue.backoff.ms": 20, "queued.max.messages.kbytes": 4096}


class PulseFollower:
    """Keeps `view` up to date in a thread of its own; readers take the reference and never wait."""

    def __init__(
        self,
        config: Mapping[str, object],
        scores_topic: str,
        activity_topic: str,
        now_ms: Callable[[], int],
        pulse: Pulse | None = None,
    ) -> None:
        """Prepare; connects when started."""
        self._config = {**config, **READ_ONLY, **BULK, "group.id": f"{scores_topic}-api"}
        self._scores_topic, self._activity_topic = scores_topic, activity_topic
        self._now_ms = now_ms
        self._pulse, self._events = pulse or Pulse(), EventRate()
        self.unreadable = 0
        self.view = PulseView()
        self.following = Following("pulse", self._session)

    def _session(self, following: Following) -> None:
        consumer = Consumer(self._config)
        try:
            consumer.assign([self._start(consumer, number) for number in partitions(consumer, self._scores_topic)])
            activity = partitions(consumer, self._activity_topic)
            measured = -MEASURE_SECONDS
            while following.active:
                self._round(following, consumer)
                if time.monotonic() - measured >= MEASURE_SECONDS:
                    measured = time.monotonic()
                    self._measure(following, consumer, activity)
        finally:
            consumer.close()

    def _start(self, consumer: Consumer, partition: int) -> TopicPartition:
        first, following = end_offset(consumer, self._scores_topic, partition)
        return TopicPartition(self._scores_topic, partition, max(first, following - CATCH_UP_MESSAGES))

    def _round(self, following: Following, consumer: Consumer) -> None:
        messages = consumer.consume(BATCH_MESSAGES, CONSUME_SECONDS)
        began = time.perf_counter()
        for message in messages:
            self._take(message)
        if len(messages) == BATCH_MESSAGES:
            # Behind: work half of the time at most, so that requests still get the interpreter.
            following.rest(time.perf_counter() - began)

    def _take(self, message: Any) -> None:
        if message.error() is not None or message.value() is None:
            return
        try:
            score = decode(message.value())
        except msgspec.MsgspecError:
            self.unreadable += 1
            return
        self._pulse.take(score, int(message.timestamp()[1]))

    def _measure(self, following: Following, consumer: Consumer, activity: list[int]) -> None:
        try:
            offsets = sum(end_offset(consumer, self._activity_topic, number)[1] for number in activity)
        except KafkaException as error:
            # The consumer reconnects by itself and goes on where it was; only the measurement is missing.
            following.outage = sentence(error)
        else:
            following.outage = None
            self._events.observe(time.monotonic(), offsets)
        self.view = self._pulse.view(self._now_ms(), self._events)
