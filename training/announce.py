"""Telling every scorer and the API which version serves, and which challenge it, on the compacted models topic."""

from collections.abc import Mapping
from typing import Any

from churn.errors import OutageError
from churn.scores import Champion, Lineup, encode, lineup_key

DELIVERY_SECONDS = 15.0


def announce(config: Mapping[str, object], topic: str, record: Champion | Lineup) -> None:
    """Publish a record of the champion, or of its challengers, and wait until all in-sync replicas have it; `config` is librdkafka's.

    Raises:
        OutageError: Kafka did not confirm it in time; the registry is already changed, announce again.
    """
    from confluent_kafka import KafkaException, Producer

    problems: list[str] = []

    def delivered(error: Any, _: Any) -> None:
        if error is not None:
            problems.append(str(error))

    timeout_ms = int(DELIVERY_SECONDS * 1000) - 1000
    # What goes wrong is raised as one sentence; the client would add ten lines a second on stderr.
    quiet = {"log_level": 2, **config}
    producer = Producer({**quiet, "enable.idempotence": True, "acks": "all", "message.timeout.ms": timeout_ms})
    try:
        producer.produce(topic, key=_key(record).encode(), value=encode(record), on_delivery=delivered)
        left = producer.flush(DELIVERY_SECONDS)
    except (KafkaException, BufferError) as error:
        raise _outage(record, topic, str(error)) from error
    if left or problems:
        raise _outage(record, topic, ", ".join(problems) or "no confirmation in time")


def _key(record: Champion | Lineup) -> str:
    return record.model if isinstance(record, Champion) else lineup_key(record.model)


def _outage(record: Champion | Lineup, topic: str, seen: str) -> OutageError:
    if isinstance(record, Champion):
        changed = f"{record.model} {record.version} is champion in the registry"
    else:
        changed = f"the challengers of {record.model} are changed in the registry"
    return OutageError(
        f"{changed}, but {topic} did not take the announcement ({seen}); "
        "announce it again with `churn models announce` when Kafka answers"
    )
