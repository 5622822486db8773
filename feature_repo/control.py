"""Following the models topic: each record names the champion that serves from now on, or the challengers beside it."""

import threading
from collections.abc import Callable
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from churn.kafka_config import ClientConfig
from churn.scores import Champion, Lineup, decode_champion, decode_lineup, lineup_key
from feature_repo.champion import Record, ServingModel
from feature_repo.following import READ_ONLY, Following, partitions

POLL_SECONDS = 0.2
# A refused bundle is looked at again about every two seconds: hashing a model of 50 features takes 0.1 ms.
RETRY_POLLS = 10

OnRecords = Callable[[list[Record]], None]
"""Called with the records that are new, in their order; the last champion and the last lineup count."""
OnUnreadable = Callable[[type[Record], str], None]
"""Called with what a record should have been, and what is wrong."""


class ModelsFollower:
    """Reads the records of one model from the topic's first on, in a thread of its own.

    The topic is compacted and read whole at every start; of what is already there only the last records count, because
    the bundles of older ones may be gone. After an outage reading goes on where it was.
    """

    def __init__(
        self,
        config: ClientConfig,
        topic: str,
        model: str,
        on_records: OnRecords,
        on_unreadable: OnUnreadable = lambda what, reason: None,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; connects when started."""
        self._config = {**config, **READ_ONLY, "group.id": f"{topic}-followers", "enable.partition.eof": True}
        self._topic = topic
        self._kinds: dict[bytes, type[Record]] = {model.encode(): Champion, lineup_key(model).encode(): Lineup}
        self._on_records, self._on_unreadable, self._on_idle = on_records, on_unreadable, on_idle
        self._pending: list[Record] = []
        self._unreadable: dict[type[Record], str] = {}
        self._positions: dict[int, int] = {}
        self._idle_polls = 0
        self._at_end = threading.Event()
        self.following = Following("models", self._session)

    def wait_current(self, timeout_seconds: float) -> bool:
        """Wait until the topic was read to its end once; returns whether it was."""
        return self._at_end.wait(timeout_seconds)

    def _session(self, following: Following) -> None:
        consumer = Consumer({**self._config, "log_level": 2})
        try:
            found = partitions(consumer, self._topic)
            starts = {number: self._positions.get(number, OFFSET_BEGINNING) for number in found}
            consumer.assign([TopicPartition(self._topic, number, start) for number, start in starts.items()])
            following.outage = None
            while following.active:
                self._receive(consumer.poll(POLL_SECONDS))
        finally:
            consumer.close()

    def _receive(self, message: Any) -> None:
        if message is None:
            self._idle()
        elif message.error() is None:
            self._read(message)
        elif message.error().code() == KafkaError._PARTITION_EOF:  # librdkafka's own name for "nothing more for now"
            self._tell()
            self._at_end.set()
        else:
            raise KafkaException(message.error())

    def _idle(self) -> None:
        self._idle_polls += 1
        if self._idle_polls % RETRY_POLLS == 0:
            self._on_idle()

    def _read(self, message: Any) -> None:
        self._positions[message.partition()] = message.offset() + 1
        kind = self._kinds.get(message.key())
        if kind is None or message.value() is None:
            return
        try:
            self._pending.append(decoded(kind, message.value()))
            self._unreadable.pop(kind, None)
        except msgspec.MsgspecError as error:
            where = f"{self._topic} partition {message.partition()} offset {message.offset()}"
            self._unreadable[kind] = f"{where} is not a {kind.__name__.lower()} record: {error}; publish it again"

    def _tell(self) -> None:
        # What came before an unreadable record serves; told first, or it would clear the refusal.
        if self._pending:
            named, self._pending = self._pending, []
            self._on_records(named)
        unreadable, self._unreadable = self._unreadable, {}
        for kind, reason in unreadable.items():
            self._on_unreadable(kind, reason)


def decoded(kind: type[Record], value: bytes) -> Record:
    """Read a record of the models topic; raises MsgspecError when these bytes are none."""
    return decode_champion(value) if kind is Champion else decode_lineup(value)


def serve_champions(config: ClientConfig, topic: str, model: str, serving: ServingModel) -> ModelsFollower:
    """Return a follower, not started yet, that keeps the serving model the one that the topic names."""
    return ModelsFollower(config, topic, model, serving.follow, serving.unreadable, serving.retry)
