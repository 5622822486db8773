"""A promotion and a rollback while events flow: within 5 s two scorers and the API follow, and no score is lost or mixed."""

import json
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from churn.kafka_config import client_config
from churn.scores import Champion, decode
from churn.topics import MODELS, SCORES
from compose.processes import wait_until
from feature_repo.bundles import load, save
from tests.api.building import AS_OF, model
from tests.stream_processors.road import START, Road, event, road
from tests.stream_processors.said import own_scores, wait_for_every_score
from training.announce import announce

USERS = 40
SCORERS = ("scorer", "scorer-2")
FOLLOWERS = (*SCORERS, "api")
REACH_SECONDS = 5.0


@pytest.fixture(scope="module")
def versions(running: Road) -> dict[str, Champion]:
    """Return the records of three versions."""
    return {version: saved(running, version) for version in "123"}


def saved(under: Road, version: str) -> Champion:
    """Write the bundle of a version, whose intercept is its number."""
    made = model(intercept=-float(version), declaration=under.declaration)
    bundle, digest = save(under.settings.models_dir, made, version)
    return Champion("churn", version, bundle, digest, made.feature_set_version, AS_OF, "test")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    """Return a road with the features worker, two scorers of a partition each, the API, and version 1."""
    with road(tmp_path_factory.mktemp("promoted"), CHURN_PARTITIONS="2") as found:
        say(found, saved(found, "1"))
        for instance in ("features", *FOLLOWERS):
            found.stack.start_service(instance.split("-")[0], instance, wait=False)
        for instance in ("features", *FOLLOWERS):
            found.stack.wait_ready(instance)
        yield found


def say(under: Road, champion: Champion) -> None:
    announce(client_config(under.settings), MODELS.name(under.settings.topic_prefix), champion)


def get(under: Road, instance: str, path: str, body: bytes | None = None) -> str:
    request = urllib.request.Request(under.stack.url(instance) + path, body)  # noqa: S310  our own http url
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  the same
        return str(answer.read().decode())


def serving(under: Road) -> set[str]:
    """Return the versions that the processes name in their metrics."""
    lines = [line for name in FOLLOWERS for line in get(under, name, "/metrics").splitlines()]
    named = [line for line in lines if line.startswith("churn_champion_info{")]
    assert len(named) == len(FOLLOWERS)
    return {line.split('version="')[1].split('"')[0] for line in named}


def seconds_until_all_serve(under: Road, champion: Champion) -> float:
    began = time.monotonic()
    say(under, champion)
    wait_until(
        lambda: serving(under) == {champion.version}, REACH_SECONDS, f"version {champion.version} serves everywhere"
    )
    return time.monotonic() - began


@contextmanager
def flowing(under: Road, answers: list[dict[str, Any]]) -> Iterator[None]:
    """Publish events and ask the API for predictions until the block is left."""
    stop, body = (
        threading.Event(),
        json.dumps({"features": dict.fromkeys(under.declaration.feature_names, 1.0)}).encode(),
    )

    def work() -> None:
        with under.publisher() as publisher:
            for number in range(1_000_000):
                if stop.wait(0.02):
                    return
                at = START + timedelta(days=3, seconds=number)
                publisher.publish(*event(f"u{number % USERS:05d}", "lesson_completed", at, f"e{number}"))
                answers.append(json.loads(get(under, "api", "/predict", body)))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def test_promotion_and_rollback_reach_everyone_in_5_seconds_and_no_score_is_lost_or_mixed(
    running: Road, versions: Mapping[str, Champion]
) -> None:
    answers: list[dict[str, Any]] = []
    turns = [versions["2"], versions["3"], versions["2"], versions["1"]]
    with flowing(running, answers):
        wait_until(lambda: len(answers) > 20, 30, "events flow")
        for number, version in enumerate(turns, 1):
            champion = msgspec.structs.replace(version, promoted_at=AS_OF + timedelta(seconds=number))
            assert seconds_until_all_serve(running, champion) < REACH_SECONDS
    found, of = wait_for_every_score(running)
    scorers = {v: load(running.settings.models_dir, c, c.feature_set_version) for v, c in versions.items()}
    assert {score.model_version for score in found} == {"1", "2", "3"}
    assert own_scores(running, scorers, found, of) == found
    ones = np.ones((1, len(running.declaration.features)), np.float32)
    expected = {v: float(scorer.score(ones).probability[0]) for v, scorer in scorers.items()}
    assert {(a["model_version"], a["probability"]) for a in answers} == set(expected.items())


def test_after_a_rollback_everyone_has_a_score_of_the_version_that_serves(running: Road) -> None:
    last = {score.user_id: score.model_version for score in (decode(m.value() or b"") for m in running.read(SCORES))}
    assert last == {f"u{number:05d}": "1" for number in range(USERS)}


def test_a_bundle_that_does_not_verify_is_refused_everywhere_and_the_old_version_goes_on(
    running: Road, versions: Mapping[str, Champion], tmp_path: Path
) -> None:
    bad = msgspec.structs.replace(versions["2"], sha256="0" * 64, promoted_at=AS_OF + timedelta(seconds=9))
    say(running, bad)
    refused = "champion version 2 was refused, version 1 goes on serving"

    def told() -> bool:
        return all(refused in "".join(running.reasons(name)) for name in SCORERS) and refused in get(
            running, "api", "/ready"
        )

    wait_until(told, REACH_SECONDS, "the refusal is told everywhere")
    assert [running.metrics(name)["churn_refused_models_total"] for name in FOLLOWERS] == [1, 1, 1]
    running.publish([event("new", "session_started", START + timedelta(days=4), "after the refusal")])
    wait_until(lambda: "new" in {decode(m.value() or b"").user_id for m in running.read(SCORES)}, 20, "a score")
    (score,) = [s for s in (decode(m.value() or b"") for m in running.read(SCORES)) if s.user_id == "new"]
    assert score.model_version == "1"
    assert serving(running) == {"1"}
