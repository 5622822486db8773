"""The ceiling: a confluent-kafka consumer that reads and decodes, and does nothing else.

    python -m compose.bench.peers.plain BROKERS SOURCE TARGET FOLDER PARTITIONS

It answers markers only, so that its end is seen as that of every peer is.
"""

from collections import defaultdict

from confluent_kafka import Consumer, Producer

from compose.bench.peers.job import FETCH, MARKER, Job
from compose.bench.peers.tiles import State, decode, fresh, row, update


def main(job: Job) -> None:
    """Run until killed."""
    group = {"group.id": "plain", "auto.offset.reset": "earliest"}
    consumer = Consumer({"bootstrap.servers": job.brokers, **group, **FETCH})
    producer = Producer({"bootstrap.servers": job.brokers})
    consumer.subscribe([job.source])
    states: dict[str, State] = defaultdict(fresh)
    while True:
        for message in consumer.consume(5_000, 0.05):
            event = decode(message.value() or b"")
            if event.user_id.startswith(MARKER):
                values = update(states[event.user_id], event)
                producer.produce(job.target, row(event.user_id, values), event.user_id)
        producer.poll(0)


if __name__ == "__main__":
    main(Job.of_command_line())
