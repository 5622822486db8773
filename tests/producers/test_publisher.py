from collections import defaultdict

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from churn.errors import OutageError
from compose.kafka import KafkaServer
from producers.publisher import Publisher

PARTITIONS = 4
# librdkafka would tell stderr of every refused connection.
QUIET = {"log_level": 0}


@pytest.fixture
def topic(kafka: KafkaServer, topic_prefix: str) -> str:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    name = f"{topic_prefix}-activity"
    admin.create_topics([NewTopic(name, num_partitions=PARTITIONS, replication_factor=1)])[name].result(timeout=30)
    return name


def received(kafka: KafkaServer, topic: str, count: int) -> list[tuple[int, str, bytes]]:
    """Read (partition, key, value) of `count` messages from the beginning."""
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    messages = consumer.consume(count, timeout=30)
    consumer.close()
    return [(message.partition() or 0, (message.key() or b"").decode(), message.value() or b"") for message in messages]


def test_every_event_arrives_once_with_its_key(kafka: KafkaServer, topic: str) -> None:
    sent = [(f"u{i % 7}", b"%d" % i) for i in range(5000)]
    with Publisher({"bootstrap.servers": kafka.bootstrap_servers}, topic) as publisher:
        publisher.publish_all(sent)
    assert publisher.delivered == 5000
    got = received(kafka, topic, 5000)
    assert sorted((key, value) for _, key, value in got) == sorted(sent)


def test_events_of_one_user_stay_in_order_on_one_partition(kafka: KafkaServer, topic: str) -> None:
    with Publisher({"bootstrap.servers": kafka.bootstrap_servers}, topic) as publisher:
        for i in range(3000):
            publisher.publish(f"u{i % 50}", b"%d" % i)
    seen: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for partition, key, value in received(kafka, topic, 3000):
        seen[key].append((partition, int(value)))
    assert len(seen) == 50
    assert all(len({partition for partition, _ in rows}) == 1 and rows == sorted(rows) for rows in seen.values())


def test_users_lie_where_the_java_clients_put_them(kafka: KafkaServer, topic: str) -> None:
    # murmur2 by Kafka's own UtilsTest: "21" is -973932308, "foobar" -790332482; without the sign, modulo 4: 0 and 2.
    with Publisher({"bootstrap.servers": kafka.bootstrap_servers}, topic) as publisher:
        publisher.publish_all([("21", b"x"), ("foobar", b"y")])
    assert sorted(received(kafka, topic, 2)) == [(0, "21", b"x"), (2, "foobar", b"y")]


def test_an_unreachable_broker_is_an_outage_that_says_so(free_port: int) -> None:
    publisher = Publisher(
        {**QUIET, "bootstrap.servers": f"127.0.0.1:{free_port}"}, "nowhere", flush_timeout_seconds=0.2
    )
    publisher.publish("u1", b"x")
    with pytest.raises(OutageError, match=r"nowhere: 1 of 1 events not delivered after 0 s; is the broker reachable"):
        publisher.flush()
    assert publisher.delivered == 0


def test_an_event_that_never_arrives_is_told_at_the_next_poll(free_port: int) -> None:
    config: dict[str, object] = {**QUIET, "bootstrap.servers": f"127.0.0.1:{free_port}", "message.timeout.ms": 100}
    publisher = Publisher(config, "nowhere", flush_timeout_seconds=10)
    publisher.publish("u1", b"x")
    with pytest.raises(OutageError, match=r"Local: Message timed out"):
        publisher.flush()


def test_an_error_in_the_block_is_not_hidden_by_waiting_for_the_broker(free_port: int) -> None:
    config: dict[str, object] = {**QUIET, "bootstrap.servers": f"127.0.0.1:{free_port}"}
    publisher = Publisher(config, "nowhere")
    publisher.publish("u1", b"x")
    with pytest.raises(ValueError, match="ours"), publisher:
        raise ValueError("ours")


def test_an_event_too_large_for_the_broker_is_refused_at_once(free_port: int) -> None:
    publisher = Publisher({**QUIET, "bootstrap.servers": f"127.0.0.1:{free_port}"}, "nowhere")
    with pytest.raises(OutageError, match="cannot publish"):
        publisher.publish("u1", b"x" * 2_000_000)
