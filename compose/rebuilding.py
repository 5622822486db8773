"""The command that builds the state of every partition anew, in place or on another number of partitions."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from churn.errors import InputError
from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY, DEAD_LETTERS, MODELS
from compose.progress import Progress
from compose.topic_admin import ensure_topics
from feature_repo.declared import load
from stream_processors.changelog import latest_by_key
from stream_processors.moving import Mover
from stream_processors.outputs import Output
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


def rebuild_into(settings: Settings, into: str, say: Callable[[str], object]) -> dict[str, Any]:
    """Copy every event and the champions to the topics of another prefix, of CHURN_PARTITIONS partitions.

    Raises:
        InputError: the topics of that prefix have another number of partitions, or it is the present prefix.
        DataError, OutageError: as `Mover.move`; it may be run again.
    """
    if into == settings.topic_prefix:
        raise InputError(f"--into {into} is the present CHURN_TOPIC_PREFIX: copies need topics of their own")
    target = settings.model_copy(update={"topic_prefix": into, "data_dir": settings.data_dir / f"data-{into}"})
    ensure_topics(target)
    progress = Progress(f"copying to {into}")
    mover = Mover(settings, target, load(settings.declaration), lambda events: progress.count("events", events))
    found = mover.move()
    _copy_champions(settings, target)
    say(
        f"{found.copied:,} events copied from {found.partitions} to {target.partitions} partitions;"
        f" {found.before:,} were copied before"
    )
    say(
        f"now publish to {ACTIVITY.name(into)}, run this again until it copies nothing, stop workers and API, and start them with"
        f" CHURN_TOPIC_PREFIX={into} CHURN_PARTITIONS={target.partitions} CHURN_DATA_DIR={target.data_dir}"
        f" CHURN_MLFLOW_TRACKING_URI={settings.tracking_uri}; run `churn apply` with these once"
    )
    return asdict(found)


def _copy_champions(settings: Settings, target: Settings) -> None:
    """Let the present champions serve there too, unless others were named there meanwhile."""
    config, there = client_config(settings), MODELS.name(target.topic_prefix)
    named, output = latest_by_key(config, there, 0), Output(config)
    if settings.models_dir.is_dir():
        shutil.copytree(settings.models_dir, target.models_dir, dirs_exist_ok=True)
    for key, value in latest_by_key(config, MODELS.name(settings.topic_prefix), 0).items():
        if key not in named:
            output.send(there, key, value)
    output.flush()
