"""The audit process on a real Kafka: it follows topic and archive, tells what it found, and goes on where it was."""

import random
from collections.abc import Sequence
from contextlib import AbstractContextManager

import msgspec
import numpy as np
import pytest
from confluent_kafka import Producer

from churn.blocks import FeatureBlock, encode
from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import FEATURES
from compose.processes import wait_until
from feature_repo.instruments import Instruments
from tests.churn.histories import DECLARATION, Happening, at
from tests.training.at_work import at_work
from tests.training.emitted import Streamed, late_and_repeated, stream
from training.auditor import Auditor, committed


@pytest.fixture(scope="module")
def streamed() -> Streamed:
    chance = random.Random(2)
    history = [
        Happening(f"u{chance.randrange(10)}", "read", at(chance.randrange(40), chance.randrange(86_400)), 5.0)
        for _ in range(200)
    ]
    return stream(late_and_repeated(history, chance), 5)


@pytest.fixture
def settings(one_partition: Settings) -> Settings:
    return one_partition


def publish(settings: Settings, blocks: Sequence[FeatureBlock]) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "acks": "all"})
    for block in blocks:
        producer.produce(FEATURES.name(settings.topic_prefix), encode(block), partition=0)
    assert producer.flush(30) == 0


def running(settings: Settings) -> AbstractContextManager[Auditor]:
    """Run an auditor in a thread; stop it at the end."""
    return at_work(Auditor(settings, DECLARATION, Instruments("audit")))


def numbers(auditor: Auditor, name: str) -> dict[str, float]:
    """Return a metric by the value of its label, "" without one."""
    samples = [s for family in auditor.instruments.registry.collect() for s in family.samples if s.name == name]
    return {"".join(sample.labels.values()): sample.value for sample in samples}


def wait_checked(auditor: Auditor, rows: int) -> None:
    wait_until(lambda: numbers(auditor, "churn_audit_checked_total")[""] >= rows, 30, f"{rows} rows are audited")
    assert numbers(auditor, "churn_audit_checked_total") == {"": rows}


def rows_of(blocks: Sequence[FeatureBlock]) -> int:
    return sum(len(block.users) for block in blocks)


def test_a_right_stream_counts_no_mismatch_of_any_feature(settings: Settings, streamed: Streamed) -> None:
    streamed.archive(settings.archive_dir)
    publish(settings, streamed.blocks)
    with running(settings) as auditor:
        wait_checked(auditor, rows_of(streamed.blocks))
        assert numbers(auditor, "churn_audit_mismatches_total") == dict.fromkeys(DECLARATION.feature_names, 0.0)
        assert auditor.not_ready() == []


def test_a_planted_value_counts_for_its_feature_alone(settings: Settings, streamed: Streamed) -> None:
    matrix = streamed.blocks[20].matrix.copy()
    matrix[0, DECLARATION.feature_names.index("mean_7d")] = np.float32(0.1)
    planted = msgspec.structs.replace(streamed.blocks[20], values=matrix.tobytes())
    streamed.archive(settings.archive_dir)
    publish(settings, [*streamed.blocks, planted])
    with running(settings) as auditor:
        wait_checked(auditor, rows_of(streamed.blocks) + len(planted.users))
        found = numbers(auditor, "churn_audit_mismatches_total")
    assert {name: count for name, count in found.items() if count} == {"mean_7d": 1.0}
    assert [example.feature for example in auditor.found.examples] == ["mean_7d"]


def test_blocks_wait_until_the_archive_covers_them(settings: Settings, streamed: Streamed) -> None:
    half = streamed.end // 2
    streamed.archive(settings.archive_dir, 0, half)
    publish(settings, streamed.blocks)
    covered = rows_of([block for block in streamed.blocks if block.source_offset <= half])
    with running(settings) as auditor:
        wait_checked(auditor, covered)
        assert numbers(auditor, "churn_audit_waiting_rows") == {"": rows_of(streamed.blocks) - covered}
        streamed.archive(settings.archive_dir, half)
        wait_checked(auditor, rows_of(streamed.blocks))


def test_a_restart_goes_on_where_the_audit_was(settings: Settings, streamed: Streamed) -> None:
    streamed.archive(settings.archive_dir)
    publish(settings, streamed.blocks[:30])
    with running(settings) as auditor:
        wait_checked(auditor, rows_of(streamed.blocks[:30]))
    publish(settings, streamed.blocks[30:])
    with running(settings) as again:
        wait_checked(again, rows_of(streamed.blocks[30:]))
        assert numbers(again, "churn_audit_mismatches_total") == dict.fromkeys(DECLARATION.feature_names, 0.0)


def test_bytes_that_are_no_block_are_skipped_and_counted(settings: Settings, streamed: Streamed) -> None:
    streamed.archive(settings.archive_dir)
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    producer.produce(FEATURES.name(settings.topic_prefix), b"no block", partition=0)
    assert producer.flush(30) == 0
    publish(settings, streamed.blocks[:3])
    with running(settings) as auditor:
        wait_checked(auditor, rows_of(streamed.blocks[:3]))
        assert numbers(auditor, "churn_skipped_blocks_total")["undecodable"] == 1.0


def test_a_new_group_starts_at_the_beginning(settings: Settings) -> None:
    config = client_config(settings)
    topic = FEATURES.name(settings.topic_prefix)
    assert committed(config, f"{settings.topic_prefix}-nobody", topic, range(1)) == {0: 0}
