"""One training: data from the archive, a time-ordered split, a model, its judges, a registered version.

Nothing is promoted here: the report's verdict says whether the gate would let the version serve.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from churn.declaration import Declaration
from churn.errors import DataError
from churn.evaluation import Evaluation, evaluate
from churn.model import LogisticModel
from feature_repo.archive import files
from training.dataset import DataSet, Sampling
from training.floor import RecencyFloor
from training.gate import judge
from training.logistic import Fitted, Rows, export, fit_in_time, scored
from training.registry import Registry
from training.report import Rivals, TrainingReport
from training.split import Split, by_time, folds, weekly
from training.truth import true_probabilities

MAX_TRAIN_ROWS = 300_000
"""Beyond it a fixed sample by hash of user and snapshot is taken: 300,000 rows pin 60 weights to the third digit."""
MAX_TEST_ROWS = 300_000
Progress = Callable[[str], None]
DAY_ZERO = date(1970, 1, 1)


@dataclass(frozen=True)
class Gathered:
    """Labelled population rows of some snapshots."""

    rows: Rows
    users: list[str]
    silent_days: npt.NDArray[np.int32]
    share: float


@dataclass
class Stopwatch:
    """Seconds of each step, told to `progress` as it begins."""

    progress: Progress

    def __post_init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._name, self._began = "", time.perf_counter()

    def step(self, name: str) -> None:
        """End the step before and begin another; an empty name only ends."""
        now = time.perf_counter()
        if self._name:
            self.seconds[self._name] = round(now - self._began, 2)
        self._name, self._began = name, now
        if name:
            self.progress(name)


def train(
    *,
    archive_dir: Path,
    registry: Registry,
    declaration: Declaration,
    now: datetime,
    as_ofs: Sequence[date] | None = None,
    test_fraction: float = 0.25,
    threshold: float = 0.5,
    truth_dir: Path | None = None,
    progress: Progress = lambda _: None,
) -> TrainingReport:
    """Train a model on the archive and register it as challenger.

    Args:
        as_ofs: midnights (UTC) of the snapshots; default: weekly, with a whole horizon before and after each.
        threshold: probability from which a user counts as predicted to churn in accuracy, precision and recall.
        truth_dir: truth of a synthetic business, for the oracle's line in the report.

    Raises:
        DataError: the archive is empty, too short for a time-ordered test, or holds one class only.
    """
    watch = Stopwatch(progress)
    watch.step("reading the archive")
    with tempfile.TemporaryDirectory() as scratch, DataSet(declaration, files(archive_dir), Path(scratch)) as data:
        horizon = declaration.label.horizon_days
        split = by_time(_snapshots(data, as_ofs, horizon), test_fraction, horizon)
        watch.step("building the snapshots")
        train_part = gather(data, split.train, horizon, MAX_TRAIN_ROWS)
        test_part = gather(data, split.test, horizon, MAX_TEST_ROWS)
        counts = data.counts
    watch.step("fitting")
    rows = train_part.rows
    fitted = fit_in_time(rows, [(fold.train, fold.test) for fold in folds(split.train, horizon)])
    facts = _facts(now, split, train_part, fitted)
    names, version = declaration.feature_names, declaration.feature_set_version
    model = export(fitted, registry.name, version, names, rows.matrix[:5000], facts)
    watch.step("evaluating on the hold-out")
    evaluation = evaluate(test_part.rows.churned, scored(model, test_part.rows.matrix), threshold)
    floor = RecencyFloor.learn(train_part.silent_days, rows.churned, horizon)
    champion, champion_note = _champion(registry, version, test_part, threshold, split)
    rivals = _rivals(model, floor, champion, test_part, threshold, truth_dir)
    verdict = judge(evaluation, rivals.recency, champion, champion_note)
    watch.step("registering")
    report = TrainingReport(
        registry.name,
        "",
        version,
        declaration.business,
        now.isoformat(),
        counts.events,
        len(counts.users),
        _iso(counts.first_day),
        _iso(counts.last_day),
        horizon,
        tuple(_iso(day) for day in split.train),
        tuple(_iso(day) for day in split.test),
        len(rows),
        float(rows.churned.mean()),
        train_part.share,
        fitted.strength,
        fitted.slope,
        fitted.shift,
        evaluation,
        rivals,
        verdict,
        watch.seconds,
    )
    return registered(report, registry, model, watch)


def _snapshots(data: DataSet, as_ofs: Sequence[date] | None, horizon_days: int) -> tuple[int, ...]:
    latest = data.counts.last_day - horizon_days
    if as_ofs is None:
        return weekly(data.counts.first_day, data.counts.last_day, horizon_days)
    days = tuple(sorted({day_number(day) for day in as_ofs}))
    late = [day for day in days if day > latest]
    if late:
        raise DataError(f"the label of {_iso(late[0])} is not known yet: the archive ends on {_iso(data.counts.last_day)}, use {_iso(latest)} at the latest")
    return days


def gather(data: DataSet, days: Sequence[int], horizon_days: int, limit: int) -> Gathered:
    """Return the labelled population of these snapshots in the order of (snapshot, user), at most about `limit` rows.

    Raises:
        DataError: nobody is in it, or everybody has the same label.
    """
    share = min(1.0, limit / max(1, data.counts.active_pairs(days, horizon_days)))
    parts = [part for part in data.parts(days, Sampling(True, True, share)) if len(part)]
    churned = np.concatenate([part.churned for part in parts]) if parts else np.zeros(0, np.bool_)
    if churned.all() or not churned.any():
        span = f"{_iso(min(days))} to {_iso(max(days))}"
        raise DataError(f"{int(churned.sum())} of {len(churned)} labelled users churned in the snapshots {span}; both classes are needed")
    parts.sort(key=lambda part: (part.as_of_day, part.users[0]))
    matrix = np.concatenate([part.matrix for part in parts])
    at = np.concatenate([np.full(len(part), part.as_of_day, np.int32) for part in parts])
    rows = Rows(matrix, np.concatenate([part.churned for part in parts]), at)
    silent = np.concatenate([part.silent_days for part in parts])
    return Gathered(rows, [user for part in parts for user in part.users], silent, share)


def _facts(now: datetime, split: Split, part: Gathered, fitted: Fitted) -> dict[str, str | float | int]:
    return {
        "trained_at": now.isoformat(),
        "train_from": _iso(split.train[0]),
        "train_until": _iso(split.train[-1]),
        "rows": len(part.rows),
        "positive_rate": round(float(part.rows.churned.mean()), 6),
        "strength": fitted.strength,
        "recalibration_slope": fitted.slope,
    }


def _champion(
    registry: Registry, version: str, part: Gathered, threshold: float, split: Split
) -> tuple[Evaluation | None, str]:
    record = registry.champion()
    if record is None:
        return None, "there is none yet"
    if record.feature_set_version != version:
        return None, f"version {record.version} reads feature set {record.feature_set_version} and cannot serve {version}"
    model = registry.model(record.version)
    until = str(model.trained.get("train_until", ""))
    overlap = until > _iso(split.train[-1])
    note = f"version {record.version}" + (f", which learnt until {until} and may know these rows" if overlap else "")
    return evaluate(part.rows.churned, scored(model, part.rows.matrix), threshold), note


def _rivals(
    model: LogisticModel,
    floor: RecencyFloor,
    champion: Evaluation | None,
    part: Gathered,
    threshold: float,
    truth_dir: Path | None,
) -> Rivals:
    recency = evaluate(part.rows.churned, floor.score(part.silent_days), threshold)
    if truth_dir is None:
        return Rivals(recency, champion, None, None)
    truth = true_probabilities(truth_dir, part.users, part.rows.days)
    known = ~np.isnan(truth)
    if not known.any():
        raise DataError(f"{truth_dir}: the truth knows none of the hold-out's users and midnights; it belongs to another history")
    rows = part.rows.take(known)
    oracle = evaluate(rows.churned, truth[known], threshold)
    return Rivals(recency, champion, oracle, evaluate(rows.churned, scored(model, rows.matrix), threshold))


def registered(report: TrainingReport, registry: Registry, model: LogisticModel, watch: Stopwatch) -> TrainingReport:
    """Register the model with its report; returns the report with the version."""
    params = {
        "strength": report.strength,
        "train_rows": report.train_rows,
        "train_snapshots": len(report.train_as_ofs),
        "test_snapshots": len(report.test_as_ofs),
        "horizon_days": report.horizon_days,
        "sampled_share": report.sampled_share,
    }
    metrics = {key: value for key, value in vars(report.evaluation).items() if isinstance(value, int | float)}
    metrics |= {"recency_auc": report.rivals.recency.auc, "recency_log_loss": report.rivals.recency.log_loss}
    if report.rivals.oracle:
        metrics |= {"oracle_auc": report.rivals.oracle.auc, "oracle_log_loss": report.rivals.oracle.log_loss}
    tags = {
        "business": report.business,
        "data_from": report.archive_from,
        "data_until": report.archive_until,
        "gate": "passed" if report.verdict.promotes else "failed",
    }
    texts = {"report.json": report.json().decode(), "report.txt": report.text()}
    version = registry.register(model, params, metrics, tags, texts)
    watch.step("")
    return TrainingReport(**{**vars(report), "version": version, "seconds": dict(watch.seconds)})


def day_number(day: date) -> int:
    """Return days since 1970.

    >>> day_number(date(1970, 1, 31))
    30
    """
    return (day - DAY_ZERO).days


def _iso(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()
