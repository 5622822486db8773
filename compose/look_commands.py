"""Commands that show what is in the system: topics as they fill, a user by Feast."""

import json
import time
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import click
from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from churn.errors import InputError, OutageError, UnknownUserError
from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY, DEAD_LETTERS, MODELS, SCORES, Topic
from compose.figures import json_option, write_figures
from compose.topic_admin import partitions_of

QUIET_SECONDS = 5.0
READABLE = {topic.suffix: topic for topic in (ACTIVITY, SCORES, DEAD_LETTERS, MODELS)}


@click.command()
@click.argument("topic", type=click.Choice(sorted(READABLE)))
@click.option("--count", default=0, help="end after so many messages (default: never)")
@click.option("--from-beginning", is_flag=True, help="start with the oldest message instead of the next one")
@click.pass_obj
def tail(settings: Settings, topic: str, count: int, from_beginning: bool) -> None:
    """Print the messages of TOPIC as they come: key, tab, value."""
    for shown, message in enumerate(_messages(settings, READABLE[topic], from_beginning), 1):
        key, value = ((data or b"").decode(errors="replace") for data in (message.key(), message.value()))
        notes = json.dumps({k: (v or b"").decode(errors="replace") for k, v in message.headers() or []})
        click.echo(f"{key}\t{value}" + (f"\t{notes}" if message.headers() else ""))
        if shown == count:
            return


def _messages(settings: Settings, topic: Topic, from_beginning: bool) -> Any:
    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": f"{settings.topic_prefix}-tail",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "log_level": 2,
        }
    )
    start = 0 if from_beginning else OFFSET_END
    name = topic.name(settings.topic_prefix)
    silent_since = time.monotonic()
    try:
        if name not in _topics(consumer, settings):
            raise InputError(f"topic {name} does not exist; run `churn topics`")
        consumer.assign([TopicPartition(name, p, start) for p in range(partitions_of(topic, settings))])
        while True:
            message = consumer.poll(1.0)
            if message is None:
                # Say so when it is not the topic that is quiet but Kafka that is away.
                if time.monotonic() - silent_since > QUIET_SECONDS:
                    _topics(consumer, settings)
            elif message.error() is None:
                silent_since = time.monotonic()
                yield message
    finally:
        consumer.close()


def _topics(consumer: Consumer, settings: Settings) -> Container[str]:
    """Return the names of all topics; raises OutageError when Kafka does not answer."""
    try:
        return set(consumer.list_topics(timeout=QUIET_SECONDS).topics)
    except KafkaException as error:
        raise OutageError(
            f"Kafka at {settings.kafka_bootstrap_servers} does not answer: {error.args[0].str()}"
        ) from error


@click.command()
@click.argument("user_id")
@json_option
@click.pass_obj
def lookup(settings: Settings, user_id: str, json_file: Path | None) -> None:
    """Print a user's features and score as Feast's `get_online_features` gives them."""
    from feature_repo.layout import SERVICE
    from feature_repo.store import default_registry, open_store

    registry = settings.feast_registry or default_registry(settings.data_dir)
    store = open_store(settings.feast_project, settings.redis_url.get_secret_value(), registry)
    found = store.get_online_features(store.get_feature_service(SERVICE), [{"user_id": user_id}]).to_dict()
    # Feast gives a user it has never seen as present, with nothing in it.
    if all(values[0] is None for name, values in found.items() if name != "user_id"):
        raise UnknownUserError(
            f"user {user_id!r} is unknown: the online store of Feast project {settings.feast_project} has no row;"
            " check the id, or wait until the features worker has read an event of this user"
        )
    for name, values in found.items():
        click.echo(f"{name:32} {values[0]}")
    if found.get("probability", [None])[0] is None:
        click.echo(f"user {user_id} has no score in the online store (yet)", err=True)
    write_figures(json_file, {name: values[0] for name, values in found.items()})


def kafka_answers(settings: Settings) -> None:
    """Raise OutageError when Kafka does not answer within a few seconds."""
    consumer = Consumer({**client_config(settings), "group.id": f"{settings.topic_prefix}-reader", "log_level": 2})
    try:
        _topics(consumer, settings)
    finally:
        consumer.close()


def read_to_end(settings: Settings, topic: Topic) -> Iterator[bytes]:
    """Yield every value of a topic from its beginning to its present end."""
    name = topic.name(settings.topic_prefix)
    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": f"{settings.topic_prefix}-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 5,
            "log_level": 2,
        }
    )
    left = partitions_of(topic, settings)
    consumer.assign([TopicPartition(name, p, 0) for p in range(left)])
    try:
        while left:
            for message in consumer.consume(10_000, 0.5):
                if message.error() is None:
                    yield message.value() or b""
                else:
                    left -= 1
    finally:
        consumer.close()
