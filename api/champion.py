"""Which model serves: loaded and verified when the models topic names it, swapped in one step.

A bundle that cannot be verified changes nothing: the model before it goes on serving, and readiness and metrics say so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from churn.errors import ChurnError, DataError
from churn.model import Scorer
from churn.scores import Champion

Load = Callable[[Champion], Scorer]


@dataclass(frozen=True)
class Serving:
    """The model that answers, and the record that named it."""

    champion: Champion
    scorer: Scorer


@dataclass(frozen=True)
class Refusal:
    """A version that was named champion and must not serve."""

    version: str
    reason: str


class ChampionHolder:
    """Holds the model that serves; one thread follows, any thread reads.

    `serving` and `refusal` are each replaced in one assignment, so a reader sees the old or the new, never a mixture.
    """

    def __init__(self, load: Load, feature_names: Sequence[str]) -> None:
        """Serve nothing until `follow` loads a model."""
        self._load = load
        self._feature_names = list(feature_names)
        self._named: Champion | None = None
        self.serving: Serving | None = None
        self.refusal: Refusal | None = None
        self.refusals = 0

    def follow(self, champion: Champion) -> None:
        """Serve this champion if its bundle proves right; keep serving the one before if not."""
        if champion != self._named:
            self._named = champion
            self._take(champion)

    def retry(self) -> None:
        """Try a refused champion again: its bundle may have arrived by now on a shared volume."""
        named, refusal = self._named, self.refusal
        if named is not None and refusal is not None and refusal.version == named.version:
            self._take(named)

    def refuse(self, version: str, reason: str) -> None:
        """Note that a version must not serve."""
        refusal = Refusal(version, reason)
        self.refusals += refusal != self.refusal
        self.refusal = refusal

    def _take(self, champion: Champion) -> None:
        try:
            scorer = self._load(champion)
            if scorer.model.features != self._feature_names:
                raise DataError(
                    f"model {champion.version} reads other features than the declaration has; train it anew"
                )
        except (ChurnError, ValueError, OSError) as error:
            self.refuse(champion.version, str(error))
        else:
            self.serving = Serving(champion, scorer)
            self.refusal = None
