"""A background thread that follows Kafka for as long as the process lives, outages included."""

import threading
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from churn.errors import OutageError

RETRY_SECONDS = 1.0
METADATA_SECONDS = 3.0
STOP_SECONDS = 10.0
# Followers read from given offsets and commit nothing; the group is a name that librdkafka insists on.
READ_ONLY = {"enable.auto.commit": False, "auto.offset.reset": "earliest", "isolation.level": "read_committed"}

Session = Callable[["Following"], None]


class Following:
    """Runs a session in a thread, and again after an outage, until stopped.

    `outage` says why Kafka cannot be followed right now; None while it can.
    """

    def __init__(self, name: str, session: Session) -> None:
        """Prepare; nothing runs before `start`."""
        self._session = session
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.outage: str | None = "not followed yet"

    @property
    def active(self) -> bool:
        """Return whether the session should go on."""
        return not self._stopped.is_set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the session to end and wait until it has."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def rest(self, seconds: float) -> None:
        """Wait, or return at once when stopped."""
        self._stopped.wait(seconds)

    def _run(self) -> None:
        while self.active:
            try:
                self._session(self)
            except (KafkaException, OutageError) as error:
                self.outage = sentence(error)
                self.rest(RETRY_SECONDS)
            except BaseException:
                self.outage = "following ended with a defect of ours; the log says which, start the process again"
                raise


def sentence(error: Exception) -> str:
    """Return an error in words; Kafka's own carry theirs in an inner object."""
    inner = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return f"Kafka does not answer: {inner.str()}" if inner is not None else str(error)


def partitions(consumer: Consumer, topic: str) -> list[int]:
    """Return the partitions of a topic.

    Raises:
        OutageError: the topic does not exist (yet).
        KafkaException: no broker answers.
    """
    found: Any = consumer.list_topics(topic, timeout=METADATA_SECONDS).topics[topic]
    if found.error is not None or not found.partitions:
        raise OutageError(f"topic {topic} does not exist; create it with `churn topics`")
    return sorted(found.partitions)


def end_offset(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the first and the next offset of a partition."""
    first, following = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=METADATA_SECONDS)
    return int(first), int(following)
