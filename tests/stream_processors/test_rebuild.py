"""A changed declaration is refused by name; a rebuild makes the state that a batch recomputation makes, bit for bit."""

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from churn.kafka_config import client_config
from churn.topics import ACTIVITY, DEAD_LETTERS
from compose.processes import wait_until
from feature_repo.archive import segments
from feature_repo.declared import load
from tests.compose.shell import Shell
from tests.stream_processors.road import START, Road, event, history, road

FORMER = "feature_repo/declarations/elearning.yaml"
ADDITIONS = {
    "events:\n": "  certificate_earned: {description: earned a certificate}\n",
    "counters:\n": "  certificates: {unit: certificates, adds: {certificate_earned: 1}}\n",
    "features:\n": '  certificates_{window}d: {sum: certificates, windows: [30], says: "{value} certificates"}\n',
}
EARNED = [event(f"u{n:05d}", "certificate_earned", START + timedelta(days=19), f"c{n}") for n in range(5)]


@pytest.fixture(scope="module")
def declaration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a declaration with another event, counter and feature."""
    text = Path(FORMER).read_text(encoding="utf-8")
    for heading, line in ADDITIONS.items():
        assert text.count("\n" + heading) == 1
        text = text.replace("\n" + heading, "\n" + heading + line)
    path = tmp_path_factory.mktemp("declared") / "changed.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    with road(tmp_path_factory.mktemp("rebuild"), CHURN_PARTITIONS="2") as found:
        yield found


@pytest.fixture(scope="module")
def renewed(running: Road, declaration: Path) -> Road:
    """Return the same road by the changed declaration."""
    return dataclasses.replace(running, declaration=load(declaration))


@pytest.fixture(scope="module")
def truth(running: Road, renewed: Road) -> dict[str, bytes]:
    """Return the vectors by the changed declaration of a log that is then cut: its first half is in the archive only."""
    for service in ("features", "archive"):
        running.stack.start_service(service)
    running.publish([*history(users=80, days=20, per_day=250), *EARNED])
    running.wait_online_equals_truth()
    wait_until(lambda: archived_ends(running) == ends(running), 60, "everything is archived")
    running.stack.supervisor.children["features"].stop()
    running.publish([*history(users=100, days=22, per_day=30, seed=2), ("u00001", b"rubbish")])
    found = renewed.truth()
    cut(running)
    return found


def ends(under: Road) -> dict[int, int]:
    found = dict.fromkeys(range(2), 0)
    for message in under.read(ACTIVITY):
        number, offset = message.partition() or 0, message.offset() or 0
        found[number] = max(found[number], offset + 1)
    return found


def archived_ends(under: Road) -> dict[int, int]:
    found = segments(under.settings.archive_dir)
    return {number: max((s.end for s in found if s.partition == number), default=0) for number in range(2)}


def cut(under: Road) -> None:
    """Drop the first 2,000 records of each partition, as retention does."""
    name = ACTIVITY.name(under.settings.topic_prefix)
    admin = AdminClient(client_config(under.settings))
    for future in admin.delete_records([TopicPartition(name, number, 2000) for number in range(2)]).values():
        assert future.result(30).low_watermark == 2000


def shell(under: Road, declaration: Path) -> Shell:
    variables = {k: v for k, v in under.stack.environment().items() if k.startswith("CHURN_")}
    return Shell(variables | {"CHURN_DECLARATION": str(declaration)})


def reasons(under: Road) -> list[str]:
    headers: list[dict[str, Any]] = [dict(message.headers() or []) for message in under.read(DEAD_LETTERS)]
    return sorted(found["reason"].decode() for found in headers if "reason" in found)


def test_a_changed_declaration_is_refused_by_name(running: Road, truth: object, declaration: Path) -> None:
    child = running.stack.start_service("features", extra={"CHURN_DECLARATION": str(declaration)}, wait=False)
    log = running.stack.log_path("features")
    wait_until(lambda: "of another declaration" in log.read_text(), 60, "the worker refuses the state")
    text = log.read_text()
    assert "new: counter certificates, feature certificates_30d. Run `churn rebuild`" in text
    assert "or set CHURN_DECLARATION to the former declaration" in text
    wait_until(lambda: not child.is_running, 30, "the worker ends")


def test_a_rebuild_equals_the_batch_bit_for_bit(renewed: Road, truth: dict[str, bytes], declaration: Path) -> None:
    lines = shell(renewed, declaration).succeed("rebuild").splitlines()
    assert "archived events and offsets 2,000 to" in lines[1]
    assert "5 dead letters are events by this declaration" in lines[3]
    renewed.stack.start_service("features", extra={"CHURN_DECLARATION": str(declaration)})
    users = sorted(truth)
    wait_until(lambda: renewed.online(users) == truth, 60, "the online store equals the batch")
    assert reasons(renewed) == ["not-json", *["unknown-type"] * 5]


def test_letters_that_the_rebuild_counted_are_not_replayed(renewed: Road, truth: object, declaration: Path) -> None:
    lines = shell(renewed, declaration).succeed("dead-letters", "replay").splitlines()
    assert lines == [
        "0 letters replayed",
        "1 are still refused by the declaration (--force replays them all the same)",
        "5 were replayed before",
    ]


def test_the_worker_goes_on_from_the_rebuilt_state(renewed: Road, truth: dict[str, bytes], declaration: Path) -> None:
    renewed.publish([event("u00001", "certificate_earned", START + timedelta(days=21, hours=22), "later")])
    column = renewed.declaration.feature_names.index("certificates_30d")

    def certificates() -> float:
        return float(memoryview(renewed.online(["u00001"])["u00001"] or b"").cast("f")[column])

    wait_until(lambda: certificates() >= 2.0, 30, "the event counts on top of the rebuilt ones")
    assert certificates() == 2.0


def test_a_rebuild_without_the_archive_names_what_is_missing(renewed: Road, truth: object, declaration: Path) -> None:
    result = shell(renewed, declaration).run("rebuild", CHURN_DATA_DIR="nowhere")
    assert result.exit_code == 2
    assert "events of partition 0 from offset 0 to 2000 are neither in the archive nor on the topic" in result.stderr
