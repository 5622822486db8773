"""The past on real parts: what the stream emitted, late and repeated events and a kill included, comes out of the archive."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Message

from churn.blocks import FeatureBlock, decode_features
from churn.errors import InputError, UnknownUserError
from churn.events import decode as decode_event
from churn.kafka_config import client_config
from churn.layout import DAY_US
from churn.scores import Challenger, Champion, Lineup, Score, decode, precedence, to_us
from churn.time_travel import Moment, differing
from churn.topics import ACTIVITY, FEATURES, MODELS, SCORES
from compose.past_commands import loader, moment_of, score_of
from compose.past_models import answering, chosen_at, known
from compose.processes import wait_until
from feature_repo.archive import files, segments
from feature_repo.bundles import save
from tests.api.building import model
from tests.compose.filed import daily_file, row_of
from tests.compose.shell import Shell
from tests.stream_processors.road import START, Road, event, history, road
from training.announce import announce
from training.time_travel import Past, TimeTravel

USERS, DAYS = 120, 20
PARTS = 8
ANNOUNCED: Mapping[int, tuple[str, Mapping[str, float]]] = {
    1: ("", {"2": 0.4}), 3: ("", {"2": 0.4, "3": 0.3}), 5: ("2", {"3": 0.3}), 6: ("", {}), 7: ("", {"3": 0.4})
}  # fmt: skip
"""What is announced after a part: a champion, if any, and challengers with their shares."""
pytestmark = pytest.mark.timeout(400)
"""The run takes a minute on an idle machine, 100 s on a busy one; the usual limit is 180 s."""


@dataclass(frozen=True)
class Told:
    """What two topics hold after a run, and the archive that must know the same."""

    under: Road
    blocks: list[FeatureBlock]
    scores: list[Score]

    @property
    def moments(self) -> list[Moment]:
        return [Moment(user, b.partition, b.as_of_us, b.source_offset) for b in self.blocks for user in b.users]

    @property
    def matrix(self) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        return np.concatenate([block.matrix for block in self.blocks if block.users])

    @property
    def shell(self) -> Shell:
        environment = self.under.stack.environment()
        return Shell({name: value for name, value in environment.items() if name.startswith("CHURN_")})


def champion(version: str, promoted_at: datetime, under: Road) -> Champion:
    made = model(-float(version))
    bundle, digest = save(under.settings.models_dir, made, version)
    return Champion("churn", version, bundle, digest, made.feature_set_version, promoted_at, "test")


def lineup(shares: Mapping[str, float], announced_at: datetime, under: Road) -> Lineup:
    named = [champion(version, announced_at, under) for version in shares]
    challengers = [
        Challenger(each.version, each.bundle, each.sha256, each.feature_set_version, shares[each.version])
        for each in named
    ]
    return Lineup("churn", challengers, announced_at, "test")


def announce_after(part: int, at: datetime, under: Road) -> None:
    """Let others serve from a time on, and wait until everybody has a score of theirs."""
    version, shares = ANNOUNCED[part]
    if version:
        say(under, champion(version, at, under))
        at += timedelta(microseconds=1)  # as the registry dates it: what is said between the two has a date of its own
    say(under, lineup(shares, at, under))
    wait_until(
        lambda: {score.promoted_at for score in {s.user_id: s for s in scores_of(under)}.values()} == {at},
        30,
        "everybody is scored anew",
    )


def say(under: Road, record: Champion | Lineup) -> None:
    announce(client_config(under.settings), MODELS.name(under.settings.topic_prefix), record)


def unruly(events: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Return the events with every ninth 300 places late, which is days, and every tenth once more."""
    chance = np.random.default_rng(5)
    keys = [place + (300 if place % 9 == 0 else 0) for place in range(len(events))]
    again = [(place + int(chance.integers(200)), events[place]) for place in range(0, len(events), 10)]
    return [e for _, e in sorted([*zip(keys, events, strict=True), *again], key=lambda pair: pair[0])]


def archived(under: Road) -> dict[int, int]:
    found: Counter[int] = Counter()
    for segment in segments(under.settings.archive_dir):
        found[segment.partition] = max(found[segment.partition], segment.end)
    return dict(found)


