"""A River model that learns from every matured label, and is judged on it first (progressive validation).

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

from churn.errors import DataError
from churn.layout import Floats
from churn.model import LogisticModel, signed_log1p
from training.goldens import with_golden
from training.window import Window, WindowState

RIVER_VERSION = installed_version("river")
STEP_ROWS = 64
LEARNING_RATE = 0.1
"""On 185,000 matured labels of the synthetic business: log loss of the last 20 days 0.2429 at 31,000 rows a second; rate
0.05 gives 0.2436 and starts slower, 16 rows at rate 0.02 give 0.2428 at a fifth of the speed."""
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
    window: WindowState


class OnlineLearner:
    """Predicts, then learns."""

    def __init__(self, features: Sequence[str], feature_set_version: str, state: OnlineState | None = None) -> None:
        """Begin anew, or continue from a state.

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
        self.window = Window(len(features))
        if state is not None:
            self._restore(state)

    def predict(self, matrix: Floats) -> Float64s:
        """Return the probability of churn of float32 [n, features]; one half before anything was learnt."""
        if not self.rows:
            return np.full(len(matrix), 0.5)
        inputs = self._scaler.transform_many(self._frame(matrix))
        return np.asarray(self._regression.predict_proba_many(inputs)[True], np.float64)

    def learn(self, as_of_day: int, matrix: Floats, churned: Mask) -> Float64s:
        """Predict the rows of a midnight, note what was said, then learn from them; returns the predictions."""
        said = self.predict(matrix)
        self.window.add(as_of_day, matrix, churned, said)
        for start in range(0, len(matrix), STEP_ROWS):
            self._step(matrix[start : start + STEP_ROWS], churned[start : start + STEP_ROWS])
        return said

    def _step(self, matrix: Floats, churned: Mask) -> None:
        frame = self._frame(matrix)
        self._scaler.learn_many(frame)
        for column, variance in self._scaler.vars.items():
            # E[x^2] - E[x]^2 of a constant may fall just below zero, of which no root is real.
            if variance < CONSTANT_VARIANCE:
                self._scaler.vars[column] = 0.0
        self._regression.learn_many(self._scaler.transform_many(frame), pd.Series(churned))
        self.rows += len(matrix)

    def _frame(self, matrix: Floats) -> pd.DataFrame:
        missing = np.isnan(matrix)
        means = np.array([self._scaler.means.get(column, 0.0) for column in self._columns[: len(self._features)]])
        values = np.where(missing, means, signed_log1p(matrix))
        return pd.DataFrame(np.concatenate([values, missing], axis=1), columns=self._columns)

    def state(self) -> OnlineState:
        """Return everything as plain numbers."""
        weights: Mapping[str, float] = self._regression.weights
        return OnlineState(
            self._version,
            self._features,
            self.rows,
            self._regression.optimizer.n_iterations,
            float(self._regression.intercept),
            [float(weights.get(column, 0.0)) for column in self._columns],
            [int(self._scaler.counts.get(column, 0)) for column in self._columns],
            [float(self._scaler.means.get(column, 0.0)) for column in self._columns],
            [float(self._scaler.vars.get(column, 0.0)) for column in self._columns],
            self.window.state(),
        )

    def _restore(self, state: OnlineState) -> None:
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
        self.window = Window(len(self._features), state.window)

    def export(self, name: str, examples: Floats) -> LogisticModel:
        """Return the present weights as a model that can be registered and served; golden rows from `examples`."""
        state, count = self.state(), len(self._features)
        scale = np.sqrt(np.array(state.variances))
        scale[scale == 0] = 1.0
        weights, means = np.array(state.weights), state.means
        bare = LogisticModel(
            name,
            self._version,
            self._features,
            means[:count],
            scale[:count].tolist(),
            weights[:count].tolist(),
            (weights[count:] / scale[count:]).tolist(),
            means[count:],
            state.intercept,
            [],
            {"rows": state.rows, "learner": f"river {RIVER_VERSION}"},
        )
        return with_golden(bare, examples, self.predict)
