"""Topics and records for tests of what follows Kafka."""

from datetime import timedelta

from confluent_kafka import Producer

from churn import scores
from churn.scores import Champion, Lineup, Reason, Score, lineup_key
from churn.topics import MODELS
from compose.kafka import KafkaServer
from tests.api.building import AS_OF


def publish(kafka: KafkaServer, topic: str, *records: tuple[str, bytes]) -> None:
    """Write records and wait until the broker has them."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 0})
    for key, value in records:
        producer.produce(topic, value, key)
    assert producer.flush(10) == 0


def promote(kafka: KafkaServer, prefix: str, champion: Champion) -> None:
    """Name a champion on the models topic."""
    publish(kafka, MODELS.name(prefix), (champion.model, scores.encode(champion)))


def line_up(kafka: KafkaServer, prefix: str, lineup: Lineup) -> None:
    """Name challengers on the models topic."""
    publish(kafka, MODELS.name(prefix), (lineup_key(lineup.model), scores.encode(lineup)))


def score(
    user_id: str, probability: float, band: scores.Band, text: str = "no activity for 12 days", active: bool = True
) -> Score:
    """Return a score whose oldest new event arrived half a second after AS_OF."""
    reasons = [Reason("days_since_last_activity", 12.0, 0.5, text)]
    arrived = AS_OF + timedelta(milliseconds=500)
    return Score(user_id, probability, band, reasons, "churn", "1", "f", AS_OF, AS_OF, 0, 1, arrived, active)