def ends(under: Road) -> dict[int, int]:
    found: Counter[int] = Counter()
    for message in under.read(ACTIVITY):
        found[message.partition() or 0] = max(found[message.partition() or 0], (message.offset() or 0) + 1)
    return dict(found)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Run features, scorer, archive and audit over unruly events, published in parts, with a kill in between."""
    with road(tmp_path_factory.mktemp("past"), CHURN_PARTITIONS="2", CHURN_AUDIT_SHARE="1") as under:
        say(under, champion("1", START, under))
        for name in ("features", "scorer", "archive", "audit"):
            under.stack.start_service(name, wait=False)
        for name in ("features", "scorer", "archive", "audit"):
            under.stack.wait_ready(name)
        publish_in_parts(under)
        wait_until(lambda: archived(under) == ends(under), 30, "everything is archived")
        yield Told(under, blocks_of(under), scores_of(under))


def publish_in_parts(under: Road) -> None:
    events = unruly(history(USERS, DAYS, 100))
    size = len(events) // PARTS + 1
    for part in range(PARTS):
        under.publish(events[part * size : (part + 1) * size])
        if part == PARTS // 2:
            under.stack.supervisor.children["features"].kill()
            under.stack.start_service("features")
        under.wait_online_equals_truth()
        if part in ANNOUNCED:
            wait_until_all_scored(under)
            announce_after(part, max(map(occurred_at, under.read(ACTIVITY))) + timedelta(microseconds=1), under)
    # The last user is new and wakes both partitions' clocks over some midnights of silence.
    under.publish([event(f"late{n}", "lesson_completed", START + timedelta(days=DAYS + 4), f"l{n}") for n in range(8)])
    under.wait_online_equals_truth()
    wait_until_all_scored(under)


def wait_until_all_scored(under: Road) -> None:
    wait_until(lambda: len(scores_of(under)) >= sum(len(b.users) for b in blocks_of(under)), 30, "everybody is scored")


def blocks_of(under: Road) -> list[FeatureBlock]:
    return [decode_features(message.value() or b"") for message in under.read(FEATURES)]


def scores_of(under: Road) -> list[Score]:
    return [decode(message.value() or b"") for message in under.read(SCORES)]


def test_the_run_was_as_unruly_as_meant(told: Told) -> None:
    rows = Counter({kind: sum(len(b.users) for b in told.blocks if b.kind == kind) for kind in ("roll", "update")})
    assert rows["roll"] > 2000
    assert rows["update"] > 200
    assert told.under.metrics("features")["churn_late_events_total"] > 50
    assert told.under.metrics("features")["churn_duplicate_events_total"] > 50
    assert len({block.as_of_us for block in told.blocks if block.kind == "roll"}) > 20


def test_every_emitted_vector_comes_out_of_the_archive_to_the_bit(told: Told) -> None:
    with TimeTravel(told.under.declaration, told.under.settings.archive_dir) as travel:
        recomputed = travel.vectors(told.moments)
    assert len(recomputed) > 2500
    assert not differing(told.matrix, recomputed).any()


def test_every_score_on_the_topic_is_that_of_the_archive_by_the_model_that_served_its_user(told: Told) -> None:
    moments = [Moment(s.user_id, s.source_partition, to_us(s.as_of), s.source_offset) for s in told.scores]
    with TimeTravel(told.under.declaration, told.under.settings.archive_dir) as travel:
        matrix = travel.vectors(moments)
    # Everybody is scored anew as of the partition's last clock when others begin to serve: that is before they do.
    served = [max(score.as_of, score.promoted_at) for score in told.scores]
    scored = scorer_of(told)
    assert min(Counter(score.model_version for score in settled(told))[version] for version in "123") > 100
    for given, moment, vector, at in zip(told.scores, moments, matrix, served, strict=True):
        assert lasting(scored(Past(moment, vector[None, :], 1, 0, 0, True), at)) == lasting(given)


def scorer_of(told: Told) -> Callable[[Past, datetime], Score]:
    """Return what scores a vector by the model that served its user at a time."""
    settings, declaration, records = told.under.settings, told.under.declaration, known(told.under.settings)
    load = cache(loader(settings, declaration))

    def scored(past: Past, at: datetime) -> Score:
        chosen = chosen_at(records, at)
        assert chosen is not None
        answers, _ = answering(chosen, past.moment.user, load)
        return score_of(settings, declaration, past, answers)

    return scored


def test_a_midnight_alone_finds_the_scores_that_users_of_every_arm_got_for_it(told: Told) -> None:
    midnight = next(s.as_of for s in told.scores if s.model_version == "3" and to_us(s.as_of) % DAY_US == 0)
    first = list({score.user_id: score for score in reversed(told.scores) if score.as_of == midnight}.values())[::5]
    scored = scorer_of(told)
    with TimeTravel(told.under.declaration, told.under.settings.archive_dir) as travel:
        found = [scored(travel.at(score.user_id, to_us(midnight)), midnight) for score in first]
    assert [lasting(score) for score in found] == [lasting(score) for score in first]
    assert {score.model_version for score in found} == {"1", "2", "3"}


def test_the_daily_file_says_of_users_of_both_arms_what_the_topic_said_for_that_midnight(
    told: Told, tmp_path: Path
) -> None:
    midnight = START + timedelta(days=DAYS + 4)
    manifest = daily_file(told.under, midnight, tmp_path)
    (path,) = (tmp_path / "predictions").rglob("*.parquet")
    rows = {row["user_id"]: row for row in pq.read_table(path).to_pylist()}
    given = {s.user_id: s for s in sorted(told.scores, key=precedence) if s.as_of == midnight and s.active}
    assert min(Counter(score.model_version for score in given.values())[version] for version in "23") > 20
    assert {user: row_of(score) for user, score in given.items()} == rows
    base = {manifest.model_version: manifest.base} | {each.version: each.base for each in manifest.challengers}
    assert {score.model_version: score.base for score in given.values()} == base


def lasting(score: Score) -> tuple[object, ...]:
    """Return what of a score does not depend on when it was said."""
    return (
        score.user_id, score.probability, score.band, score.reasons, score.model, score.model_version, score.active,
        score.feature_set_version, score.as_of, score.source_partition, score.source_offset, score.promoted_at,
    )  # fmt: skip


def test_the_command_gives_emitted_vectors_and_scores(told: Told, tmp_path: Path) -> None:
    vectors = dict(zip(told.moments, told.matrix, strict=True))
    names = told.under.declaration.feature_names
    for score in settled(told)[:: len(told.scores) // 12]:
        moment = Moment(score.user_id, score.source_partition, to_us(score.as_of), score.source_offset)
        figures = command(told, tmp_path, score.user_id, score.as_of.isoformat(), "--offset", str(score.source_offset))
        values = np.array([np.nan if figures["features"][n] is None else figures["features"][n] for n in names], "f4")
        assert not differing(vectors[moment][None, :], values[None, :]).any()
        assert lasting(decode(json.dumps(figures["score"]).encode())) == lasting(score)
        assert figures["complete"]


def settled(told: Told) -> list[Score]:
    """Return the scores whose model served already as of their time."""
    return [score for score in told.scores if score.promoted_at <= score.as_of]


def test_the_command_says_that_a_user_was_in_a_challengers_share(told: Told, tmp_path: Path) -> None:
    of = {score.model_version: score for score in settled(told) if score.as_of < START + timedelta(days=8)}
    said = [command(told, tmp_path, of[v].user_id, of[v].as_of.isoformat())["model"] for v in ("1", "2")]
    assert said[0] == "version 1 served then, promoted 2026-01-01 00:00"
    assert said[1].startswith("version 2 served then: the user was in the challenger's share, 0.4 of the users")


def command(told: Told, folder: Path, user: str, as_of: str, *options: str) -> dict[str, Any]:
    file = folder / "past.json"
    told.shell.succeed("features", "--user", user, "--as-of", as_of, *options, "--json", str(file))
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_a_midnight_alone_finds_the_vector_that_was_emitted_for_it(told: Told) -> None:
    rolls = [block for block in told.blocks if block.kind == "roll" and block.users]
    with TimeTravel(told.under.declaration, told.under.settings.archive_dir) as travel:
        for block in rolls[:: len(rolls) // 10]:
            past = travel.at(block.users[0], block.as_of_us)
            assert past.moment.source_offset == block.source_offset
            assert not differing(block.matrix[:1], past.vector).any()


def test_between_midnights_all_is_known_that_came_before_the_clock_passed(told: Told) -> None:
    updates = [b for b in told.blocks if b.kind == "update" and b.users and b.as_of_us < to_us(START) + DAYS * DAY_US]
    log = [(m.partition(), m.offset() or 0, occurred_us(m)) for m in told.under.read(ACTIVITY)]
    with TimeTravel(told.under.declaration, told.under.settings.archive_dir) as travel:
        for block in updates[:: len(updates) // 8]:
            past = travel.at(block.users[0], block.as_of_us)
            later = [o for partition, o, us in log if partition == block.partition and us > block.as_of_us]
            assert past.moment.source_offset == min(later) >= block.source_offset


def occurred_us(message: Message) -> int:
    return to_us(occurred_at(message))


def occurred_at(message: Message) -> datetime:
    return decode_event(message.value() or b"").occurred_at


def test_an_unknown_user_and_one_who_came_later_are_named(told: Told) -> None:
    with TimeTravel(told.under.declaration, told.under.settings.archive_dir) as travel:
        with pytest.raises(UnknownUserError, match="user 'nobody' is unknown to the archive"):
            travel.at("nobody", to_us(START))
        with pytest.raises(UnknownUserError, match="'late0' has no event below offset"):
            travel.at("late0", to_us(START + timedelta(days=3)))


def test_an_offset_of_a_later_day_is_refused(told: Told) -> None:
    offset = max(block.source_offset for block in told.blocks)
    with TimeTravel(told.under.declaration, told.under.settings.archive_dir) as travel:
        user = next(b.users[0] for b in told.blocks if b.source_offset == offset and b.users)
        with pytest.raises(InputError, match="the stream stood after 2026-01-03"):
            travel.at(user, to_us(START + timedelta(days=2)), offset)


def test_a_time_past_the_archive_says_that_more_may_come(told: Told) -> None:
    result = told.shell.run("features", "--user", "late0", "--as-of", "2027-01-01")
    assert result.exit_code == 0
    assert "what arrived later is not in it yet" in result.stderr


def test_the_audit_worker_has_confirmed_every_vector(told: Told) -> None:
    rows = len(told.moments)
    checked = "churn_audit_checked_total"
    wait_until(lambda: told.under.metrics("audit")[checked] >= rows, 30, "everything is audited")
    metrics = told.under.metrics("audit")
    assert (metrics[checked], metrics["churn_audit_mismatches_total"], metrics["churn_ready"]) == (rows, 0, 1)


def test_the_audit_command_reports_a_clean_run(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    text = told.shell.succeed("audit", "--once", "--json", str(file))
    assert text == f"{len(told.moments):,} emitted vectors compared with the archive, 0 differ\n"
    assert json.loads(file.read_text())["mismatches"] == {}


def test_the_audit_command_names_a_corrupted_value_and_fails(told: Told, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    shutil.copytree(told.under.settings.archive_dir, copy / "archive")
    user = add_a_minute(copy / "archive")
    file = tmp_path / "audit.json"
    result = told.shell.run("audit", "--once", "--json", str(file), CHURN_DATA_DIR=str(copy))
    assert result.exit_code == 1
    assert "vectors are not what the archive says" in result.stderr
    assert f"\n  {user}: minutes_" in result.stdout
    wrong = set(json.loads(file.read_text())["mismatches"])
    assert {"minutes_30d"} <= wrong
    assert all(name.startswith("minutes_") for name in wrong)


def add_a_minute(archive: Path) -> str:
    """Change one archived measure; returns whose it was."""
    for path in files(archive):
        table = pq.read_table(path)
        minutes = table["measure_minutes"].to_pylist()
        place = next((i for i, value in enumerate(minutes) if value is not None), None)
        if place is not None:
            minutes[place] += 1.0
            column = table.schema.get_field_index("measure_minutes")
            pq.write_table(table.set_column(column, "measure_minutes", pa.array(minutes, pa.float64())), path)
            return str(table["user_id"][place].as_py())
    raise AssertionError("no archived event has minutes")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-05", datetime(2026, 1, 5, tzinfo=UTC)),
        ("2026-01-05T10:11:12.000001Z", datetime(2026, 1, 5, 10, 11, 12, 1, UTC)),
        ("2026-01-05T12:00:00+02:00", datetime(2026, 1, 5, 10, tzinfo=UTC)),
    ],
)
def test_times_without_a_zone_are_utc(text: str, moment: datetime) -> None:
    assert moment_of(text) == moment


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(InputError, match="--as-of 'yesterday' is no time"):
        moment_of("yesterday")
