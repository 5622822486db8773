"""One training: data from the archive, a time-ordered split, candidates, their judges, a registered version.

Nothing is promoted here: the report's verdict says whether the gate would let the version serve.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from churn.days import iso
from churn.declaration import Declaration
from churn.model import encode
from feature_repo.archive import files
from training.averaged import NAME, averaged
from training.calibration import AS_IT_IS
from training.candidates import EXAMPLES, Candidate, Order, compete
from training.card import CARD_FILE, Card
from training.card_of import card_of
from training.dataset import DataSet
from training.gate import Verdict
from training.judging import Judges
from training.logistic import scored
from training.loop.reference import REFERENCE_FILE, reference_of
from training.loop.reference import encode as encode_reference
from training.material import Material, examined_material, gather, material_of, snapshots_of
from training.monotone import sweeps
from training.plan import MANUAL, Plan
from training.registry import Registry
from training.report import Contender, Rivals, TrainingReport
from training.rows import folds_of

__all__ = ["EXAMPLES", "Progress", "gather", "train"]

Progress = Callable[[str], None]
REFERENCE_ROWS = 25_000
"""So many rows pin the share of a bin of a tenth to 0.002; more take 10 ms for each 1,000."""


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
    plan: Plan = MANUAL,
    as_ofs: Sequence[date] | None = None,
    threshold: float = 0.5,
    truth_dir: Path | None = None,
    user_ttl_days: int = 0,
    tags: Mapping[str, str] | None = None,
    cache_dir: Path | None = None,
    progress: Progress = lambda _: None,
) -> TrainingReport:
    """Train candidates on the archive and register the best on its folds as challenger.

    Args:
        as_ofs: midnights (UTC) of the snapshots; default: weekly, with a whole horizon before and after each.
        threshold: probability from which a user counts as predicted to churn in accuracy, precision and recall.
        truth_dir: truth of a synthetic business, for the oracle's line in the report.
        user_ttl_days: silence after which the stream forgets a user; 0: never.
        tags: noted beside the registered version.
        cache_dir: where is kept what the archive's days come to, so that the next training reads new days only.

    Raises:
        DataError: the archive is empty, too short for a time-ordered test, holds one class only, or fails its checks.
    """
    watch = Stopwatch(progress)
    watch.step("reading the archive")
    horizon, archived = declaration.label.horizon_days, files(archive_dir)
    with (
        tempfile.TemporaryDirectory() as scratch,
        DataSet(declaration, archived, Path(scratch), user_ttl_days, cache_dir=cache_dir) as data,
    ):
        days = snapshots_of(data, declaration, as_ofs)
        watch.step("building the snapshots")
        material = material_of(data, plan, days, horizon)
    watch.step("checking the data")
    data_set = examined_material(declaration, archived, material, user_ttl_days, cache_dir)
    facts = _facts(now, material, horizon) | {"data_fingerprint": data_set.fingerprint.id}
    found = _found(plan, material, Order(registry.name, declaration, facts), watch)
    watch.step("evaluating on the hold-out")
    judged = _judged(found, Judges(registry, declaration, material, threshold, truth_dir))
    found, report = judged.found, _report(now, judged)
    watch.step("registering")
    card = card_of(report, declaration, found[0].model, material.test, data_set)
    report = replace(report, version=_register(report, registry, found, _texts(report, found, card, material), tags))
    watch.step("")
    return replace(report, seconds=dict(watch.seconds))


def _found(plan: Plan, material: Material, order: Order, watch: Stopwatch) -> list[Candidate]:
    rows, horizon = material.train.rows, order.declaration.label.horizon_days
    folds = folds_of(rows, horizon, cohorts=plan.cohorts) if plan.searched else []
    return compete(rows, folds, order, watch.step, plan.candidates)


def _facts(now: datetime, material: Material, horizon_days: int) -> dict[str, str | float | int]:
    return {
        "trained_at": now.isoformat(),
        "train_from": iso(material.split.train[0]),
        "train_until": iso(material.split.train[-1]),
        "rows": len(material.train.rows),
        "positive_rate": round(float(material.train.rows.churned.mean()), 6),
        "horizon_days": horizon_days,
        "reserved_share": material.reserved_share,
    }


@dataclass(frozen=True)
class _Judged:
    """Candidates, the one to be registered first, what its judges said of it, and what the gate says."""

    found: list[Candidate]
    judges: Judges
    rivals: Rivals
    verdict: Verdict


def _judged(found: list[Candidate], judges: Judges) -> _Judged:
    """Judge the best candidate; where the gate keeps the champion, the one halfway to it, which comes first if it passes."""
    rivals, verdict = judges.judged(found[0].model)
    half = None if verdict.promotes else _halfway(found[0], judges)
    if half is None:
        return _Judged(found, judges, rivals, verdict)
    again, passed = judges.judged(half.model)
    if passed.promotes:
        return _Judged([half, *found], judges, again, passed)
    return _Judged([*found, half], judges, rivals, verdict)


def _halfway(best: Candidate, judges: Judges) -> Candidate | None:
    began, champion = time.perf_counter(), judges.champion()
    if champion is None:
        return None
    model = averaged(best.model, *champion, judges.material.train.rows.matrix[:EXAMPLES])
    if model is None:
        return None
    settings = {"halfway_from": best.name, "to_version": champion[1]}
    return Candidate(NAME, model, float("nan"), settings, AS_IT_IS, time.perf_counter() - began)


def _report(now: datetime, judged: _Judged) -> TrainingReport:
    declaration, material = judged.judges.declaration, judged.judges.material
    contenders = tuple(_contender(each, judged.judges) for each in judged.found)
    best, model = contenders[0], judged.found[0].model
    rows = material.train.rows
    return TrainingReport(
        model=model.name,
        version="",
        feature_set_version=model.feature_set_version,
        business=declaration.business,
        trained_at=now.isoformat(),
        events=material.events,
        users=material.users,
        archive_from=iso(material.first_day),
        archive_until=iso(material.last_day),
        horizon_days=declaration.label.horizon_days,
        train_as_ofs=tuple(map(iso, material.split.train)),
        test_as_ofs=tuple(map(iso, material.split.test)),
        train_rows=len(rows),
        train_positive_rate=float(rows.churned.mean()),
        sampled_share=material.train.share,
        chosen=best.name,
        candidates=contenders,
        evaluation=best.evaluation,
        rivals=judged.rivals,
        verdict=judged.verdict,
        seconds={},
        reserved_share=material.reserved_share,
    )


def _contender(candidate: Candidate, judges: Judges) -> Contender:
    by = candidate.recalibration
    return Contender(
        candidate.name,
        candidate.fold_loss,
        dict(candidate.settings),
        by.slope,
        by.shift,
        round(candidate.seconds, 1),
        judges.of_model(candidate.model),
        sweeps(candidate.model, judges.declaration, judges.material.test.rows.matrix),
    )


def _texts(report: TrainingReport, found: Sequence[Candidate], card: Card, material: Material) -> Mapping[str, str]:
    """Return what is kept beside the model: every candidate whole, so that each can be compared and served later."""
    model, train_rows, test = found[0].model, material.train.rows, material.test.rows
    some = train_rows.thinned(REFERENCE_ROWS)
    # What the model says of rows that it learnt from is too sure of itself to be a reference.
    reference = reference_of(model.features, some.matrix, scored(model, test.matrix), some.days)
    return {
        "report.json": report.json().decode(),
        "report.txt": report.text(),
        CARD_FILE: card.json(),
        REFERENCE_FILE: encode_reference(reference),
        **{f"candidates/{each.name}.json": encode(each.model).decode() for each in found},
    }


def _register(
    report: TrainingReport,
    registry: Registry,
    found: Sequence[Candidate],
    texts: Mapping[str, str],
    noted: Mapping[str, str] | None,
) -> str:
    params = {
        "candidate": report.chosen,
        **{f"{found[0].name}_{key}": value for key, value in found[0].settings.items()},
        "train_rows": report.train_rows,
        "train_snapshots": len(report.train_as_ofs),
        "test_snapshots": len(report.test_as_ofs),
        "horizon_days": report.horizon_days,
        "sampled_share": report.sampled_share,
    }
    metrics = {key: value for key, value in vars(report.evaluation).items() if isinstance(value, int | float)}
    for each in report.candidates:
        metrics |= {f"{each.name}_auc": each.evaluation.auc, f"{each.name}_log_loss": each.evaluation.log_loss}
    rivals = report.rivals
    others = {
        "recency": rivals.recency, "observer": rivals.observer, "oracle": rivals.oracle, "champion": rivals.champion,
    }  # fmt: skip
    for name, other in others.items():
        if other is not None:
            metrics |= {f"{name}_auc": other.auc, f"{name}_log_loss": other.log_loss}
    tags = {
        "business": report.business,
        "data_from": report.archive_from,
        "data_until": report.archive_until,
        "gate": "passed" if report.verdict.promotes else "failed",
        "data_fingerprint": str(found[0].model.trained.get("data_fingerprint", "")),
        **(noted or {}),
    }
    return registry.register(found[0].model, params, metrics, tags, texts)
