"""Challengers on a whole road: what each says of everyone, whom it serves, and that a kill or a change says nothing else."""

import json
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import count
from typing import Any

import msgspec
import numpy as np
import pytest
import redis

from churn.arms import arms
from churn.blocks import ShadowBlock, decode_features, decode_shadow
from churn.kafka_config import client_config
from churn.model import Scorer
from churn.scores import Challenger, Champion, Lineup, Score, decode
from churn.topics import FEATURES, MODELS, SCORES, SHADOW
from compose.processes import wait_until
from feature_repo.bundles import load
from feature_repo.reader import OnlineReader
from tests.api.building import AS_OF, challenger, champion, lineup, model
from tests.stream_processors.road import START, Road, event, history, road
from tests.stream_processors.said import own_scores, wait_for_every_score
from training.announce import announce

USERS = [f"u{number:05d}" for number in range(40)]
FIRST = {"2": 0.3, "3": 0.0, "4": 0.2}
"""Versions with their shares; the bundle of 4 is not the one that is named."""
Said = tuple[str, int, int, int, tuple[str, ...]]


@pytest.fixture(scope="module")
def named(running: Road) -> Mapping[str, Champion | Challenger]:
    """Return what names each version."""
    return {"1": saved(running, "1")} | {version: challenging(running, version) for version in "234"}


