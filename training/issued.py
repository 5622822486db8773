"""What an online model could have said at a midnight: its weights as they stood with the labels that were known by then.

Labels of a midnight are known a horizon later. A model that has learnt those of D - 1 therefore stands for D + horizon - 1
at the earliest; asked about the rows of D it would know too much of the days around them. So the weights are kept as they
stood after each midnight, for a horizon, and rows of D are judged by those of the latest midnight up to D - horizon.
"""

from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from churn.layout import Float64s, Floats
from churn.logistic import LogisticForm, LogisticModel

LATE_DAYS = 7
"""Weights are kept so much longer than a horizon: a partition that was away may come with labels that old; those of a
partition away for longer are learnt, and not judged."""


class Weights(msgspec.Struct, frozen=True):
    """A logistic regression, as in `churn.logistic`.

    Attributes:
        values: float64 [5, features], little-endian: mean, scale, weight, missing weight, missing rate.
    """

    intercept: float
    values: bytes

    def model(self, name: str, feature_set_version: str, features: list[str]) -> LogisticModel:
        """Return the weights as a model of its own, without golden rows."""
        mean, scale, weight, missing_weight, missing_rate = np.frombuffer(self.values, "<f8").reshape(5, -1).tolist()
        return LogisticModel(
            name,
            feature_set_version,
            features,
            mean,
            scale,
            weight,
            missing_weight,
            missing_rate,
            self.intercept,
            [],
            {},
        )

    def score(self, matrix: Floats) -> Float64s:
        """Return the probabilities of float32 [n, features]; a row's does not depend on the others."""
        _, log_odds = LogisticForm(self.model("", "", [])).parts(matrix)
        return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), np.float64)


class Standing(msgspec.Struct, frozen=True):
    """How a model stood once labels up to those of a midnight (UTC day number) were learnt."""

    as_of_day: int
    weights: Weights


class Issued:
    """The standings that rows to come may be judged by, the earliest first; `latest_day` is the one that is being learnt."""

    def __init__(self, horizon_days: int, latest_day: int = -1, standings: Iterable[Standing] = ()) -> None:
        """Begin anew, or go on."""
        self._horizon_days = horizon_days
        self.latest_day, self.standings = latest_day, list(standings)

    def meets(self, as_of_day: int, present: Callable[[], Weights]) -> None:
        """Turn to a midnight, before any of its labels is learnt; the first turn to a later one keeps the weights."""
        if as_of_day <= self.latest_day:
            return
        if self.latest_day >= 0:
            self.standings.append(Standing(self.latest_day, present()))
        self.latest_day = as_of_day
        before = [s for s in self.standings if s.as_of_day <= as_of_day - self._horizon_days - LATE_DAYS]
        self.standings = self.standings[max(0, len(before) - 1) :]

    def at(self, as_of_day: int) -> Weights | None:
        """Return the weights with which a prediction for this midnight could be issued; None before there were any."""
        known = [s for s in self.standings if s.as_of_day <= as_of_day - self._horizon_days]
        return known[-1].weights if known else None
