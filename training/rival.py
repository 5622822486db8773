"""The champion, judged on the rows that the online model was judged on."""

from datetime import date

from churn.days import day_number
from churn.model import Scorer
from training.window import Judged, Window, judge

NOTHING = Judged(0, float("nan"), float("nan"))


class Rival:
    """A model that serves; rows that it was trained on say nothing about it and are left out."""

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

    def judged(self, window: Window) -> Judged:
        """Return the champion's measures on the rows of midnights after those that it learnt from."""
        if self._scorer is None:
            return NOTHING
        fresh = window.as_of_days > self._known_until_day
        return judge(window.churned[fresh], self._scorer.score(window.matrix[fresh]).probability)
