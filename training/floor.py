"""The simplest honest rule: the churn rate of those who were silent for as many days."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PRIOR_USERS = 20
"""Each day's rate is drawn towards the overall rate by the weight of 20 users, so that a rare day says little."""


@dataclass(frozen=True)
class RecencyFloor:
    """Probability of churn by days since the last activity; index 0 is unused."""

    probabilities: npt.NDArray[np.float64]

    @classmethod
    def learn(
        cls, silent_days: npt.NDArray[np.int32], churned: npt.NDArray[np.bool_], horizon_days: int
    ) -> "RecencyFloor":
        """Count churn by days of silence (1 to the horizon).

        >>> floor = RecencyFloor.learn(np.array([1, 1, 2], np.int32), np.array([False, False, True]), 2)
        >>> floor.score(np.array([1, 2], np.int32)).round(3).tolist()
        [0.303, 0.365]
        """
        users = np.bincount(silent_days, minlength=horizon_days + 1)
        gone = np.bincount(silent_days[churned], minlength=horizon_days + 1)
        overall = float(churned.mean())
        return cls((gone + PRIOR_USERS * overall) / (users + PRIOR_USERS))

    def score(self, silent_days: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Return the probability of each user."""
        return self.probabilities[silent_days]