@pytest.fixture(scope="module")
def scorers(running: Road, named: Mapping[str, Champion | Challenger]) -> Mapping[str, Scorer]:
    """Return the versions that can be served."""
    features = running.declaration.feature_set_version
    return {version: load(running.settings.models_dir, named[version], features) for version in "123"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """Return a road with features worker, scorer and API, on which version 1 is challenged by three, one of them broken."""
    with road(tmp_path_factory.mktemp("split"), CHURN_PARTITIONS="2") as found:
        say(found, saved(found, "1"))
        say(found, lineup_of(found, FIRST))
        for name in ("features", "scorer", "api"):
            found.stack.start_service(name, wait=False)
        found.stack.wait_ready("features")
        wait_until(
            lambda: "version 4 was refused" in "".join(found.reasons("scorer")), 60, "the scorer says what it misses"
        )
        found.stack.wait_ready("api")
        found.publish(history(len(USERS), days=4, per_day=100))
        found.wait_online_equals_truth()
        yield found


def saved(under: Road, version: str) -> Champion:
    """Write the bundle of a version, whose intercept is its number."""
    made = model(intercept=-float(version), declaration=under.declaration)
    return champion(under.settings.models_dir, version, made)


def challenging(under: Road, version: str, share: float = 0.0) -> Challenger:
    made = model(intercept=-float(version), declaration=under.declaration)
    whole = challenger(under.settings.models_dir, version, share, made)
    return msgspec.structs.replace(whole, sha256="0" * 64) if version == "4" else whole


def lineup_of(under: Road, shares: Mapping[str, float], seconds: float = 1.0) -> Lineup:
    return lineup(*(challenging(under, version, share) for version, share in shares.items()), seconds=seconds)


def say(under: Road, record: Champion | Lineup) -> None:
    announce(client_config(under.settings), MODELS.name(under.settings.topic_prefix), record)


def arm_of(shares: Mapping[str, float]) -> Callable[[str], str]:
    """Return what tells a user's version: who is in the share of the broken one stays with the champion."""
    versions = [version if version != "4" else "1" for version in shares] + ["1"]
    chosen = arms(USERS, list(shares.values())).tolist()
    return {user: versions[arm] for user, arm in zip(USERS, chosen, strict=True)}.__getitem__


def last_scores(under: Road) -> dict[str, Score]:
    return {score.user_id: score for score in (decode(m.value() or b"") for m in under.read(SCORES))}


def wait_until_served_as(under: Road, shares: Mapping[str, float]) -> None:
    wanted = {user: arm_of(shares)(user) for user in USERS}
    wait_until(
        lambda: {user: score.model_version for user, score in last_scores(under).items()} == wanted,
        20,
        "all have their arm",
    )


def shadows(under: Road) -> list[ShadowBlock]:
    return [decode_shadow(message.value() or b"") for message in under.read(SHADOW)]


def key_of(block: ShadowBlock) -> Said:
    return block.version, block.partition, block.as_of_us, block.source_offset, tuple(block.users)


def test_each_challengers_shadow_equals_its_model_to_the_bit_for_every_block(
    running: Road, scorers: Mapping[str, Scorer]
) -> None:
    wait_for_every_score(running)
    found = [decode_features(message.value() or b"") for message in running.read(FEATURES)]
    expected = {
        (version, block.partition, block.as_of_us, block.source_offset, tuple(block.users)):
            scorers[version].score(block.matrix).probability.tobytes()
        for block in found if block.users for version in "23"
    }  # fmt: skip
    assert len(expected) > 10
    wait_until(
        lambda: expected.keys() <= {key_of(block) for block in shadows(running)}, 20, "every block has its shadows"
    )
    assert {key_of(block): block.values for block in shadows(running)} == expected


def test_a_users_score_is_that_of_the_arm_on_the_topic_in_redis_and_in_the_api(
    running: Road, scorers: Mapping[str, Scorer]
) -> None:
    found, of = wait_for_every_score(running)
    version_of, broken = arm_of(FIRST), arms(USERS, list(FIRST.values())) == list(FIRST).index("4")
    assert {version_of(user) for user in USERS} == {"1", "2"}
    assert {score.user_id: score.model_version for score in found} == {user: version_of(user) for user in USERS}
    assert own_scores(running, scorers, found, of) == found
    since = {
        user: AS_OF + timedelta(seconds=0 if left else 1) for user, left in zip(USERS, broken.tolist(), strict=True)
    }
    assert broken.any()
    assert {score.user_id: score.promoted_at for score in found} == since
    last = last_scores(running)
    wanted = {user: (version_of(user), float(np.float32(last[user].probability))) for user in USERS}
    wait_until(lambda: stored(running) == wanted, 20, "the online rows are the arms'")
    for user in USERS:
        answer = answered(running, user)
        assert (answer["score"]["model_version"], answer["explanation"]["model_version"]) == (version_of(user),) * 2
        assert answer["explanation"]["probability"] == last[user].probability
        assert [reason["text"] for reason in answer["reasons"]] == [reason.text for reason in last[user].reasons]


def stored(under: Road) -> dict[str, tuple[str, float]]:
    """Return each user's version and probability in the online store."""
    with redis.Redis.from_url(under.stack.redis.url) as client:
        reader = OnlineReader(client, under.settings.feast_project, under.declaration.feature_names)
        rows = reader.read_many(USERS)
        reader.close()
    return {row.user_id: (row.score.model_version, row.score.probability) for row in rows if row.score is not None}


def answered(under: Road, user: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{under.stack.url('api')}/users/{user}", timeout=5) as answer:  # noqa: S310  our own http url
        found: dict[str, Any] = json.load(answer)
    return found


def test_a_change_of_shares_scores_everyone_anew_and_one_of_shadows_nobody(running: Road) -> None:
    second = {"2": 0.7, "3": 0.0}
    say(running, lineup_of(running, second, seconds=2))
    wait_until_served_as(running, second)
    kept = [user for user in USERS if arm_of(FIRST)(user) == "2"]
    assert {arm_of(second)(user) for user in kept} == {"2"}
    third = lineup_of(running, {"2": 0.7}, seconds=3)
    say(running, third)
    numbers = count()

    def scored_since() -> bool:
        running.publish([event(USERS[0], "session_started", START + timedelta(days=4), f"after-{next(numbers)}")])
        return last_scores(running)[USERS[0]].promoted_at == third.announced_at

    wait_until(scored_since, 20, "a score since then")
    blocks = [decode_features(message.value() or b"") for message in running.read(FEATURES)]
    shown = {block.for_model for block in blocks if block.kind == "refresh"}
    assert (lineup_of(running, second, seconds=2).announcement in shown, third.announcement in shown) == (True, False)


def test_a_scorer_killed_under_a_split_says_nothing_else(running: Road, scorers: Mapping[str, Scorer]) -> None:
    fourth = {"2": 0.4, "3": 0.3}
    say(running, lineup_of(running, fourth, seconds=4))
    events = history(len(USERS), days=6, per_day=60, seed=2)
    for part in range(6):
        running.publish(events[part * 60 : (part + 1) * 60])
        if part in (1, 3):
            running.stack.supervisor.children["scorer"].kill()
            running.stack.start_service("scorer", wait=False)
    running.stack.wait_ready("scorer")
    running.wait_online_equals_truth()
    found, of = wait_for_every_score(running)
    wait_until_served_as(running, fourth)
    said = defaultdict(set)
    for score in found:
        content = msgspec.structs.replace(score, emitted_at=AS_OF, arrived_at=None)
        said[score.user_id, score.as_of, score.source_offset, score.promoted_at].add(msgspec.json.encode(content))
    assert {len(contents) for contents in said.values()} == {1}
    assert own_scores(running, scorers, found, of) == found
    shown = defaultdict(set)
    for block in shadows(running):
        shown[key_of(block)].add(block.values)
    assert {len(values) for values in shown.values()} == {1}
    running.stack.check()
