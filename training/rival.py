"""The champion and the online model on the same rows, so that their figures can be held against each other."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from churn.days import day_number
from churn.evaluation import Mask
from churn.model import Scorer
from training.window import NOTHING, Judged, Window, judge


@dataclass(frozen=True)
class Compared:
    """Measures of both on one set of rows; the champion has none while nobody serves."""

    online: Judged
    champion: Judged


class Rival:
    """The model that serves; rows that it was trained on say nothing about it and are left out for both."""

    def __init__(self) -> None:
        self._scorer: Scorer | None = None
        self._known_until_day = -1

    def meets(self, scorer: Scorer | None) -> bool:
        """Take the scorer that serves now; returns whether it is another one."""
        if scorer is self._scorer or scorer is None:
            return False
        self._scorer = scorer
        until = scorer.model.trained.get("train_until")
        self._known_until_day = day_number(date.fromisoformat(str(until))) if until else -1
        return True

    def compared(self, window: Window) -> Compared:
        """Return both on the rows of midnights after those that the champion learnt from; without one, on all."""
        if self._scorer is None:
            return Compared(window.judged(), NOTHING)
        fresh: Mask = np.asarray(window.as_of_days > self._known_until_day, np.bool_)
        said = self._scorer.score(window.matrix[fresh]).probability
        return Compared(window.judged(fresh), judge(window.churned[fresh], said))
