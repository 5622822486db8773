"""State of another making is refused with what differs and what to do."""

import dataclasses

import pytest

from churn.admission import Admission
from churn.declaration import Declaration
from churn.errors import DataError
from churn.kafka_config import client_config
from churn.layout import layout_of
from churn.packing import PartitionMeta
from churn.settings import Settings
from churn.summary import summary
from churn.topics import DEAD_LETTERS, USER_STATE
from compose.kafka import KafkaServer
from compose.topic_admin import ensure_topics
from stream_processors.changelog import Changelog
from stream_processors.restore import Restorer
from tests.api.building import DECLARATION

CHANGED = dataclasses.replace(DECLARATION, features=DECLARATION.features[1:])


@pytest.fixture
def settings(kafka: KafkaServer, topic_prefix: str) -> Settings:
    """Return settings whose topics exist."""
    own = Settings(kafka_bootstrap_servers=kafka.bootstrap_servers, topic_prefix=topic_prefix, partitions=2)
    ensure_topics(own)
    return own


def store(settings: Settings, partitions: int, described: bool) -> None:
    """Leave a partition's record behind, as a worker with DECLARATION does."""
    prefix = settings.topic_prefix
    changelog = Changelog(client_config(settings), USER_STATE.name(prefix), 0, DEAD_LETTERS.name(prefix))
    changelog.claim()
    meta = PartitionMeta(DECLARATION.feature_set_version, partitions, 0, 0, 0, 1)
    changelog.write([], [], meta, described=summary(DECLARATION) if described else None)
    changelog.close()


def restorer(settings: Settings, declaration: Declaration) -> Restorer:
    return Restorer(settings, declaration, Admission(layout_of(declaration), 0), lambda: 0)


def load(settings: Settings, declaration: Declaration) -> None:
    restorer(settings, declaration).load(0, 1).changelog.close()


def test_another_number_of_partitions_is_refused_with_the_one_to_set(settings: Settings) -> None:
    store(settings, partitions=4, described=True)
    with pytest.raises(
        DataError, match=r"stored state is of 4 partitions, CHURN_PARTITIONS is 2; .*CHURN_PARTITIONS=4"
    ):
        load(settings, DECLARATION)


def test_topics_of_another_number_of_partitions_are_refused_before_anything_is_read(settings: Settings) -> None:
    larger = settings.model_copy(update={"partitions": 3})
    with pytest.raises(DataError, match=r"-activity is of 2 partitions, CHURN_PARTITIONS is 3; .*churn rebuild --into"):
        restorer(larger, DECLARATION).check_topics()
    restorer(settings, DECLARATION).check_topics()


def test_another_declaration_is_refused_by_the_names_that_differ(settings: Settings) -> None:
    store(settings, partitions=2, described=True)
    gone = DECLARATION.feature_names[0]
    with pytest.raises(DataError, match=rf"gone: feature {gone}\. Run `churn rebuild`"):
        load(settings, CHANGED)


def test_state_from_before_declarations_were_stored_is_refused_too(settings: Settings) -> None:
    store(settings, partitions=2, described=False)
    with pytest.raises(DataError, match=r"what changed was not stored\. Run `churn rebuild`"):
        load(settings, CHANGED)


def test_the_same_declaration_goes_on(settings: Settings) -> None:
    store(settings, partitions=2, described=False)
    load(settings, DECLARATION)
    with pytest.raises(DataError, match="gone: feature"):  # the first load has stored the words
        load(settings, CHANGED)
