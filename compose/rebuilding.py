"""The command that builds the state of every partition anew."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY, DEAD_LETTERS
from compose.topic_admin import ensure_topics
from feature_repo.declared import load
from stream_processors.rebuild import Rebuilder
from stream_processors.replay import Topics, settle


def rebuild_all(settings: Settings, say: Callable[[str], object]) -> list[dict[str, Any]]:
    """Rebuild partition by partition, saying how it goes; returns the figures.

    Raises:
        InputError: the topics have another number of partitions.
        DataError, OutageError: as `Rebuilder.rebuild`; partitions before it are done, and it may be run again.
    """
    ensure_topics(settings)
    declaration = load(settings.declaration)
    rebuilder, done = Rebuilder(settings, declaration), []
    say(f"building {settings.partitions} partitions for feature set {declaration.feature_set_version}")
    for number in range(settings.partitions):
        found = rebuilder.rebuild(number)
        done.append(found)
        say(
            f"partition {number}: {found.users:,} users, from {found.archived_events:,} archived events and offsets"
            f" {found.read_from:,} to {found.next_offset:,} of the topic"
        )
    topics = Topics(ACTIVITY.name(settings.topic_prefix), DEAD_LETTERS.name(settings.topic_prefix))
    counted = {found.partition: range(found.read_from, found.next_offset) for found in done}
    settled = settle(client_config(settings), topics, rebuilder.admission, counted)
    if settled:
        say(f"{settled:,} dead letters are events by this declaration and are counted now")
    say("now start the features workers; if features changed, run `churn apply` and train again")
    return [asdict(found) for found in done]
