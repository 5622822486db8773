import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from churn.events import decode
from churn.layout import DAY_US, layout_of
from compose.bench import plan
from compose.bench.command import PARTS
from compose.bench.load import chosen_users
from compose.bench.stock_state import Counting, PlainFeatures, State, fresh
from compose.cli import main
from compose.local import LocalStack
from compose.nursery import NurserySupervisor
from tests.churn.histories import DECLARATION
from tests.compose.answers import LAYOUT, NOW_US, stream_answers

# Every part starts real processes: a minute on free cores, three were seen on ones that others kept busy.
pytestmark = pytest.mark.timeout(480)
TINY = [
    "--events=2000",
    "--users=200",
    "--load=skewed",
    "--mode=live",
    "--stock-events=200",
    "--history-users=120",
    "--history-days=66",
    "--peer=plain",
    "--scale-users=300",
    "--scale-events=2000",
    "--state-users=400",
    "--freshness-rate=200",
    "--freshness-seconds=1",
    "--burst-events=500",
    "--road-events=1000",
    "--api-rate=50",
    "--api-seconds=1",
    "--batch-users=3000",
    "--learner-labels=1600",
    "--dataset-users=500",
    "--dataset-days=80",
]
# What may well be nothing on a good day, or no number at all.
MAY_BE_ZERO = {
    "api.failed",
    "machine.load_average_1_minute",
    "api.generator_late_p99_ms",
    "reasons.logistic.pairs",
}
# The system counts CPU in steps of 10 ms, which is more than the least of these loads need.
COARSE = ("cpu", "busiest_worker_share", "worker_rss_bytes_per_user")


def forking_stack(folder: Path) -> LocalStack:
    """Return a stack that saves the time of imports; memory and starts are judged by no test."""
    return LocalStack(folder, supervisor=NurserySupervisor(shared=True))


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bench")
    places = [f"--folder={folder}/run", f"--json={folder}/figures.json", f"--out={folder}/report"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "LocalStack", forking_stack)
        result = CliRunner().invoke(main, ["bench", *TINY, *places])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads((folder / "figures.json").read_text())
    assert f"{found['ratio_to_stock']['skewed_live']}" in result.stdout
    assert "## State" in (folder / "report" / "report.md").read_text()
    return found


def numbers(found: dict[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    for name, value in found.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{path}{name}.")
        elif not isinstance(value, str):
            yield f"{path}{name}", value


def test_every_part_is_measured_and_every_figure_is_positive(figures: dict[str, Any]) -> None:
    assert set(figures) == {"machine", *PARTS, "ratio_to_stock"}
    must = [(name, value) for name, value in numbers(figures) if name not in MAY_BE_ZERO]
    assert [(name, value) for name, value in must if value <= 0 and not any(word in name for word in COARSE)] == []


def test_the_stream_leaves_one_row_in_redis_for_every_user_of_the_load(figures: dict[str, Any]) -> None:
    assert figures["stream"]["skewed_live"]["rows_in_redis"] == len(set(chosen_users("skewed", 200, 2000, 1).tolist()))


def test_every_answer_and_every_probe_is_counted(figures: dict[str, Any]) -> None:
    assert (figures["api"]["answered"], figures["api"]["failed"]) == (50, 0)
    assert figures["freshness"]["rate_200"]["probes"] > 10
    assert figures["freshness"]["burst"]["probes"] == 100


def test_the_plain_peer_reads_the_load_of_the_stream(figures: dict[str, Any]) -> None:
    peers = figures["peers"]
    assert peers["plain"]["skewed_live"]["events"] == 2000
    assert peers["stream"] == {"skewed_live": figures["stream"]["skewed_live"]}
    assert set(peers) == {"versions", "stream", "plain", "ratio"}


def test_a_midnight_reaches_everybody(figures: dict[str, Any]) -> None:
    assert figures["state"]["day_roll"]["rows_on_topic"] >= 400


def test_the_road_ends_with_a_score_for_every_user_of_its_load(figures: dict[str, Any]) -> None:
    road = figures["road"]
    assert 0 < road["users"] <= road["scores"] <= 1000


def test_every_user_of_the_snapshot_is_scored(figures: dict[str, Any]) -> None:
    assert figures["learner"]["labels"] == 1600
    assert {kind: found["users"] for kind, found in figures["batch"].items()} == {"logistic": 3000, "additive": 3000}


def test_reasons_cost_something_and_pairs_are_bounded(figures: dict[str, Any]) -> None:
    for found in figures["reasons"].values():
        assert 0 < found["with_reasons_per_second"] < found["scored_per_second"]
    assert 0 < figures["reasons"]["additive"]["pairs"] <= 48


def test_hashes_stay_compact(figures: dict[str, Any]) -> None:
    assert figures["memory"]["listpack_share"] == 1.0


def test_a_skewed_load_gives_the_first_user_most_events() -> None:
    skewed = np.bincount(chosen_users("skewed", 100, 10_000, 1), minlength=100)
    uniform = np.bincount(chosen_users("uniform", 100, 10_000, 1), minlength=100)
    # 1 / (1 + 1/2 + ... + 1/100) = 0.193 of all events
    assert 1800 < skewed[0] < 2060
    assert uniform.max() < 150


def test_the_plain_features_of_the_stock_application_equal_those_of_the_stream() -> None:
    told = stream_answers()
    counting, plain, states = Counting(LAYOUT), PlainFeatures(LAYOUT), dict[str, State]()
    for user, value in told.events:
        counting.add(states.setdefault(user, fresh(LAYOUT)), decode(value))
    vectors = [plain.compute(states[user], NOW_US // DAY_US) for user in told.users]
    np.testing.assert_array_equal(np.array(vectors, np.float32), told.matrix)


def test_the_stock_application_knows_every_aggregate() -> None:
    layout = layout_of(DECLARATION)
    assert len(PlainFeatures(layout).compute(fresh(layout), 20_000)) == len(DECLARATION.features)


@pytest.mark.parametrize(
    "command", ["bench", "chaos", "demo", "produce", "import", "oulad", "train", "score", "models", "lookup"]
)
def test_every_command_that_prints_figures_can_write_them(command: str) -> None:
    assert "json_file" in {parameter.name for parameter in main.commands[command].params}
