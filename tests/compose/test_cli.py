"""Every command as a person types it: what it prints, and its exit code (0 done, 2 wrong input, 75 something is away)."""

import contextlib
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # as in topic_admin

from churn.events import Event
from churn.kafka_config import client_config
from churn.model import GoldenRow, LogisticModel, Scorer
from churn.scores import Lineup
from churn.settings import Settings
from compose import topic_admin
from compose.kafka import KafkaServer
from compose.past_models import registered
from compose.processes import wait_until
from compose.redis_server import RedisServer
from compose.registry_commands import steward_of
from feature_repo.declared import load
from tests.compose.shell import Shell, open_shell
from tests.training.archives import archive
from tests.training.cards import card
from training.gate import Verdict

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shell(kafka: KafkaServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    opened = open_shell(kafka, redis_server, tmp_path_factory.mktemp("cli"))
    opened.succeed("topics")
    return opened


@pytest.fixture(scope="module")
def versions(shell: Shell) -> list[str]:
    """Return two registered versions of a model of the declaration that passed the gate."""
    steward = steward_of(shell.settings)
    found = [steward.registry.register(model(shell, i), {}, {"auc": 0.8}, {}, {}) for i in (-1.0, 1.0)]
    for version in found:
        steward.judged(version, Verdict(True, ("passed: fine",)), {}, DAY)
    return found


def model(shell: Shell, intercept: float) -> LogisticModel:
    declaration = load(shell.settings.declaration)
    names = list(declaration.feature_names)
    flat, ones = [0.0] * len(names), [1.0] * len(names)
    found = LogisticModel(
        "churn", declaration.feature_set_version, names, flat, ones, flat, flat, flat, intercept, [], {}
    )
    half = float(Scorer(found, "0").score(np.zeros((1, len(names)), np.float32)).probability[0])
    return msgspec.structs.replace(found, golden=[GoldenRow([0.0] * len(names), half)])


def csv(folder: Path, rows: str) -> str:
    path = folder / "log.csv"
    path.write_text("event_id,user_id,event_type,occurred_at\n" + rows, encoding="utf-8")
    return str(path)


def test_help_lists_every_command(shell: Shell) -> None:
    text = shell.succeed("--help")
    for name in (
        "topics",
        "apply",
        "seed",
        "worker",
        "api",
        "produce",
        "import",
        "oulad",
        "train",
        "score",
        "models",
        "features",
        "audit",
    ):
        assert f"\n  {name} " in text


def test_settings_prints_every_setting(shell: Shell) -> None:
    text = shell.succeed("settings")
    assert [name for name in Settings.model_fields if f"CHURN_{name.upper()}`" not in text] == []


def test_an_unknown_variable_ends_with_the_nearest_name(shell: Shell) -> None:
    result = shell.run("topics", CHURN_TOPIC_PREFIXX="x")
    assert result.exit_code == 2
    assert result.stderr.startswith("churn: CHURN_TOPIC_PREFIXX is not a setting; did you mean CHURN_TOPIC_PREFIX?")


def test_topics_are_created_once(shell: Shell) -> None:
    prefix = f"{shell.variables['CHURN_TOPIC_PREFIX']}-again"
    first = shell.run("topics", CHURN_TOPIC_PREFIX=prefix)
    assert first.stdout.startswith(f"created {prefix}-activity, {prefix}-dead-letters, ")
    assert shell.run("topics", CHURN_TOPIC_PREFIX=prefix).stdout == "all topics exist\n"


def test_topics_with_other_partitions_are_refused(shell: Shell) -> None:
    result = shell.run("topics", CHURN_PARTITIONS="3")
    assert result.exit_code == 2
    assert "is of 1 partitions, CHURN_PARTITIONS is 3" in result.stderr


def test_the_bound_of_dead_letters_follows_its_setting(shell: Shell) -> None:
    prefix = f"{shell.variables['CHURN_TOPIC_PREFIX']}-bound"
    admin = AdminClient(client_config(shell.settings))
    resource = ConfigResource(ConfigResource.Type.TOPIC, f"{prefix}-dead-letters")

    def bound_after(megabytes: str) -> str:
        result = shell.run("topics", CHURN_TOPIC_PREFIX=prefix, CHURN_DEAD_LETTERS_MAX_MB=megabytes)
        assert result.exit_code == 0, result.output
        (found,) = admin.describe_configs([resource]).values()
        with contextlib.suppress(KafkaException):  # a topic is known to its broker a moment after it was created
            return str(found.result(30)["retention.bytes"].value)
        return ""

    wait_until(lambda: bound_after("64") == "67108864", 30, "the bound is 64 MB")
    wait_until(lambda: bound_after("128") == "134217728", 30, "the bound is 128 MB")


def test_a_kafka_that_is_away_is_named(shell: Shell, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_admin, "TIMEOUT_SECONDS", 1.0)
    result = shell.run("topics", CHURN_KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port}")
    assert result.exit_code == 75
    assert f"Kafka at 127.0.0.1:{free_port} does not answer" in result.stderr


def test_apply_registers_the_features_and_may_be_repeated(shell: Shell) -> None:
    said = f"Feast project {shell.variables['CHURN_FEAST_PROJECT']}: 75 features in service churn_v1\n"
    assert shell.succeed("apply") == said
    assert shell.succeed("seed") == f"all topics exist\n{said}"


def test_import_publishes_good_rows_and_names_the_line_of_a_broken_one(shell: Shell, tmp_path: Path) -> None:
    file = csv(tmp_path, "i1,ann,session_started,2026-03-01\ni2,ann,session_started,soon\n")
    figures = tmp_path / "figures.json"
    lines = shell.succeed("import", file, "--json", str(figures)).splitlines()
    assert lines[0].startswith(f"{file}: 2 rows read, 1 events published")
    assert lines[2].startswith(f"  {file}:3: occurred_at: 'soon'")
    assert json.loads(figures.read_text()) == {"read": 2, "published": 1, "broken": 1}


def test_import_of_a_missing_file_ends_with_a_sentence(shell: Shell, tmp_path: Path) -> None:
    result = shell.run("import", str(tmp_path / "away.csv"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"churn: {tmp_path / 'away.csv'}: ")


def test_import_with_a_mapping_that_names_no_column_ends_with_a_sentence(shell: Shell, tmp_path: Path) -> None:
    mapping = tmp_path / "m.yaml"
    mapping.write_text("columns: {user_id: nobody, event_type: event_type, occurred_at: occurred_at}\n")
    result = shell.run("import", csv(tmp_path, ""), "--mapping", str(mapping))
    assert result.exit_code == 2
    assert "nobody" in result.stderr


def test_oulad_of_a_folder_without_the_tables_ends_with_a_sentence(shell: Shell, tmp_path: Path) -> None:
    result = shell.run("oulad", str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"churn: {tmp_path}: no courses.csv, assessments.csv, studentAssessment.csv")
    assert "an OULAD folder holds courses.csv, " in result.stderr


def test_produce_writes_history_to_kafka_and_truth_beside_it(shell: Shell) -> None:
    text = shell.succeed("produce", "--users", "20", "--days", "3", "--since", "2026-03-01")
    assert text.startswith("history: ")
    assert "events up to 2026-03-01 00:00 UTC" in text
    assert list((shell.settings.data_dir / "truth").iterdir())


def test_produce_with_an_unknown_drift_ends_with_a_sentence(shell: Shell) -> None:
    result = shell.run("produce", "--drift", "price-rise")
    assert result.exit_code == 2
    assert "give KIND:YYYY-MM-DD" in result.stderr


def test_tail_prints_key_and_value(shell: Shell, tmp_path: Path) -> None:
    shell.succeed("import", csv(tmp_path, "t1,tess,session_started,2026-03-01\nt2,tom,session_started,2026-03-01\n"))
    lines = shell.succeed("tail", "activity", "--from-beginning", "--count", "2").splitlines()
    assert len(lines) == 2
    key, value = lines[0].split("\t")
    assert json.loads(value)["user_id"] == key


def test_tail_of_a_topic_that_does_not_exist_says_what_to_do(shell: Shell) -> None:
    result = shell.run("tail", "activity", "--count", "1", CHURN_TOPIC_PREFIX="nobody")
    assert result.exit_code == 2
    assert "topic nobody-activity does not exist; run `churn topics`" in result.stderr


def test_schemas_are_written_one_file_a_topic(shell: Shell, tmp_path: Path) -> None:
    shell.succeed("schemas", "--out", str(tmp_path / "out"))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["activity.schema.json", "models.schema.json", "scores.schema.json"]


def test_lookup_of_an_unknown_user_says_so(shell: Shell) -> None:
    shell.succeed("apply")
    result = shell.run("lookup", "ghost")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("churn: user 'ghost' is unknown")


def test_score_before_any_promotion_says_what_to_do(shell: Shell) -> None:
    result = shell.run("score", "--as-of", "2026-03-01")
    assert result.exit_code == 2
    assert "no model has been promoted yet; run `churn train`" in result.stderr


def test_models_are_promoted_and_rolled_back_and_announced(shell: Shell, versions: list[str]) -> None:
    assert "[champion]" not in shell.succeed("models")
    first, second = versions
    shell.succeed("models", "promote", first, "--reason", "first")
    assert shell.succeed("models", "promote", second, "--reason", "better") == "churn version 2 serves: better\n"
    assert shell.succeed("models", "rollback", "--reason", "worse") == "churn version 1 serves: worse\n"
    assert [line.split()[:2] for line in shell.succeed("models").splitlines()] == [
        ["2", "[previous]"],
        ["1", "[champion]"],
    ]
    announced = shell.succeed("tail", "models", "--from-beginning", "--count", "3").splitlines()
    assert [json.loads(line.split("\t")[1])["version"] for line in announced] == ["1", "2", "1"]


def test_promotion_of_an_unknown_version_changes_nothing(shell: Shell, versions: list[str]) -> None:
    result = shell.run("models", "promote", "9", "--reason", "typo")
    assert result.exit_code == 2
    assert "no version 9" in result.stderr


def test_a_rejected_version_is_refused_until_it_is_approved(shell: Shell, versions: list[str]) -> None:
    first, second = versions
    shell.succeed("models", "promote", first, "--by", "ann", "--reason", "back to this")
    said = shell.succeed("models", "reject", second, "--by", "bob", "--reason", "odd")
    assert said == f"churn version {second} is rejected by bob: odd\n"
    refused = shell.run("models", "promote", second, "--by", "ann", "--reason", "all the same")
    assert refused.exit_code == 2
    assert f"version {second} was rejected; approve it anew with `churn models approve {second}" in refused.stderr
    assert shell.succeed("models", "approve", second, "--by", "bob", "--reason", "was wrong").endswith(
        f"version {second} serves: was wrong\n"
    )


def test_a_version_challenges_the_champion_until_it_stands_down(shell: Shell, versions: list[str]) -> None:
    first, second = versions
    shell.succeed("models", "promote", second, "--reason", "to be challenged")
    said = shell.succeed("models", "challenge", first, "--share", "0.1", "--by", "ann", "--reason", "a try")
    assert said == f"churn challengers: version {first} serves 10 % of the users\n"
    assert "challenges, serves 10 % of the users" in shell.succeed("models").splitlines()[-1]
    refused = shell.run("models", "challenge", first, "--share", "1.1", "--reason", "all of them")
    assert refused.exit_code == 2
    assert "the shares 1: 1.1 are not each between 0 and 1" in refused.stderr
    assert (
        shell.succeed("models", "stand-down", first, "--by", "ann", "--reason", "no better")
        == "churn challengers: none\n"
    )
    lineups = [each for each in registered(shell.settings) if isinstance(each, Lineup)]
    assert [[named.share for named in lineup.challengers] for lineup in lineups] == [[0.1], []]


def test_with_approval_required_a_promotion_says_how_to_get_it(shell: Shell, versions: list[str]) -> None:
    refused = shell.run("models", "promote", versions[0], "--reason", "hurry", CHURN_MODEL_APPROVAL="required")
    assert refused.exit_code == 2
    assert "needs a person's approval (CHURN_MODEL_APPROVAL is required)" in refused.stderr


def test_the_log_tells_each_step_and_names_a_changed_line(shell: Shell, versions: list[str], tmp_path: Path) -> None:
    figures = tmp_path / "log.json"
    shell.succeed("models", "promote", versions[0], "--by", "ann", "--reason", "for the log")
    lines = shell.succeed("models", "log", "--json", str(figures)).splitlines()
    assert lines[-2].endswith(f"churn {versions[0]} promoted by ann: for the log")
    assert lines[-1] == f"{len(lines) - 1} entries, each as it was written"
    assert json.loads(figures.read_text())[-1]["who"] == "ann"
    log = shell.settings.models_dir / "audit.jsonl"
    written = log.read_bytes()
    log.write_bytes(written.replace(b"for the log", b"for the dog"))
    changed = shell.run("models", "log")
    log.write_bytes(written)
    assert changed.exit_code == 2
    assert f"line {len(lines) - 1} is not what was written" in changed.stderr


def test_a_card_is_printed_or_written(shell: Shell, versions: list[str], tmp_path: Path) -> None:
    first, second = versions
    steward_of(shell.settings).registry.attach(first, {"card.json": card().json()})
    assert shell.succeed("models", "card", first).startswith(f"# Model churn, version {first}\n")
    assert shell.succeed("models", "card", first, "--html").startswith("<!doctype html>")
    written = shell.succeed("models", "card", first, "--out", str(tmp_path / "cards")).split()
    assert [Path(path).name for path in written] == [f"churn-{first}.html", f"churn-{first}.md"]
    refused = shell.run("models", "card", second)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"version {second} was registered without a model card" in refused.stderr


def test_score_writes_a_file_with_every_active_user(shell: Shell, versions: list[str]) -> None:
    shell.succeed("models", "promote", versions[0], "--reason", "to score")
    names = ["ann", "bob"]
    visits = [Event(f"v{n}", user, "session_started", DAY + timedelta(hours=n), 1) for n, user in enumerate(names)]
    archive(shell.settings.archive_dir, visits)
    said = shell.succeed("score", "--as-of", "2026-03-02")
    assert said.startswith("2 users as of 2026-03-02, model 1: ")
    (file,) = (shell.settings.predictions_dir / "as_of=2026-03-02").glob("*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert [(r["user_id"], r["churn_probability"]) for r in rows] == [("ann", 0.268941), ("bob", 0.268941)]


def test_score_gives_users_of_a_share_their_challengers_row_and_the_champions_where_its_bundle_is_gone(
    shell: Shell, versions: list[str], tmp_path: Path
) -> None:
    first, second = versions
    shell.succeed("models", "promote", first, "--reason", "to score")
    shell.succeed("models", "challenge", second, "--share", "0.4", "--reason", "to score")
    visits = [Event(f"v{n}", user, "session_started", DAY, 1) for n, user in enumerate(["ann", "bob"])]
    archive(shell.settings.archive_dir, visits)
    said = shell.succeed("score", "--as-of", "2026-03-02")
    assert said.startswith(f"2 users as of 2026-03-02, model {first} and version {second} for 0.4 of the users: ")
    assert scored(shell) == {"ann": (first, 0.268941), "bob": (second, 0.731059)}
    shutil.rmtree(shell.settings.models_dir / "churn" / second)
    result = shell.run("score", "--as-of", "2026-03-02", "--json", str(tmp_path / "said.json"))
    shell.succeed("models", "stand-down", second, "--reason", "scored")
    assert f"challenger version {second} is left out, its users stay with the champion: " in result.stderr
    assert scored(shell) == {"ann": (first, 0.268941), "bob": (first, 0.268941)}
    assert list(json.loads((tmp_path / "said.json").read_text())["left_out"]) == [second]


def scored(shell: Shell) -> dict[str, tuple[str, float]]:
    (file,) = (shell.settings.predictions_dir / "as_of=2026-03-02").glob("*.parquet")
    return {row["user_id"]: (row["model_version"], row["churn_probability"]) for row in pq.read_table(file).to_pylist()}


def test_score_of_a_snapshot_needs_no_archive(shell: Shell, versions: list[str]) -> None:
    shell.succeed("models", "promote", versions[0], "--reason", "to score")
    archive(shell.settings.archive_dir, [Event("v", "ann", "session_started", DAY, 1)])
    first = shell.succeed("score", "--as-of", "2026-03-02")
    shutil.rmtree(shell.settings.archive_dir)
    folder = shell.settings.snapshots_dir / "as_of=2026-03-02"
    assert shell.succeed("score", "--snapshot", str(folder)) == first
    result = shell.run("score", "--snapshot", str(folder), "--as-of", "2026-03-03")
    assert result.exit_code == 2
    assert "is the snapshot of 2026-03-02, --as-of says 2026-03-03; leave one out" in result.stderr


def test_score_as_of_no_date_ends_with_a_sentence(shell: Shell, versions: list[str]) -> None:
    shell.succeed("models", "promote", versions[0], "--reason", "to score")
    result = shell.run("score", "--as-of", "soon")
    assert result.exit_code == 2
    assert "--as-of 'soon' is not a date; give YYYY-MM-DD or today" in result.stderr
