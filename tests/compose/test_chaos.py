"""A short campaign of faults leaves no difference; and the comparison finds what is wrong, or it would prove nothing."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from churn.kafka_config import client_config
from churn.topics import ACTIVITY, SCORES
from compose.chaos.campaign import Outage, Plan, Result, chosen, settled
from compose.chaos.faults import KINDS
from compose.chaos.load import Ledger, Load, expected_totals
from compose.chaos.outcome import Outcome, read
from compose.chaos.pauses import Written, changes
from compose.chaos.report import spinning
from compose.chaos.stage import Stage, staged
from compose.chaos.tracks import StuckError, Track, run_all
from compose.cli import main
from feature_repo.archive import files
from producers.publisher import Publisher

SHORT = ["--faults=16", "--seconds=25", "--outage-seconds=6", "--users=200", "--rate=150"]


@pytest.mark.timeout(300)  # about 80 s on two free cores
def test_a_short_campaign_leaves_no_difference(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["chaos", *SHORT, f"--folder={tmp_path}/run", f"--json={tmp_path}/figures.json"])
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {what: found["count"] for what, found in figures["differences"].items()} == {
        "counters": 0, "online vectors": 0, "dead letters": 0, "archive": 0, "scores": 0,
    }  # fmt: skip
    assert figures["faults_in_all"] >= 4
    assert [outage["server"] for outage in figures["outages"]] == ["Kafka", "Redis"]
    assert figures["spinning"] == []


def test_the_same_seed_chooses_the_same_faults_and_every_kind_once() -> None:
    plan = Plan(faults=len(KINDS), seed=5, seconds=0, outage_seconds=0, rate=0, users=0)
    assert chosen(plan) == chosen(plan)
    assert set(chosen(plan)) == set(KINDS)


def test_the_same_seed_makes_the_same_events() -> None:
    assert Load(7, 10, 60.0).slice(200) == Load(7, 10, 60.0).slice(200)


def test_some_events_fall_on_a_midnight_to_the_microsecond() -> None:
    times = [
        json.loads(value)["occurred_at"]
        for _, value in Load(7, 10, 900.0).slice(2000, 0.0, 0.0)
        if b"occurred_at" in value
    ]
    assert sum(time.endswith("T00:00:00+00:00") for time in times) > 5


def test_the_ledger_counts_each_event_once_in_the_units_of_the_counter() -> None:
    ledger = Ledger()
    ledger.note("e1", "ann", "lesson_completed", "minutes", 1250)
    ledger.note("e2", "ann", "lesson_completed", "minutes", 250)
    assert expected_totals(ledger, "ann", {"lesson_completed": "minutes"}, 100) == 1500
    assert expected_totals(ledger, "ann", {"lesson_completed": 1, "quiz_submitted": 1}, 1) == 2
    assert expected_totals(ledger, "bob", {"lesson_completed": 1}, 1) == 0


def test_what_hangs_is_named_with_how_long(capfd: pytest.CaptureFixture[str]) -> None:
    never, stop = threading.Event(), threading.Event()

    def hang(track: Track) -> None:
        track.note("scorer killed: waiting for scorer")
        never.wait()

    with pytest.raises(StuckError, match="stuck: scorer killed: waiting for scorer for 0 s"):
        run_all([Track("scorer", hang)], stop, print, stuck_seconds=0.3)
    never.set()
    assert stop.is_set()
    assert "in hang" in capfd.readouterr().err


def test_a_failure_stops_the_other_tracks_and_is_told() -> None:
    stop = threading.Event()

    def fail(_: Track) -> None:
        raise StuckError("the scorer did not come back")

    with pytest.raises(StuckError, match="the scorer did not come back"):
        run_all([Track("scorer", fail), Track("archive", lambda _: assert_set(stop))], stop, print)


def assert_set(stop: threading.Event) -> None:
    assert stop.wait(10)


def test_a_pause_lasts_from_the_last_block_of_one_owner_to_the_first_of_the_next() -> None:
    late = [Written(1.0, 1), Written(5.0, 2), Written(5.5, 1), Written(6.0, 2), Written(8.0, 3)]
    assert changes(late) == [(1.0, 4.0), (6.0, 2.0)]


def test_a_worker_spins_that_uses_far_more_while_a_server_is_away_than_its_work_takes() -> None:
    def told(usual: float, away: float) -> list[str]:
        outage = Outage("Redis", 6.0, {"features": usual}, {"features": away}, 0.0, 10.0)
        return spinning(Result(outages=[outage]))

    assert told(usual=0.10, away=0.70) == ["features used 70% of a core while Redis was away, 10% just before"]
    assert told(usual=0.01, away=0.21) != []
    assert told(usual=0.01, away=0.19) == []
    assert told(usual=0.19, away=0.21) == []


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Outcome]]:
    """Return a system that nobody hurt, and what to compare."""
    with staged(tmp_path_factory.mktemp("quiet"), CHURN_PARTITIONS="2") as stage:
        for name in ("features", "scorer", "archive"):
            stage.ensure(name, wait=False)
        stage.ensure_all()
        load = Load(1, 20, 600.0)
        with Publisher(client_config(stage.settings), ACTIVITY.name(stage.settings.topic_prefix)) as publisher:
            publisher.publish_all([*load.slice(1000), *load.last()])
        for role in ("features", "scorer", "archive"):
            stage.caught_up(role)
        outcome = Outcome(stage.settings, stage.declaration, load.ledger, stage.scorer)
        assert settled(outcome, stage) == {what: [] for what in outcome.differences()}
        for name in ("features", "scorer", "archive"):
            stage.dismiss(name)
        yield stage, outcome


def test_an_event_that_was_not_published_is_missed(quiet: tuple[Stage, Outcome]) -> None:
    ledger = quiet[1].ledger
    ledger.note("lost", "u00001", "session_started", "", 0)
    found = quiet[1].differences()
    ledger.event_ids.remove("lost")
    ledger.kinds["u00001"]["session_started"] -= 1
    assert found["archive"] == ["event lost is missing"]
    assert [line.split(":")[0] for line in found["counters"]] == ["u00001", "u00001"]


def test_a_row_that_was_lost_is_missed(quiet: tuple[Stage, Outcome]) -> None:
    with redis.Redis.from_url(quiet[0].stack.redis.url) as client:
        key = next(iter(client.scan_iter("*u00007*")))
        row = client.dump(key)
        client.delete(key)
        found = quiet[1].differences()
        client.restore(key, 0, row)
    assert found["online vectors"] == ["u00007: no row"]
    assert len(found["scores"]) == 1


def test_a_letter_that_was_lost_is_missed(quiet: tuple[Stage, Outcome]) -> None:
    quiet[1].ledger.rubbish += 1
    found = quiet[1].differences()["dead letters"]
    quiet[1].ledger.rubbish -= 1
    assert len(found) == 1


def test_a_segment_that_counts_twice_is_found(quiet: tuple[Stage, Outcome]) -> None:
    path = files(quiet[0].settings.archive_dir)[0]
    twice = path.read_bytes()
    other = files(quiet[0].settings.archive_dir)[-1]
    kept = other.read_bytes()
    other.write_bytes(twice)
    found = quiet[1].differences()["archive"]
    other.write_bytes(kept)
    assert any("archived 2 times" in line for line in found)
    assert any("is missing" in line for line in found)


def test_a_score_of_an_old_vector_is_found(quiet: tuple[Stage, Outcome]) -> None:
    stage, outcome = quiet
    last = next(m for m in reversed(read(SCORES, stage.settings)) if m.key() == b"u00007")
    stale = (last.value() or b"").replace(b'"probability":', b'"probability":0.5,"was":')
    with Publisher(client_config(stage.settings), SCORES.name(stage.settings.topic_prefix)) as publisher:
        publisher.publish("u00007", stale)
    assert [line.split(":")[0] for line in outcome.differences()["scores"]] == ["u00007", "u00007"]


def test_an_event_that_nobody_processed_is_found(quiet: tuple[Stage, Outcome]) -> None:
    stage, outcome = quiet
    user, value = Load(9, 20, 1.0, "new").slice(1)[0]
    with Publisher(client_config(stage.settings), ACTIVITY.name(stage.settings.topic_prefix)) as publisher:
        publisher.publish(user, value)
    assert any(line.startswith(user) for line in outcome.differences()["online vectors"])
