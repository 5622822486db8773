"""How good the probabilities of a midnight are, by what is true of it.

The truth of the synthetic business is a probability p for every user, so a prediction q is judged without waiting: its
expected log loss is the mean of -p ln q - (1 - p) ln(1 - q), and its distance to the oracle, who says p itself, the mean
Kullback-Leibler divergence. Both are free of the chance by which a user stays or leaves, which blurs a realised log loss
of n users by about 0.4 / sqrt(n).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
LEAST = 1e-15
"""A certain answer that is wrong would cost infinitely much."""


def expected_loss(truth: Floats, said: Floats) -> float:
    """Return the mean log loss to be expected of `said` where `truth` holds; NaN if anything was left unsaid.

    >>> round(expected_loss(np.array([0.5, 0.5]), np.array([0.5, 0.5])), 4)
    0.6931
    """
    q = np.clip(said, LEAST, 1 - LEAST)
    return float(-(truth * np.log(q) + (1 - truth) * np.log1p(-q)).mean())


def realised_loss(gone: Mask, said: Floats) -> float:
    """Return the mean log loss of `said` now that it is known who is gone."""
    return expected_loss(gone.astype(np.float64), said)


@dataclass(frozen=True)
class Judged:
    """What one midnight comes to: `users` active before it, log loss to be expected of each, and what became of them.

    `live` is what was served, `never` the first champion, which is never retrained, `oracle` who knows the hidden state.
    Realised losses are NaN until the label's horizon has passed; `never` is NaN where the shadow was not heard.
    """

    day: int
    users: int
    live: float
    never: float
    oracle: float
    realised_live: float = float("nan")
    realised_never: float = float("nan")

    @property
    def distance(self) -> float:
        """Return how far what was served is from the oracle."""
        return self.live - self.oracle

    @property
    def never_distance(self) -> float:
        """Return how far the model that is never retrained is from the oracle."""
        return self.never - self.oracle


@dataclass(frozen=True)
class Midnight:
    """What was said at the first instant of a day of the year, one row a user who was active before it."""

    day: int
    users: NDArray[np.int64]
    truth: Floats
    live: Floats
    never: Floats

    def judged(self, still_active: Mask | None = None) -> Judged:
        """Judge it; `still_active` tells of every user number whether activity came within the horizon behind it."""
        found = Judged(
            self.day,
            len(self.users),
            expected_loss(self.truth, self.live),
            expected_loss(self.truth, self.never),
            expected_loss(self.truth, self.truth),
        )
        if still_active is None:
            return found
        gone = ~still_active[self.users]
        realised = realised_loss(gone, self.live), realised_loss(gone, self.never)
        return Judged(
            found.day,
            found.users,
            found.live,
            found.never,
            found.oracle,
            *realised,
        )
