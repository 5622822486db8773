"""A River model that learns from every matured label, and is judged by what it could have said before (progressive validation).

Standardised signed log1p features and missing indicators, logistic regression by stochastic gradient. The whole state
is numbers, so snapshots are JSON and restore exactly; no pickle is involved.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed_version
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
from river import linear_model, optim, preprocessing
from river.utils.dataframe import into_frame, into_series

from churn.errors import DataError
from churn.layout import Floats
from churn.model import LogisticModel, signed_log1p
from training.goldens import with_golden
from training.issued import Issued, Standing, Weights
from training.window import Window, WindowState

RIVER_VERSION = installed_version("river")
HORIZON_DAYS = 30
BLOCK_ROWS = 2000
"""Rows that the scaler learns at once. Scaling every step anew has River look at each of 150 columns twice a step: a fifth
of the speed, for the same log loss."""
STEP_ROWS = 64
LEARNING_RATE = 0.05
"""On 325,000 matured labels of 119 midnights of the synthetic business, 75 features, as issued: log loss of the last 20
midnights 0.2687 (of all 0.2541) at 70,000 rows a second; rate 0.1 gives 0.2716 (0.2536), 128 rows at 0.1 0.2683 (0.2553)."""
PENALTY = 1e-4
CONSTANT_VARIANCE = 1e-12

Float64s = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class OnlineState(msgspec.Struct, frozen=True):
    """Everything the learner knows; lists are in the order of `columns`."""

    feature_set_version: str
    features: list[str]
    rows: int
    steps: int
    intercept: float
    weights: list[float]
    counts: list[int]
    means: list[float]
    variances: list[float]
    latest_day: int
    standings: list[Standing]
    window: WindowState


class OnlineLearner:
    """Predicts, then learns."""

    def __init__(
        self,
        features: Sequence[str],
        feature_set_version: str,
        state: OnlineState | None = None,
        horizon_days: int = HORIZON_DAYS,
    ) -> None:
        """Begin anew, or continue from a state; labels are known `horizon_days` after their midnight.

        Raises:
            DataError: the state belongs to other features.
        """
        self._features, self._version = list(features), feature_set_version
        self._columns = [f"x{i}" for i in range(len(features))] + [f"missing{i}" for i in range(len(features))]
        self._scaler: Any = preprocessing.StandardScaler()
        self._regression: Any = linear_model.LogisticRegression(
            optimizer=optim.SGD(LEARNING_RATE), l2=PENALTY, intercept_lr=LEARNING_RATE
        )
        self.rows = 0
        self.issued = Issued(horizon_days)
        self.window = Window(len(features))
        if state is not None:
            self._restore(state, horizon_days)

    def predict(self, matrix: Floats) -> Float64s:
        """Return what the model says now of float32 [n, features], by River itself; one half before anything was learnt."""
        if not self.rows:
            return np.full(len(matrix), 0.5)
        inputs = self._scaler.transform_many(self._frame(matrix))
        return np.asarray(self._regression.predict_proba_many(inputs)[True], np.float64)

    def learn(self, as_of_day: int, matrix: Floats, churned: Mask) -> Float64s | None:
        """Learn the rows of a midnight; returns what could have been said of them then, which the window notes.

        None stands for rows of a midnight at which no label was known yet: they are learnt, and nothing is judged by them.
        """
        self.issued.meets(as_of_day, self.weights)
        then = self.issued.at(as_of_day)
        said = then.score(matrix) if then is not None else None
        if said is not None:
            self.window.add(as_of_day, matrix, churned, said)
        for start in range(0, len(matrix), BLOCK_ROWS):
            self._learn_block(matrix[start : start + BLOCK_ROWS], churned[start : start + BLOCK_ROWS])
        return said

    def _learn_block(self, matrix: Floats, churned: Mask) -> None:
        frame = self._frame(matrix)
        self._scaler.learn_many(frame)
        for column, variance in self._scaler.vars.items():
            # E[x^2] - E[x]^2 of a constant may fall just below zero, of which no root is real.
            if variance < CONSTANT_VARIANCE:
                self._scaler.vars[column] = 0.0
        # Wrapped once as River would wrap each step's, which is a third of the time of a step.
        inputs, answers = into_frame(self._scaler.transform_many(frame)), into_series(pd.Series(churned))
        for start in range(0, len(matrix), STEP_ROWS):
            step = slice(start, start + STEP_ROWS)
            self._regression.learn_many(inputs[step], answers[step])
        self.rows += len(matrix)

    def _frame(self, matrix: Floats) -> pd.DataFrame:
        missing, values = np.isnan(matrix), signed_log1p(matrix)
        filled = np.where(missing, self._averages(values, missing), values)
        return pd.DataFrame(np.concatenate([filled, missing], axis=1), columns=self._columns)

    def _averages(self, values: Float64s, missing: Mask) -> Float64s:
        """Return what stands for a missing value: the mean so far, of the first block its own, 0 where there is none."""
        if self.rows:
            return np.array([self._scaler.means[column] for column in self._columns[: len(self._features)]])
        total = np.where(missing, 0.0, values).sum(axis=0)
        return np.asarray(total / np.maximum((~missing).sum(axis=0), 1), np.float64)

    def weights(self) -> Weights:
        """Return the model as it stands, in the form that `churn.logistic` computes."""
        means, deviations, weights = self._column(self._scaler.means), self._deviations(), self._learnt_weights()
        count = len(self._features)
        parts = [
            means[:count],
            deviations[:count],
            weights[:count],
            weights[count:] / deviations[count:],
            means[count:],
        ]
        return Weights(float(self._regression.intercept), np.array(parts).astype("<f8").tobytes())

    def _column(self, numbers: Mapping[str, float]) -> Float64s:
        return np.array([numbers.get(column, 0.0) for column in self._columns], np.float64)

    def _deviations(self) -> Float64s:
        """Return what River divides by: nothing where a column never changed."""
        deviations = np.sqrt(self._column(self._scaler.vars))
        deviations[deviations == 0] = 1.0
        return deviations

    def _learnt_weights(self) -> Float64s:
        return self._column(self._regression.weights)

    def state(self) -> OnlineState:
        """Return everything as plain numbers."""
        return OnlineState(
            self._version,
            self._features,
            self.rows,
            self._regression.optimizer.n_iterations,
            float(self._regression.intercept),
            self._learnt_weights().tolist(),
            [int(self._scaler.counts.get(column, 0)) for column in self._columns],
            self._column(self._scaler.means).tolist(),
            self._column(self._scaler.vars).tolist(),
            self.issued.latest_day,
            list(self.issued.standings),
            self.window.state(),
        )

    def _restore(self, state: OnlineState, horizon_days: int) -> None:
        if state.feature_set_version != self._version or state.features != self._features:
            seen = f"{state.feature_set_version}, this declaration is {self._version}"
            raise DataError(f"the online model reads feature set {seen}; move its snapshots away to begin anew")
        if not state.rows:
            return
        self._scaler.counts.update(dict(zip(self._columns, state.counts, strict=True)))
        self._scaler.means.update(zip(self._columns, state.means, strict=True))
        self._scaler.vars.update(zip(self._columns, state.variances, strict=True))
        self._regression._weights.update(dict(zip(self._columns, state.weights, strict=True)))
        self._regression.intercept = state.intercept
        self._regression.optimizer.n_iterations = state.steps
        self.rows = state.rows
        self.issued = Issued(horizon_days, state.latest_day, state.standings)
        self.window = Window(len(self._features), state.window)

    def export(self, name: str, examples: Floats) -> LogisticModel:
        """Return the present weights as a model that can be registered and served; golden rows from `examples`."""
        bare = self.weights().model(name, self._version, self._features)
        facts: dict[str, str | float | int] = {"rows": self.rows, "learner": f"river {RIVER_VERSION}"}
        return with_golden(msgspec.structs.replace(bare, trained=facts), examples, self.predict)
