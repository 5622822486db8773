"""The durable state on a real Kafka: all or nothing, one owner, and no failure that lasts."""

from collections.abc import Iterator

import pytest

from churn.errors import OutageError
from churn.kafka_config import client_config
from churn.packing import PartitionMeta
from churn.settings import Settings
from churn.topics import DEAD_LETTERS, USER_STATE
from compose.kafka import KafkaServer
from compose.topic_admin import ensure_topics
from stream_processors import changelog as changelogs
from stream_processors.changelog import Changelog, FencedOwnerError, read


def meta(next_offset: int) -> PartitionMeta:
    return PartitionMeta("abc", 4, next_offset, 0, 0, 1)


@pytest.fixture
def settings(kafka: KafkaServer, topic_prefix: str) -> Settings:
    """Return settings whose topics exist."""
    own = Settings(kafka_bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix)
    ensure_topics(own)
    return own


def owner(settings: Settings) -> Changelog:
    prefix = settings.topic_prefix
    found = Changelog(client_config(settings), USER_STATE.name(prefix), 2, DEAD_LETTERS.name(prefix))
    found.claim()
    return found


@pytest.fixture
def changelog(settings: Settings) -> Iterator[Changelog]:
    """Return the changelog of partition 2, owned."""
    found = owner(settings)
    yield found
    found.close()


def stored(settings: Settings) -> tuple[PartitionMeta | None, dict[bytes, bytes]]:
    return read(client_config(settings), USER_STATE.name(settings.topic_prefix), 2)[:2]


def test_an_untouched_partition_has_no_state(settings: Settings) -> None:
    assert stored(settings) == (None, {})


def test_the_last_value_of_each_user_is_read_with_the_offset_it_belongs_to(
    settings: Settings, changelog: Changelog
) -> None:
    changelog.write(["ann", "Ünal"], [b"1", b"2"], meta(10))
    changelog.write(["ann"], [b"3"], meta(20))
    assert stored(settings) == (meta(20), {b"ann": b"3", "Ünal".encode(): b"2"})


def test_a_write_that_fails_leaves_nothing_and_the_next_one_succeeds(settings: Settings, changelog: Changelog) -> None:
    with pytest.raises(OutageError, match="did not take a checkpoint"):
        changelog.write(["ann", "bob"], [b"1", b"x" * 5_000_000], meta(10))
    assert stored(settings) == (None, {})
    changelog.write(["ann"], [b"2"], meta(20))
    assert stored(settings) == (meta(20), {b"ann": b"2"})


def test_a_former_owner_is_refused(settings: Settings, changelog: Changelog) -> None:
    newer = owner(settings)
    newer.write(["ann"], [b"new"], meta(20))
    with pytest.raises(FencedOwnerError, match="another worker owns this partition now"):
        changelog.write(["ann"], [b"old"], meta(10))
    newer.close()
    assert stored(settings) == (meta(20), {b"ann": b"new"})


def test_a_broker_that_is_silent_for_longer_than_we_wait_blocks_no_later_owner(
    settings: Settings, kafka: KafkaServer, changelog: Changelog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changelogs, "TIMEOUT_SECONDS", 1.0)
    kafka.freeze()
    try:
        with pytest.raises(OutageError):
            changelog.write(["ann"], [b"1"], meta(10))
    finally:
        kafka.thaw()
    monkeypatch.undo()
    fresh = owner(settings)
    fresh.write(["ann"], [b"2"], meta(20))
    fresh.close()
    assert stored(settings) == (meta(20), {b"ann": b"2"})


def test_the_declaration_in_words_stays_until_it_is_written_anew(settings: Settings, changelog: Changelog) -> None:
    changelog.write([], [], meta(10), described={"feature a": "sum of a"})
    changelog.write(["ÿdeclaration"], [b"1"], meta(20))
    found = read(client_config(settings), USER_STATE.name(settings.topic_prefix), 2)
    assert found.described == {"feature a": "sum of a"}
    assert found.users == {"ÿdeclaration".encode(): b"1"}


def test_a_forgotten_user_is_gone_and_one_who_returns_in_the_same_checkpoint_is_not(
    settings: Settings, changelog: Changelog
) -> None:
    changelog.write(["ann", "bob"], [b"1", b"2"], meta(10))
    changelog.write(["ann", "bob", "bob"], [None, None, b"3"], meta(20))
    assert stored(settings) == (meta(20), {b"bob": b"3"})
