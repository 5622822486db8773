"""Another number of partitions: every event is copied once, and every user's vector is what it was."""

import dataclasses
import json
import math
from collections.abc import Iterator
from datetime import timedelta

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from churn.kafka_config import client_config
from churn.scores import decode_champion
from churn.topics import ACTIVITY, MODELS
from compose.processes import wait_until
from compose.topic_admin import ensure_topics
from feature_repo import bundles
from feature_repo.archive import segments
from stream_processors.changelog import latest_by_key
from stream_processors.moving import COPIED_FROM, Moved, Mover
from tests.api.building import champion
from tests.api.streaming import promote
from tests.compose.shell import Shell
from tests.stream_processors.road import START, Road, event, history, road

USERS, INTO = 90, "moved"
PLAIN = history(USERS, days=20, per_day=300)
LATE = [event(f"u{n:05d}", "lesson_completed", START + timedelta(days=2 * n), f"l{n}") for n in range(5)]
BEFORE = [*PLAIN, *PLAIN[100:5000:7], *LATE]
"""With duplicates, and events up to 18 days late."""
SINCE = [*history(USERS, days=21, per_day=40, seed=2)[-40:], *PLAIN[:300], ("u00001", b"rubbish")]
"""Events of a day more, and duplicates that lie on other partitions now."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """Return a road of four partitions whose log has lost its first third to retention; the archive has it."""
    with road(tmp_path_factory.mktemp("moving"), CHURN_PARTITIONS="4") as found:
        for service in ("features", "archive"):
            found.stack.start_service(service, wait=False)
        found.publish(BEFORE)
        found.stack.wait_ready("features")
        found.wait_online_equals_truth()
        wait_until(lambda: archived_events(found) >= len(PLAIN) + len(LATE), 60, "everything is archived")
        promote(found.stack.kafka, found.settings.topic_prefix, champion(found.settings.models_dir, "1"))
        yield found


def archived_events(under: Road) -> int:
    folder = under.settings.archive_dir
    return sum(int(s.marker.read_text().rpartition(":")[2].strip("} ")) for s in segments(folder))


def cut(under: Road) -> None:
    admin = AdminClient(client_config(under.settings))
    places = [TopicPartition(ACTIVITY.name(under.settings.topic_prefix), number, 500) for number in range(4)]
    for future in admin.delete_records(places).values():
        assert future.result(30).low_watermark == 500


def enlarge(under: Road, partitions: int) -> None:
    admin = AdminClient(client_config(under.settings))
    name = ACTIVITY.name(under.settings.topic_prefix)
    for future in admin.create_partitions([NewPartitions(name, partitions)]).values():
        future.result(30)


def road_of(under: Road, prefix: str, partitions: int) -> Road:
    """Return the road on the same servers that has this prefix."""
    folder = under.settings.data_dir / f"data-{prefix}"
    own = {"topic_prefix": prefix, "partitions": partitions, "data_dir": folder}
    return dataclasses.replace(under, settings=under.settings.model_copy(update=own))


def moved(under: Road) -> Road:
    return road_of(under, INTO, 6)


def variables(of: Road) -> dict[str, str]:
    settings = of.settings
    own = {"CHURN_TOPIC_PREFIX": settings.topic_prefix, "CHURN_PARTITIONS": str(settings.partitions)}
    return own | {"CHURN_DATA_DIR": str(settings.data_dir)}


def rebuild(under: Road, into: str = INTO, partitions: int = 6) -> str:
    names = {k: v for k, v in under.stack.environment().items() if k.startswith("CHURN_")}
    return Shell({**names, "CHURN_PARTITIONS": str(partitions)}).succeed("rebuild", "--into", into).splitlines()[0]


def occurred(each: tuple[str, bytes]) -> str:
    return str(json.loads(each[1])["occurred_at"])


def places(of: Road) -> list[bytes]:
    return [dict(message.headers() or [])[COPIED_FROM] for message in of.read(ACTIVITY)]  # type: ignore[misc]  # the types say tuple or dict of str, the client gives pairs


def test_the_copies_give_every_user_the_vector_of_before(running: Road) -> None:
    before = running.online([f"u{n:05d}" for n in range(USERS)])
    running.stack.supervisor.children["features"].stop()
    cut(running)
    assert rebuild(running) == f"{len(PLAIN) + 5:,} events copied from 4 to 6 partitions; 0 were copied before"
    running.stack.start_service("features", extra=variables(moved(running)))
    assert before == running.batch(BEFORE)
    wait_until(
        lambda: moved(running).truth() == before, 10, "the batch over the copies equals the one over the originals"
    )
    assert moved(running).wait_online_equals_truth() == USERS


def test_an_enlarged_topic_is_refused_with_the_command(running: Road) -> None:
    enlarge(running, 6)
    child = running.stack.start_service("features", "features-old", wait=False)
    log = running.stack.log_path("features-old")
    wait_until(
        lambda: "topic churn-activity is of 6 partitions, CHURN_PARTITIONS is 4" in log.read_text(), 60, "why not"
    )
    assert "or the activity topic was enlarged, run `churn rebuild --into PREFIX`" in log.read_text()
    wait_until(lambda: child.status() != "running", 30, "the worker ends")


def test_events_from_before_and_after_the_enlargement_come_together(running: Road) -> None:
    running.publish(SINCE)
    homes: dict[bytes, set[int]] = {}
    for message in road_of(running, running.settings.topic_prefix, 6).read(ACTIVITY):
        homes.setdefault(message.key() or b"", set()).add(message.partition() or 0)
    assert sum(len(partitions) == 2 for partitions in homes.values()) > 10
    assert rebuild(running).endswith(f"from 6 to 6 partitions; {len(PLAIN) + 5:,} were copied before")
    wanted = running.batch([*BEFORE, *SINCE])
    wait_until(
        lambda: moved(running).online(sorted(wanted)) == wanted, 30, "the online store equals one batch over all"
    )
    assert rebuild(running).startswith("0 events copied")


def test_the_champion_serves_there_too(running: Road) -> None:
    settings = moved(running).settings
    named = latest_by_key(client_config(settings), MODELS.name(INTO), 0)
    champions = {key: decode_champion(value) for key, value in named.items()}
    assert (
        bundles.load(settings.models_dir, champions[b"churn"], running.declaration.feature_set_version).version == "1"
    )


def test_a_user_lies_on_the_partition_of_the_key(running: Road) -> None:
    homes = {(m.key(), m.partition()) for m in moved(running).read(ACTIVITY)}
    assert len(homes) == len({key for key, _ in homes}) == USERS


def test_a_copy_that_was_killed_is_finished_by_the_next(running: Road) -> None:
    again = road_of(running, "again", 3)
    ensure_topics(again.settings)
    there = moved(running).read(ACTIVITY)
    producer = Producer({**client_config(again.settings), "partitioner": "murmur2_random"})
    for message in there[::2]:
        producer.produce("again-activity", message.value(), message.key(), headers=message.headers())
    producer.flush(30)
    rest = len(there) - len(there[::2])
    assert (
        rebuild(running, "again", 3)
        == f"{rest:,} events copied from 6 to 3 partitions; {len(there[::2]):,} were copied before"
    )
    assert sorted(places(again)) == sorted(set(places(moved(running))))


def test_a_user_who_was_forgotten_and_came_back_is_on_the_new_partitions_too(running: Road) -> None:
    last = START + timedelta(days=70, hours=13)
    daily = [
        event(f"c{n}", "session_started", START + timedelta(days=d, hours=n), f"{d}-{n}")
        for d in range(71)
        for n in range(12)
    ]
    back = [
        each
        for n in range(8)
        for each in (event(f"b{n}", "signed_up", START, f"s{n}"), event(f"b{n}", "session_started", last, f"b{n}"))
    ]
    roads = [road_of(running, prefix, count) for prefix, count in (("long", 2), ("longer", 3))]
    source, target = (
        dataclasses.replace(r, settings=r.settings.model_copy(update={"user_ttl_days": 62})) for r in roads
    )
    for each in (source, target):
        ensure_topics(each.settings)
    source.publish(sorted([*daily, *back], key=occurred))
    assert Mover(source.settings, target.settings, running.declaration, lambda _: None).move() == Moved(
        2, 71 * 12 + 16, 0
    )
    assert target.truth() == source.truth()
    since_signup = running.declaration.feature_names.index("days_since_signup")
    assert [math.isnan(memoryview(source.truth()[f"b{n}"]).cast("f")[since_signup]) for n in range(8)] == [True] * 8
