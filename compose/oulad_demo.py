"""The same road on real logs: OULAD's 2013B through the stream to train on, 2013J through the stream to be scored.

No keeper looks after the model here. Its promotion is of today and all midnights are of 2013, so that to a keeper all of
this is history: it would judge nothing. Were time that of the events, it would tell what is true of courses that all begin
on one day, after months without any (silence, then another population), and train on other rows than `train` below.
"""

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np

from churn.evaluation import Evaluation, evaluate
from churn.scores import decode, to_us
from churn.topics import SCORES
from compose.demo import Demo, Plan, finish, stack_of
from compose.progress import Progress

DECLARATION = "feature_repo/declarations/oulad.yaml"
TRAIN_DAYS, TEST_DAYS = range(15, 211, 5), range(15, 211, 15)
BETWEEN = datetime(2013, 10, 1, tzinfo=UTC)
BARS = {
    "recency alone": (0.796, None),
    "window counts, LightGBM": (0.874, 0.195),
    "logistic regression": (0.882, 0.181),
}
BARS |= {"boosted trees of depth 2": (0.892, 0.175)}


def run(folder: Path, oulad: Path, plan: Plan) -> dict[str, Any]:
    """Replay, train on 2013B, score 2013J by the stream; returns the figures."""
    with stack_of(folder, DECLARATION, {}) as demo:
        demo.prepare()
        replay(demo, oulad, None, BETWEEN)
        demo.wait_streamed()
        train(demo, oulad)
        demo.wait_scored()
        replay(demo, oulad, BETWEEN, None)
        demo.wait_streamed()
        demo.wait_streamed(("scorer",))
        figures = judge(demo, oulad)
        return figures if plan.leave else finish(demo, plan, figures)


def replay(demo: Demo, oulad: Path, since: datetime | None, until: datetime | None) -> None:
    """Publish a part of the data set."""
    from compose.produce_commands import publisher
    from producers.oulad import replay as publish

    with publisher(demo.settings) as sink:
        report = publish(oulad, sink.publish, since=since, until=until, progress=Progress("OULAD").count)
    for line in report.lines():
        demo.say(line)


def lasting(oulad: Path, presentation: str) -> dict[str, int]:
    """Return the length in days of each enrolment's presentation."""
    from producers.oulad import read

    table = read(oulad).enrolments()
    chosen = table[table["presentation"] == presentation]
    return dict(zip(chosen["user_id"], chosen["presentation_length_days"].astype(int), strict=True))


def snapshots(demo: Demo, oulad: Path, presentation: str, days: range) -> list[Any]:
    """Return the labelled population of a presentation on these days, from the archive."""
    from churn.days import day_number
    from feature_repo.archive import files
    from feature_repo.declared import load
    from producers.oulad import presentation_start
    from training.dataset import DataSet, Sampling

    start = day_number(presentation_start(presentation).date())
    lengths = lasting(oulad, presentation)
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        paths = files(demo.settings.archive_dir)
        with DataSet(load(demo.settings.declaration), paths, Path(scratch)) as data:
            for part in data.parts([start + day for day in days], Sampling(True, True)):
                day = part.as_of_day - start
                kept = np.array([lengths.get(user, 0) >= day + 30 for user in part.users], dtype=np.bool_)
                found.append((part, kept))
    return found


def train(demo: Demo, oulad: Path) -> None:
    """Fit the candidates on 2013B, register and promote the best on its folds."""
    from compose.registry_commands import say_champion, steward_of
    from feature_repo.declared import load
    from training.candidates import Order, compete
    from training.rows import Rows, folds_of, hashes_of

    parts = snapshots(demo, oulad, "2013B", TRAIN_DAYS)
    rows = Rows(
        np.concatenate([part.matrix[kept] for part, kept in parts]),
        np.concatenate([part.churned[kept] for part, kept in parts]),
        np.concatenate([np.full(int(kept.sum()), part.as_of_day, np.int32) for part, kept in parts]),
        hashes_of([user for part, kept in parts for user in np.array(part.users)[kept].tolist()]),
    )
    declaration, steward = load(demo.settings.declaration), steward_of(demo.settings)
    facts: dict[str, str | float | int] = {"data": "OULAD 2013B", "rows": len(rows), "horizon_days": 30}
    order = Order(steward.registry.name, declaration, facts)
    best = compete(rows, folds_of(rows, 30, cohorts=True), order, demo.say)[0]
    version = steward.registry.register(best.model, facts, {}, {"business": "oulad"}, {})
    demo.say(
        f"trained on {len(rows):,} snapshots of 2013B, {rows.churned.mean():.1%} churned; {best.name} did best on the folds"
    )
    # The gate has no champion to hold it against; the report that follows judges it on 2013J.
    record = steward.promote(version, "the demo", "trained on 2013B", datetime.now(UTC), override=True)
    say_champion(record)


def streamed_scores(demo: Demo, as_of_us: Sequence[int]) -> dict[int, dict[str, float]]:
    """Return, for each time, every user's last score at or before it, as the scores topic has them."""
    from compose.look_commands import read_to_end

    latest: dict[int, dict[str, tuple[int, float]]] = {at: {} for at in as_of_us}
    progress = Progress("scores topic")
    for number, value in enumerate(read_to_end(demo.settings, SCORES)):
        score = decode(value)
        at_us = to_us(score.as_of)
        for at in as_of_us:
            if at_us <= at and latest[at].get(score.user_id, (-1, 0.0))[0] <= at_us:
                latest[at][score.user_id] = (at_us, score.probability)
        progress.count("read", number)
    return {at: {user: p for user, (_, p) in found.items()} for at, found in latest.items()}


def judge(demo: Demo, oulad: Path) -> dict[str, Any]:
    """Compare the streamed scores of 2013J with what happened; prints them beside the bars."""
    parts = snapshots(demo, oulad, "2013J", TEST_DAYS)
    times = sorted({part.as_of_day * 86_400_000_000 for part, _ in parts})
    scores = streamed_scores(demo, times)
    said, happened, missing = [], [], 0
    for part, kept in parts:
        at = scores[part.as_of_day * 86_400_000_000]
        for user, churned in zip(np.array(part.users)[kept], part.churned[kept], strict=True):
            missing += user not in at
            if user in at:
                said.append(at[user])
                happened.append(bool(churned))
    found = evaluate(np.array(happened), np.array(said), 0.5)
    show(demo, found, missing)
    return {"oulad_2013J": dataclasses.asdict(found), "without_score": missing}


def show(demo: Demo, found: Evaluation, missing: int) -> None:
    """Print the figures."""
    demo.say(
        f"2013J: {found.rows:,} streamed scores judged, {found.positive_rate:.1%} churned, {missing} without a score"
    )
    click.echo(f"{'model':34}{'AUC':>8}{'log loss':>10}")
    click.echo(f"{'this stream':34}{found.auc:>8.4f}{found.log_loss:>10.4f}")
    for name, (auc, loss) in BARS.items():
        click.echo(f"{'bar: ' + name:34}{auc:>8.3f}{loss if loss is not None else '':>10}")
    click.echo(json.dumps({"average_precision": round(found.average_precision, 4), "brier": round(found.brier, 4)}))
    click.echo(
        "days are the data set's own; times of day are synthetic; shown at " + f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )
