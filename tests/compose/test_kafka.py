from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from compose.kafka import KafkaServer, cluster_id
from compose.local import free_ports
from compose.processes import ChildDiedError, wait_until


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[KafkaServer]:
    """Return a broker of the test's own, which it may kill; its folder has a name that is not ASCII."""
    port, controller_port = free_ports(2)
    server = KafkaServer(tmp_path / "Daten für Kafka", port, controller_port)
    server.start()
    yield server
    server.stop()


def create_topic(server: KafkaServer, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": server.bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)


def write(server: KafkaServer, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": server.bootstrap_servers})
    producer.produce(topic, value)
    assert producer.flush(30) == 0


def read_first(server: KafkaServer, topic: str) -> bytes | None:
    config = {"bootstrap.servers": server.bootstrap_servers, "group.id": topic, "auto.offset.reset": "earliest"}
    consumer = Consumer(config)
    consumer.subscribe([topic])
    message = consumer.poll(30)
    consumer.close()
    return message.value() if message is not None else None


def test_written_message_survives_a_kill_and_restart_on_the_same_port(own_kafka: KafkaServer) -> None:
    create_topic(own_kafka, "survivor")
    write(own_kafka, "survivor", b"still here")
    own_kafka.kill()
    own_kafka.start()
    assert read_first(own_kafka, "survivor") == b"still here"


def test_frozen_broker_answers_again_after_thaw(own_kafka: KafkaServer) -> None:
    own_kafka.freeze()
    assert not own_kafka.answers()
    own_kafka.thaw()
    wait_until(own_kafka.answers, 30, "the thawed broker answers")


def test_topic_that_nobody_created_does_not_appear(kafka: KafkaServer, topic_prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    admin.list_topics(f"{topic_prefix}-unknown", timeout=10)
    assert f"{topic_prefix}-unknown" not in admin.list_topics(timeout=10).topics


def test_broker_that_cannot_start_shows_the_end_of_its_log(kafka: KafkaServer, tmp_path: Path) -> None:
    second = KafkaServer(tmp_path, kafka.port, free_ports(1)[0])
    with pytest.raises(ChildDiedError, match=r"(?s)kafka exited with code 1.*Address already in use"):
        second.start()


def test_cluster_ids_have_kafkas_form() -> None:
    ids = [cluster_id() for _ in range(200)]
    assert {len(each) for each in ids} == {22}
    assert not [each for each in ids if each.startswith("-")]
