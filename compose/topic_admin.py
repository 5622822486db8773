"""Creating the topics of the table in `churn.topics`, and checking those that exist."""

from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented there, re-exported without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from confluent_kafka.cimpl import NewTopic

from churn.errors import InputError, OutageError
from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import DEAD_LETTERS, TOPICS, Topic, other_partitions

TIMEOUT_SECONDS = 30.0


def ensure_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing; returns their names.

    Raises:
        InputError: a topic exists with another number of partitions.
        OutageError: Kafka does not answer.
    """
    admin = AdminClient({**client_config(settings), "log_level": 2})
    try:
        existing = admin.list_topics(timeout=TIMEOUT_SECONDS).topics
        missing = [t for t in TOPICS if t.name(settings.topic_prefix) not in existing]
        for topic in TOPICS:
            if topic not in missing:
                _check(topic, settings, len(existing[topic.name(settings.topic_prefix)].partitions))
        if DEAD_LETTERS not in missing:
            _keep_bound(admin, settings)
        futures = admin.create_topics([_new(topic, settings) for topic in missing]) if missing else {}
        return [name for name, future in futures.items() if _created(future)]
    except KafkaException as error:
        raise OutageError(
            f"Kafka at {settings.kafka_bootstrap_servers} does not answer ({error.args[0].str()});"
            " start it, or set CHURN_KAFKA_BOOTSTRAP_SERVERS"
        ) from error


def _created(future: Future[None]) -> bool:
    """Wait for one creation; returns False when somebody else, or a moment ago we, created the topic."""
    try:
        future.result(TIMEOUT_SECONDS)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    return True


def partitions_of(topic: Topic, settings: Settings) -> int:
    """Return how many partitions a topic has by the settings."""
    return settings.partitions if topic.partitioned else 1


def _new(topic: Topic, settings: Settings) -> NewTopic:
    return NewTopic(
        topic.name(settings.topic_prefix),
        partitions_of(topic, settings),
        settings.replication,
        config=_config(topic, settings),
    )


def _config(topic: Topic, settings: Settings) -> dict[str, str]:
    return topic.config(settings.dead_letters_max_mb)


def _keep_bound(admin: AdminClient, settings: Settings) -> None:
    """Give an existing dead-letter topic the bound that the settings say; asks first, because altering needs a right."""
    name, wanted = DEAD_LETTERS.name(settings.topic_prefix), _config(DEAD_LETTERS, settings)
    (found,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)]).values()
    held = found.result(TIMEOUT_SECONDS)
    wrong = [key for key in ("retention.bytes", "segment.bytes") if held[key].value != wanted[key]]
    if wrong:
        entries = [ConfigEntry(key, wanted[key], incremental_operation=AlterConfigOpType.SET) for key in wrong]
        altered = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        for done in admin.incremental_alter_configs([altered]).values():
            done.result(TIMEOUT_SECONDS)


def _check(topic: Topic, settings: Settings, found: int) -> None:
    wanted = partitions_of(topic, settings)
    if found != wanted:
        name = topic.name(settings.topic_prefix)
        if topic.partitioned:
            raise InputError(other_partitions(f"topic {name} is", found, wanted))
        raise InputError(f"topic {name} has {found} partitions, it must have 1; use another CHURN_TOPIC_PREFIX")
