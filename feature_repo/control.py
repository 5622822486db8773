"""Following the models topic: which version serves, as soon as it is said."""

import threading
from collections.abc import Callable

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from churn.kafka_config import ClientConfig
from churn.scores import Champion, decode_champion

OnChampion = Callable[[Champion], None]


class ModelsFollower:
    """Calls back with each champion record of one model, from the first to the newest, until closed.

    The topic is compacted, so that reading it from its beginning gives the present state.
    """

    def __init__(self, config: ClientConfig, topic: str, model: str, on_champion: OnChampion) -> None:
        self._config, self._topic, self._model = config, topic, model
        self._on_champion = on_champion
        self._stop = threading.Event()
        self._at_end = threading.Event()
        self.problem = ""
        """Why the topic cannot be followed just now; empty when it can."""
        self._thread = threading.Thread(target=self._follow, name="models-follower", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def wait_current(self, timeout_seconds: float) -> bool:
        """Wait until the topic was read to its end once; returns whether it was."""
        return self._at_end.wait(timeout_seconds)

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _follow(self) -> None:
        consumer = Consumer(
            {
                **self._config,
                "group.id": f"{self._topic}-followers",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "log_level": 2,
            }
        )
        consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
        try:
            while not self._stop.is_set():
                self._take(consumer.poll(0.2))
        finally:
            consumer.close()

    def _take(self, message: Message | None) -> None:
        if message is None:
            return
        error = message.error()
        if error is not None:
            ended = error.code() == KafkaError._PARTITION_EOF
            self.problem = "" if ended else f"the models topic cannot be read: {error.str()}"
            if ended:
                self._at_end.set()
            return
        key, value = message.key(), message.value()
        if key == self._model.encode() and value:
            self._decode(value)

    def _decode(self, value: bytes) -> None:
        try:
            champion = decode_champion(value)
        except msgspec.MsgspecError as error:
            self.problem = f"a record on the models topic is unreadable: {error}"
            return
        self.problem = ""
        self._on_champion(champion)
