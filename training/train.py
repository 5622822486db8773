"""One training: data from the archive, a time-ordered split, a model, its judges, a registered version.

Nothing is promoted here: the report's verdict says whether the gate would let the version serve.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from churn.declaration import Declaration
from churn.errors import DataError
from churn.evaluation import Evaluation, evaluate
from churn.model import Model, Scorer
from feature_repo.archive import files
from training.card import CARD_FILE, Card, build
from training.dataset import DataSet, Sampling
from training.examined import Examined, examined
from training.floor import RecencyFloor
from training.gate import Holdout, Verdict, judge
from training.logistic import Fitted, Rows, export, fit_in_time, scored
from training.registry import Registry
from training.report import Rivals, TrainingReport
from training.segments import segments
from training.split import Bounds, Split, by_time, folds, history_days
from training.truth import true_probabilities

MAX_TRAIN_ROWS = 300_000
"""Beyond it a fixed sample by hash of user and snapshot is taken: 300,000 rows pin 60 weights to the third digit."""
MAX_TEST_ROWS = 300_000
EXAMPLES = 5000
"""Golden rows are chosen among so many of the first training rows."""
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
    user_ttl_days: int = 0,
    progress: Progress = lambda _: None,
) -> TrainingReport:
    """Train a model on the archive and register it as challenger.

    Args:
        as_ofs: midnights (UTC) of the snapshots; default: weekly, with a whole horizon before and after each.
        threshold: probability from which a user counts as predicted to churn in accuracy, precision and recall.
        truth_dir: truth of a synthetic business, for the oracle's line in the report.
        user_ttl_days: silence after which the stream forgets a user; 0: never.

    Raises:
        DataError: the archive is empty, too short for a time-ordered test, or holds one class only.
    """
    watch = Stopwatch(progress)
    watch.step("reading the archive")
    horizon, archived = declaration.label.horizon_days, files(archive_dir)
    with (
        tempfile.TemporaryDirectory() as scratch,
        DataSet(declaration, archived, Path(scratch), user_ttl_days) as data,
    ):
        split = by_time(_snapshots(data, declaration, as_ofs), test_fraction, horizon)
        watch.step("building the snapshots")
        material = _material(data, split, horizon)
    watch.step("checking the data")
    data_set = _examined(declaration, archived, material, user_ttl_days)
    watch.step("fitting")
    rows = material.train.rows
    fitted = fit_in_time(rows, [(fold.train, fold.test) for fold in folds(split.train, horizon)])
    names, version = declaration.feature_names, declaration.feature_set_version
    facts = _facts(now, material, fitted) | {"data_fingerprint": data_set.fingerprint.id}
    model = export(fitted, registry.name, version, names, rows.matrix[:EXAMPLES], facts)
    watch.step("evaluating on the hold-out")
    judges = Judges(registry, declaration, material, threshold, truth_dir)
    report = _report(declaration, now, material, fitted, model, judges)
    watch.step("registering")
    report = replace(report, version=_register(report, registry, model, judges.card(report, model)))
    watch.step("")
    return replace(report, seconds=dict(watch.seconds))


@dataclass(frozen=True)
class Material:
    """What a training works on: both sides of the split, and where they come from (UTC day numbers)."""

    split: Split
    train: Gathered
    test: Gathered
    events: int
    users: int
    first_day: int
    last_day: int


def _material(data: DataSet, split: Split, horizon_days: int) -> Material:
    train_part = gather(data, split.train, horizon_days, MAX_TRAIN_ROWS)
    test_part = gather(data, split.test, horizon_days, MAX_TEST_ROWS)
    counts = data.counts
    return Material(split, train_part, test_part, counts.events, len(counts.users), counts.first_day, counts.last_day)


def _examined(declaration: Declaration, archived: Sequence[Path], material: Material, user_ttl_days: int) -> Examined:
    train_part, test = material.train, material.test
    days = np.concatenate([train_part.rows.days, test.rows.days])
    churned = np.concatenate([train_part.rows.churned, test.rows.churned])
    return examined(declaration, archived, days, churned, share=train_part.share, user_ttl_days=user_ttl_days)


def _snapshots(data: DataSet, declaration: Declaration, as_ofs: Sequence[date] | None) -> tuple[int, ...]:
    counts, horizon = data.counts, declaration.label.horizon_days
    bounds = Bounds(counts.first_day, counts.last_day, horizon, history_days(declaration))
    return bounds.weekly() if as_ofs is None else bounds.checked([day_number(day) for day in as_ofs])


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
        raise DataError(
            f"{int(churned.sum())} of {len(churned)} labelled users churned in the snapshots {span}; both classes are needed"
        )
    parts.sort(key=lambda part: (part.as_of_day, part.users[0]))
    matrix = np.concatenate([part.matrix for part in parts])
    at = np.concatenate([np.full(len(part), part.as_of_day, np.int32) for part in parts])
    rows = Rows(matrix, np.concatenate([part.churned for part in parts]), at)
    silent = np.concatenate([part.silent_days for part in parts])
    return Gathered(rows, [user for part in parts for user in part.users], silent, share)


def _facts(now: datetime, material: Material, fitted: Fitted) -> dict[str, str | float | int]:
    return {
        "trained_at": now.isoformat(),
        "train_from": _iso(material.split.train[0]),
        "train_until": _iso(material.split.train[-1]),
        "rows": len(material.train.rows),
        "positive_rate": round(float(material.train.rows.churned.mean()), 6),
        "strength": fitted.strength,
        "recalibration_slope": fitted.slope,
    }


@dataclass(frozen=True)
class Judges:
    """Everything that scores the hold-out beside the new model."""

    registry: Registry
    declaration: Declaration
    material: Material
    threshold: float
    truth_dir: Path | None

    def of_model(self, model: Model) -> Evaluation:
        """Return the measures of a model on the hold-out."""
        return self._evaluated(scored(model, self.material.test.rows.matrix))

    def judged(self, model: Model) -> tuple[Rivals, Verdict]:
        """Return the measures of the others on the same rows, and whether the gate lets the model serve."""
        test, floor = self.material.test, self._floor()
        champion, note = self._champion()
        oracle, beside = self._oracle(model) if self.truth_dir else (None, None)
        known = None if champion is None else self._evaluated(champion)
        holdout = Holdout(test.rows.churned, test.users, self._segments())
        verdict = judge(holdout, scored(model, test.rows.matrix), floor, champion, note)
        return Rivals(self._evaluated(floor), known, oracle, beside), verdict

    def card(self, report: TrainingReport, model: Model) -> Card:
        """Return the card of a model by its rows of the hold-out."""
        test = self.material.test
        scored = Scorer(model, "0").score(test.rows.matrix)
        return build(report, self.declaration, model.trained, test.users, test.rows.churned, scored, self._segments())

    def _segments(self) -> dict[str, npt.NDArray[np.str_]]:
        return segments(self.declaration, self.material.test.rows.matrix)

    def _evaluated(self, probability: npt.NDArray[np.float64]) -> Evaluation:
        return evaluate(self.material.test.rows.churned, probability, self.threshold)

    def _floor(self) -> npt.NDArray[np.float64]:
        train_part, horizon = self.material.train, self.declaration.label.horizon_days
        floor = RecencyFloor.learn(train_part.silent_days, train_part.rows.churned, horizon)
        return floor.score(self.material.test.silent_days)

    def _champion(self) -> tuple[npt.NDArray[np.float64] | None, str]:
        record, version = self.registry.champion(), self.declaration.feature_set_version
        if record is None:
            return None, "there is none yet"
        if record.feature_set_version != version:
            return None, f"version {record.version} reads feature set {record.feature_set_version}, not {version}"
        model = self.registry.model(record.version)
        until = str(model.trained.get("train_until", ""))
        knows = f", which learnt until {until} and may know these rows"
        overlaps = until > _iso(self.material.split.train[-1])
        probability = scored(model, self.material.test.rows.matrix)
        return probability, f"version {record.version}{knows if overlaps else ''}"

    def _oracle(self, model: Model) -> tuple[Evaluation, Evaluation]:
        test, folder = self.material.test, self.truth_dir or Path()
        truth = true_probabilities(folder, test.users, test.rows.days)
        known = ~np.isnan(truth)
        if not known.any():
            raise DataError(
                f"{folder}: the truth knows no user and midnight of the hold-out; it belongs to another history"
            )
        rows = test.rows.take(known)
        oracle = evaluate(rows.churned, truth[known], self.threshold)
        return oracle, evaluate(rows.churned, scored(model, rows.matrix), self.threshold)


def _report(
    declaration: Declaration, now: datetime, material: Material, fitted: Fitted, model: Model, judges: Judges
) -> TrainingReport:
    evaluation = judges.of_model(model)
    rivals, verdict = judges.judged(model)
    rows = material.train.rows
    return TrainingReport(
        model=model.name,
        version="",
        feature_set_version=model.feature_set_version,
        business=declaration.business,
        trained_at=now.isoformat(),
        events=material.events,
        users=material.users,
        archive_from=_iso(material.first_day),
        archive_until=_iso(material.last_day),
        horizon_days=declaration.label.horizon_days,
        train_as_ofs=tuple(_iso(day) for day in material.split.train),
        test_as_ofs=tuple(_iso(day) for day in material.split.test),
        train_rows=len(rows),
        train_positive_rate=float(rows.churned.mean()),
        sampled_share=material.train.share,
        strength=fitted.strength,
        recalibration_slope=fitted.slope,
        recalibration_shift=fitted.shift,
        evaluation=evaluation,
        rivals=rivals,
        verdict=verdict,
        seconds={},
    )


def _register(report: TrainingReport, registry: Registry, model: Model, card: Card) -> str:
    params = {
        "strength": report.strength,
        "train_rows": report.train_rows,
        "train_snapshots": len(report.train_as_ofs),
        "test_snapshots": len(report.test_as_ofs),
        "horizon_days": report.horizon_days,
        "sampled_share": report.sampled_share,
    }
    metrics = {key: value for key, value in vars(report.evaluation).items() if isinstance(value, int | float)}
    others = {"recency": report.rivals.recency, "oracle": report.rivals.oracle, "champion": report.rivals.champion}
    for name, other in others.items():
        if other is not None:
            metrics |= {f"{name}_auc": other.auc, f"{name}_log_loss": other.log_loss}
    tags = {
        "business": report.business,
        "data_from": report.archive_from,
        "data_until": report.archive_until,
        "gate": "passed" if report.verdict.promotes else "failed",
    }
    texts = {"report.json": report.json().decode(), "report.txt": report.text(), CARD_FILE: card.json()}
    return registry.register(model, params, metrics, tags, texts)


def day_number(day: date) -> int:
    """Return days since 1970.

    >>> day_number(date(1970, 1, 31))
    30
    """
    return (day - DAY_ZERO).days


def _iso(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat()
