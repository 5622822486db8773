"""The hold-out and everybody who is judged on it: candidates, the recency rule, the champion, the oracle."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from churn.days import iso
from churn.declaration import Declaration
from churn.errors import DataError
from churn.evaluation import Evaluation, evaluate
from churn.model import Model
from training.floor import RecencyFloor
from training.gate import Holdout, Verdict, judge
from training.logistic import scored
from training.material import Material
from training.registry import Registry
from training.report import Rivals
from training.segments import segments
from training.truth import OBSERVABLE, true_probabilities


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
        observer = self._observer() if self.truth_dir else None
        known = None if champion is None else self._evaluated(champion)
        holdout = Holdout(test.rows.churned, test.users, segments(self.declaration, test.rows.matrix))
        verdict = judge(holdout, scored(model, test.rows.matrix), floor, champion, note)
        return Rivals(self._evaluated(floor), known, oracle, beside, observer), verdict

    def champion(self) -> tuple[Model, str] | None:
        """Return the champion and its version, if it reads the same features and cannot know the hold-out."""
        record = self.registry.champion()
        if record is None or record.feature_set_version != self.declaration.feature_set_version:
            return None
        model = self.registry.model(record.version)
        return None if self._knows(model) else (model, record.version)

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
        probability = scored(model, self.material.test.rows.matrix)
        return probability, f"version {record.version}{self._knows(model)}"

    def _knows(self, model: Model) -> str:
        """Say that a model may have learnt from rows of the hold-out; empty when it cannot have."""
        until, share = str(model.trained.get("train_until", "")), self.material.reserved_share
        if share and model.trained.get("reserved_share") == share:
            return ""
        # Labels reach a horizon ahead: whoever learnt later than that before the first judged row knows part of it.
        clear = iso(self.material.split.test[0] - self.declaration.label.horizon_days)
        return f", which learnt until {until} and may know these rows" if until > clear else ""

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

    def _observer(self) -> Evaluation | None:
        """Return the measures of the ideal observer where it knows the whole hold-out."""
        test = self.material.test
        truth = true_probabilities(self.truth_dir or Path(), test.users, test.rows.days, OBSERVABLE)
        return None if np.isnan(truth).any() else self._evaluated(truth)
