"""Which model serves in a process: loaded and verified when the models topic names it, switched in one step.

A bundle that cannot be verified changes nothing: the model before it goes on serving, and readiness and metrics say so.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from churn.declaration import Declaration
from churn.errors import ChurnError
from churn.model import Scorer
from churn.scores import Champion
from feature_repo.bundles import load
from feature_repo.instruments import Instruments
from feature_repo.manifest import signature_of

log = structlog.get_logger(__name__)


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


class ServingModel:
    """Holds the model that serves; one thread follows, any thread reads.

    `serving` and `refusal` are each replaced in one assignment, so a reader sees the old or the new, never a mixture.
    """

    def __init__(self, models_dir: Path, declaration: Declaration, instruments: Instruments) -> None:
        """Serve nothing until `follow` loads a model; the process' metrics tell what serves."""
        self._models_dir, self._declaration, self._instruments = models_dir, declaration, instruments
        self._named: Champion | None = None
        self._heard: set[str] = set()
        self._changed = threading.Condition()
        self.serving: Serving | None = None
        self.refusal: Refusal | None = None

    def follow(self, named: Sequence[Champion]) -> None:
        """Serve the last of these champions if its bundle proves right; keep serving the one before if not.

        Those before the last only count as heard of: their bundles may be gone.
        """
        self._named = named[-1]
        self._take(self._named)
        with self._changed:
            self._heard.update(champion.promotion for champion in named)
            self._changed.notify_all()

    def retry(self) -> None:
        """Try a refused champion again: its bundle may have arrived by now on a shared volume."""
        named, refusal = self._named, self.refusal
        if named is not None and refusal is not None and refusal.version == named.version:
            self._take(named)
            with self._changed:
                self._changed.notify_all()

    def refuse(self, version: str, reason: str) -> None:
        """Note that a version must not serve; the same refusal twice is one."""
        refusal = Refusal(version, reason)
        if refusal != self.refusal:
            self.refusal = refusal
            self._instruments.count("churn_refused_models")
            log.error("the promoted model is refused; the former one keeps serving", version=version, reason=reason)

    def heard_of(self, promotion: str) -> bool:
        """Tell whether the record of this promotion (`Champion.promotion`) was seen, served or refused."""
        return promotion in self._heard

    def wait_for(self, promotion: str, timeout_seconds: float) -> bool:
        """Wait until the record of this promotion was seen; returns whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: promotion in self._heard, timeout_seconds)

    def pass_over(self, promotion: str) -> None:
        """Wait no more for a promotion: of one that was followed by another the topic may hold no record any more."""
        with self._changed:
            self._heard.add(promotion)

    @property
    def awaited(self) -> bool:
        """Tell whether a champion is named and none serves: its bundle may still arrive, or another be named."""
        return self.serving is None and self.refusal is not None

    def wait_serving(self, timeout_seconds: float) -> bool:
        """Wait until a model serves; returns whether one does."""
        with self._changed:
            return self._changed.wait_for(lambda: self.serving is not None, timeout_seconds)

    def not_ready(self) -> list[str]:
        """Return what is wrong with the model, in a sentence; nothing when the named one serves."""
        serving, refusal = self.serving, self.refusal
        if refusal is not None:
            instead = f"version {serving.champion.version} goes on serving" if serving else "no model serves"
            return [f"champion version {refusal.version} was refused, {instead}: {refusal.reason}"]
        if serving is None:
            return ["no champion is loaded: the models topic names none yet; train one with `churn train`"]
        return []

    def _take(self, champion: Champion) -> None:
        try:
            scorer = self._load(champion)
        except (ChurnError, ValueError, OSError) as error:
            self.refuse(champion.version, str(error))
            return
        former, self.serving = self.serving, Serving(champion, scorer)
        self.refusal = None
        if former is not None:
            self._instruments.forget("churn_champion_info", version=former.champion.version)
        self._instruments.set("churn_champion_info", 1, version=champion.version)
        self._instruments.set("churn_champion_promoted_seconds", champion.promoted_at.timestamp())

    def _load(self, champion: Champion) -> Scorer:
        declaration = self._declaration
        return load(self._models_dir, champion, declaration.feature_set_version, signature_of(declaration))
