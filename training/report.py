"""What a training came to, as data and as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from churn.evaluation import Evaluation
from training.gate import Verdict
from training.monotone import Sweep


@dataclass(frozen=True)
class Rivals:
    """The same hold-out rows scored by others; None where there is nothing to compare with.

    `oracle` knows the hidden state and the law of the synthetic business. It may know fewer rows than the hold-out, so
    `model_on_oracle_rows` is the model on exactly its rows. `observer` knows the law and what was published: nobody who
    reads the events can do better.
    """

    recency: Evaluation
    champion: Evaluation | None
    oracle: Evaluation | None
    model_on_oracle_rows: Evaluation | None
    observer: Evaluation | None = None


@dataclass(frozen=True)
class Contender:
    """One candidate: log loss on the folds (NaN without any), chosen settings, recalibration, measures on the hold-out.

    `sweeps` tell how often more silence lowered the risk, all else equal.
    """

    name: str
    fold_loss: float
    settings: Mapping[str, str | float | int]
    recalibration_slope: float
    recalibration_shift: float
    seconds: float
    evaluation: Evaluation
    sweeps: tuple[Sweep, ...]


@dataclass(frozen=True)
class TrainingReport:
    """One training from data range to verdict; times are ISO dates, UTC."""

    model: str
    version: str
    feature_set_version: str
    business: str
    trained_at: str
    events: int
    users: int
    archive_from: str
    archive_until: str
    horizon_days: int
    train_as_ofs: tuple[str, ...]
    test_as_ofs: tuple[str, ...]
    train_rows: int
    train_positive_rate: float
    sampled_share: float
    chosen: str
    """The registered candidate: the best on the folds, or the one halfway from it to a champion that the gate would keep
    (`training.averaged`); `evaluation` is its, on the hold-out."""
    candidates: tuple[Contender, ...]
    evaluation: Evaluation
    rivals: Rivals
    verdict: Verdict
    seconds: Mapping[str, float]
    reserved_share: float = 0.0
    """Share of users whom no version learns from, and who are judged on; 0: the hold-out is of later days."""

    def json(self) -> bytes:
        """Return the report as JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    def text(self) -> str:
        """Return the report for people."""
        parts = (self._data(), self._measures(), self._candidates(), self._calibration(), self._verdict())
        return "\n\n".join("\n".join(part) for part in parts) + "\n"

    def _data(self) -> list[str]:
        sampled = "" if self.sampled_share == 1.0 else f" (a {self.sampled_share:.1%} sample by hash)"
        return [
            f"model {self.model} {self.version}, feature set {self.feature_set_version}, business {self.business}",
            f"archive   {self.archive_from} to {self.archive_until}: {self.events:,} events of {self.users:,} users",
            f"train     {_span(self.train_as_ofs)}: {self.train_rows:,} rows{sampled}, {self.train_positive_rate:.1%} churned",
            f"hold-out  {_span(self.test_as_ofs)}: {self.evaluation.rows:,} rows, {self.evaluation.positive_rate:.1%} churned, "
            f"{self._apart()}",
        ]

    def _apart(self) -> str:
        if self.reserved_share:
            return f"of the {self.reserved_share:.0%} of users from whom no version learns"
        return f"at least {self.horizon_days} days after the last training snapshot"

    def _measures(self) -> list[str]:
        rivals = self.rivals
        rows: list[tuple[str, Evaluation | None]] = [
            (f"{each.name}{' (this model)' if each.name == self.chosen else ''}", each.evaluation)
            for each in self.candidates
        ]
        rows += [("recency alone", rivals.recency), ("champion", rivals.champion)]
        if rivals.model_on_oracle_rows and rivals.model_on_oracle_rows.rows != self.evaluation.rows:
            rows.append(("this model, oracle's rows", rivals.model_on_oracle_rows))
        rows += [("ideal observer of events", rivals.observer), ("oracle (hidden state)", rivals.oracle)]
        head = f"{'on the hold-out':26}{'AUC':>8}{'AP':>8}{'log loss':>10}{'Brier':>8}{'ECE':>8}{'lift@10%':>10}{'acc':>7}{'prec':>7}{'recall':>8}"
        return [head, *(_row(name, found) for name, found in rows if found is not None)]

    def _candidates(self) -> list[str]:
        lines = [f"{'candidates':12}{'folds':>8}  more silence lowers the risk   recalibration   settings"]
        for each in self.candidates:
            settings = ", ".join(f"{key} {value}" for key, value in each.settings.items())
            sweep = ", ".join(f"{s.share:.1%} of {s.steps:,} steps" for s in each.sweeps) or "not asked"
            line = f"{each.recalibration_slope:.3f} x {each.recalibration_shift:+.3f}"
            lines.append(f"{each.name:12}{each.fold_loss:>8.4f}  {sweep:29}  {line:14}  {settings or 'fixed'}")
        return [
            *lines,
            "folds: mean log loss on later days and other users (cohorts: other users), inside the training snapshots",
        ]

    def _calibration(self) -> list[str]:
        lines = ["calibration (tenths of the hold-out)   said   happened"]
        for number, part in enumerate(self.evaluation.calibration, 1):
            bar = "#" * round(40 * part.observed)
            lines.append(f"{number:>4} {part.users:>9,} users {part.predicted:>21.3f} {part.observed:>10.3f}  {bar}")
        return lines

    def _verdict(self) -> list[str]:
        head = (
            "The gate lets it serve."
            if self.verdict.promotes
            else "The gate keeps it from serving; nothing was promoted."
        )
        return [head, *(f"  {line}" for line in self.verdict.why)]


def _row(name: str, found: Evaluation) -> str:
    ranking = (
        f"{found.auc:>8.4f}{found.average_precision:>8.4f}{found.log_loss:>10.4f}{found.brier:>8.4f}{found.ece:>8.4f}"
    )
    return f"{name:26}{ranking}{found.lift_at_10_percent:>10.2f}{found.accuracy:>7.3f}{found.precision:>7.3f}{found.recall:>8.3f}"


def _span(dates: Sequence[str]) -> str:
    return dates[0] if len(dates) == 1 else f"{len(dates)} snapshots {dates[0]} to {dates[-1]}"
