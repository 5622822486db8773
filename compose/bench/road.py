"""Events per second of the whole road, from the activity topic to scores on their topic, with all workers running."""

from typing import Any

from churn.errors import DefectError
from churn.kafka_config import client_config
from churn.scores import decode
from churn.settings import Settings
from churn.topics import ACTIVITY, FEATURES, SCORES
from compose.bench.clock import now_us
from compose.bench.feed import random_users
from compose.bench.load import event
from compose.bench.outside import Ends, Received, ends, messages_since, receiving
from compose.bench.served import Served
from compose.processes import wait_until
from compose.waiting import wait_done
from producers.publisher import Publisher

DONE_SECONDS = 300.0


def measure(served: Served) -> dict[str, Any]:
    """Return the rate from the thaw of the features worker, before a full topic, to the last score that was missing."""
    settings, count = served.settings, served.bench.sizes.road_events
    starts, worker = ends(settings), served.bench.stack.supervisor.children["features"]
    with receiving(settings) as received:
        worker.freeze()
        _publish(served, count)
        cpu_before, began_us = served.cpu_seconds(), now_us()
        worker.thaw()
        _wait_scored(served, received, ends(settings, SCORES))
        cpu = served.cpu_seconds()
    users, last_us = complete(received, last_offsets(settings, starts))
    seconds = (last_us - began_us) / 1e6
    served.bench.say(f"road: {count / seconds:,.0f} events/s until every user's last score is on its topic")
    return {
        "events": count,
        "users": users,
        "scores": len(received),
        "seconds": round(seconds, 3),
        "events_per_second": round(count / seconds),
        "cpu_us_per_event": {name: round(1e6 * (spent - cpu_before[name]) / count, 2) for name, spent in cpu.items()},
    }


def _publish(served: Served, count: int) -> None:
    users, now = random_users(served.users), now_us()
    with Publisher(client_config(served.settings), ACTIVITY.name(served.settings.topic_prefix)) as publisher:
        publisher.publish_all(event(next(users), f"road-{now:x}-{number:x}", now, number) for number in range(count))


def _wait_scored(served: Served, received: Received, starts: Ends) -> None:
    settings, check = served.settings, served.bench.stack.check
    for worker, topic in (("features", ACTIVITY), ("scorer", FEATURES)):
        wait_done(settings, worker, topic, DONE_SECONDS, check, lambda *_: None)
    there = sum(ends(settings, SCORES).values()) - sum(starts.values())
    wait_until(lambda: len(received) >= there, DONE_SECONDS, f"all {there:,} scores are received")


def last_offsets(settings: Settings, starts: Ends) -> dict[str, int]:
    """Return the offset of each user's last event since these offsets."""
    return {message.key().decode(): message.offset() for message in messages_since(settings, starts)}


def complete(received: Received, last: dict[str, int]) -> tuple[int, int]:
    """Return how many users there are, and when the last of them had a score with all events, in microseconds.

    Raises:
        DefectError: a user has none.
    """
    missing, last_us = dict(last), 0
    for at_us, value in received:
        score = decode(value)
        # All events of the partition below the source offset are in the score.
        if missing.get(score.user_id, score.source_offset) < score.source_offset:
            del missing[score.user_id]
            last_us = at_us
    if missing:
        raise DefectError(f"{len(missing)} of {len(last)} users have no score of their last event, as {min(missing)}")
    return len(last), last_us
