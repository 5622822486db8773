"""Follows the models topic: each record names the version that serves from now on."""

from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from api.champion import ChampionHolder
from api.following import READ_ONLY, Following, partitions
from churn.scores import Champion, decode_champion

POLL_SECONDS = 0.2
# A refused bundle is looked at again about every two seconds: hashing a model of 50 features takes 0.1 ms.
RETRY_POLLS = 10


class ChampionFollower:
    """Feeds a ChampionHolder from the topic's first record on, in a thread of its own.

    The topic is compacted and read whole at every start; of what is already there only the last record counts,
    because the bundles of older ones may be gone.
    """

    def __init__(self, config: Mapping[str, object], topic: str, model_name: str, holder: ChampionHolder) -> None:
        """Prepare; connects when started."""
        self._config = {**config, **READ_ONLY, "group.id": f"{topic}-api", "enable.partition.eof": True}
        self._topic, self._model_name, self._holder = topic, model_name.encode(), holder
        self._pending: Champion | None = None
        self._idle_polls = 0
        self.following = Following("champion", self._session)

    def _session(self, following: Following) -> None:
        consumer = Consumer(self._config)
        try:
            found = partitions(consumer, self._topic)
            consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in found])
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
            self._apply()
        else:
            raise KafkaException(message.error())

    def _idle(self) -> None:
        self._idle_polls += 1
        if self._idle_polls % RETRY_POLLS == 0:
            self._holder.retry()

    def _read(self, message: Any) -> None:
        if message.key() != self._model_name or message.value() is None:
            return
        try:
            self._pending = decode_champion(message.value())
        except msgspec.MsgspecError as error:
            # What came before it serves; applied first, or it would clear the refusal.
            self._apply()
            where = f"{self._topic} partition {message.partition()} offset {message.offset()}"
            self._holder.refuse("unreadable", f"{where} is not a champion record: {error}; publish it again")

    def _apply(self) -> None:
        if self._pending is not None:
            champion, self._pending = self._pending, None
            self._holder.follow(champion)
