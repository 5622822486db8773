"""Everything that leaves a worker for Kafka, and the proof that it arrived."""

from typing import Any

from confluent_kafka import KafkaException, Producer

from churn.errors import OutageError
from churn.kafka_config import ClientConfig
from churn.topics import LARGE_MESSAGE_BYTES

FLUSH_SECONDS = 30.0


class LostMessagesError(OutageError):
    """Messages were given up by the client; only a replay from the last checkpoint brings them back."""


class Output:
    """An idempotent producer that counts what was not delivered."""

    def __init__(self, config: ClientConfig) -> None:
        self._failed: list[str] = []
        self._producer = Producer(
            {
                **config,
                "enable.idempotence": True,
                "compression.type": "lz4",
                # 5 ms fills batches under load and is a twentieth of the freshness budget at rest.
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 1_048_576,
                "message.max.bytes": LARGE_MESSAGE_BYTES,
                "partitioner": "murmur2_random",
                "log_level": 2,
            }
        )

    def send(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int = -1, headers: Any = None
    ) -> None:
        """Queue one message; delivery is proven by `flush`."""
        while True:
            try:
                if headers is None:
                    self._producer.produce(topic, value, key, partition, on_delivery=self._delivered)
                else:
                    self._producer.produce(topic, value, key, partition, headers=headers, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failed.append(error.str())

    def poll(self) -> None:
        """Let delivery reports in."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until everything queued is delivered.

        Raises:
            OutageError: some are still on their way; flush again.
            LostMessagesError: some were given up; start again from the last checkpoint.
        """
        try:
            left = self._producer.flush(FLUSH_SECONDS)
        except KafkaException as error:
            raise OutageError(f"Kafka does not take messages: {error.args[0].str()}") from error
        failed, self._failed = self._failed, []
        if failed:
            raise LostMessagesError(
                f"{len(failed)} messages were given up ({failed[0]}); start again from the checkpoint"
            )
        if left:
            raise OutageError(f"{left} messages are not delivered after {FLUSH_SECONDS:g} s; Kafka is slow or away")
