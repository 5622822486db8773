"""The model that serves in a process: switched as a whole, never to one that fails verification."""

import threading
from dataclasses import dataclass
from pathlib import Path

from churn.errors import DataError
from churn.model import Scorer
from churn.scores import Champion
from feature_repo.bundles import load


@dataclass(frozen=True)
class Switched:
    """The new scorer and the versions that no longer serve."""

    scorer: Scorer
    retired: tuple[str, ...]


class ServingModel:
    """Holds the scorer in use; `scorer` is read without a lock, because it is replaced in one step."""

    def __init__(self, models_dir: Path, feature_set_version: str) -> None:
        self._models_dir = models_dir
        self._version = feature_set_version
        self._heard: set[str] = set()
        self._changed = threading.Condition()
        self.scorer: Scorer | None = None
        self.champion: Champion | None = None
        self.refusal = ""

    def switch(self, champion: Champion) -> Switched:
        """Load, verify and put into service what a champion record names.

        Raises:
            DataError: the bundle does not pass; the former model keeps serving and `refusal` says why.
        """
        former = self.scorer
        try:
            scorer = load(self._models_dir, champion, self._version)
        except DataError as error:
            self.refusal = str(error)
            raise
        else:
            self.scorer, self.champion, self.refusal = scorer, champion, ""
            retired = (former.version,) if former and former.version != scorer.version else ()
            return Switched(scorer, retired)
        finally:
            with self._changed:
                self._heard.add(champion.version)
                self._changed.notify_all()

    def heard_of(self, version: str) -> bool:
        """Tell whether a record of this version was seen, served or refused."""
        return version in self._heard

    def wait_for(self, version: str, timeout_seconds: float) -> bool:
        """Wait until a record of this version was seen; returns whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: version in self._heard, timeout_seconds)
