"""Which models serve in a process: loaded and verified when the models topic names them, switched in one step.

A bundle that cannot be verified changes nothing: the champion before it goes on serving, a challenger is left out and its
users stay with the champion; readiness and metrics say so.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from churn.arms import arms
from churn.declaration import Declaration
from churn.errors import ChurnError
from churn.model import Scorer
from churn.scores import Challenger, Champion, Lineup
from feature_repo.bundles import Named, load
from feature_repo.instruments import Instruments
from feature_repo.manifest import signature_of

log = structlog.get_logger(__name__)

Challenging = tuple[Challenger, Scorer]
Record = Champion | Lineup
"""What the models topic says of one model."""


@dataclass(frozen=True)
class Answering:
    """A model that answers for some users: `since` is the `promoted_at` of their scores."""

    version: str
    scorer: Scorer
    since: datetime


@dataclass(frozen=True)
class Serving:
    """The models that answer, and the records that named them; `challengers` are those of the lineup that can be served."""

    champion: Champion
    scorer: Scorer
    lineup: Lineup | None = None
    challengers: tuple[Challenging, ...] = ()

    @property
    def since(self) -> datetime:
        """Return since when this is served: the later of the champion's promotion and the challengers' announcement."""
        promoted = self.champion.promoted_at
        return promoted if self.lineup is None else max(promoted, self.lineup.announced_at)

    @cached_property
    def split(self) -> bool:
        """Tell whether any challenger is named for a share of the users."""
        return self.lineup is not None and bool(self.lineup.split)

    @cached_property
    def sharing(self) -> tuple[Challenging, ...]:
        """Return the challengers that answer for a share of the users."""
        return tuple((challenger, scorer) for challenger, scorer in self.challengers if challenger.share > 0)

    @cached_property
    def leading(self) -> Answering:
        """Return the champion as it answers for everyone who is in no challenger's share."""
        return Answering(self.champion.version, self.scorer, self.since)

    def answering(self, user: str) -> Answering:
        """Return who answers for a user."""
        return self._by_arm[int(arms([user], self._shares)[0])]

    def parts(self, users: Sequence[str]) -> list[tuple[Answering, npt.NDArray[np.intp]]]:
        """Return who answers for whom: models, each with the places of its users."""
        chosen = arms(users, self._shares)
        return [(self._by_arm[arm], np.flatnonzero(chosen == arm)) for arm in np.unique(chosen)]

    @cached_property
    def _shares(self) -> list[float]:
        return [] if self.lineup is None else [challenger.share for challenger in self.lineup.challengers]

    @cached_property
    def _by_arm(self) -> list[Answering]:
        """Return who answers in each interval of the lineup, the champion last.

        Where a challenger cannot be served the champion does, as it did before the challenger was announced: under its own
        promotion, so that the score that the challenger gives once it can be served is the later one.
        """
        scorers = {challenger.version: scorer for challenger, scorer in self.challengers}
        instead = Answering(self.champion.version, self.scorer, self.champion.promoted_at)
        named = [] if self.lineup is None else self.lineup.challengers
        found = [self._in_arm(each.version, scorers.get(each.version), instead) for each in named]
        return [*found, self.leading]

    def _in_arm(self, version: str, scorer: Scorer | None, instead: Answering) -> Answering:
        if version == self.champion.version:
            return self.leading
        return instead if scorer is None else Answering(version, scorer, self.since)


@dataclass(frozen=True)
class Refusal:
    """A version that was named and must not serve."""

    version: str
    reason: str


def beside(
    champion: Champion, named: Iterable[Challenger], load: Callable[[Challenger], Scorer]
) -> tuple[tuple[Challenging, ...], tuple[Refusal, ...]]:
    """Return the challengers that can be served beside a champion, and those that are left out, with the reason.

    Who was promoted meanwhile is neither.
    """
    found, refusals = [], []
    for each in named:
        if each.version == champion.version:
            continue
        try:
            found.append((each, load(each)))
        except (ChurnError, ValueError, OSError) as error:
            refusals.append(Refusal(each.version, str(error)))
    return tuple(found), tuple(refusals)


class ServingModel:
    """Holds the models that serve; one thread follows, any thread reads.

    `serving`, `refusal` (of the champion) and `left_out` (challengers) are each replaced in one assignment, so a reader
    sees the old or the new, never a mixture.
    """

    def __init__(self, models_dir: Path, declaration: Declaration, instruments: Instruments) -> None:
        """Serve nothing until `follow` loads a model; the process' metrics tell what serves."""
        self._models_dir, self._declaration, self._instruments = models_dir, declaration, instruments
        self._named: Champion | None = None
        self._lineup: Lineup | None = None
        self._illegible: tuple[Refusal, ...] = ()
        self._heard: set[str] = set()
        self._changed = threading.Condition()
        self.serving: Serving | None = None
        self.refusal: Refusal | None = None
        self.left_out: tuple[Refusal, ...] = ()

    def follow(self, named: Sequence[Record]) -> None:
        """Serve the last champion and the last lineup of these records, each bundle that proves right.

        Those before the last only count as heard of: their bundles may be gone.
        """
        champions = [record for record in named if isinstance(record, Champion)]
        lineups = [record for record in named if isinstance(record, Lineup)]
        if lineups:
            self._lineup, self._illegible = lineups[-1], ()
        self._named = champions[-1] if champions else self._named
        self._take(self._named if champions else None)
        heard = [record.promotion for record in champions] + [record.announcement for record in lineups]
        with self._changed:
            self._heard.update(heard)
            self._changed.notify_all()

    def retry(self) -> None:
        """Try refused bundles again: they may have arrived by now on a shared volume."""
        named, refusal = self._named, self.refusal
        again = named if named is not None and refusal is not None and refusal.version == named.version else None
        if again is not None or set(self.left_out) - set(self._illegible):
            self._take(again)
            with self._changed:
                self._changed.notify_all()

    def refuse(self, version: str, reason: str) -> None:
        """Note that a version must not serve as champion; the same refusal twice is one."""
        refusal = Refusal(version, reason)
        if refusal != self.refusal:
            self.refusal = refusal
            self._instruments.count("churn_refused_models")
            log.error("the promoted model is refused; the former one keeps serving", version=version, reason=reason)

    def unreadable(self, what: type[Record], reason: str) -> None:
        """Note a record on the models topic that cannot be read; what was named before it goes on."""
        if what is Champion:
            self.refuse("unreadable", reason)
        else:
            self._illegible = (Refusal("unreadable", reason),)
            self._leave_out(self.left_out)

    def _leave_out(self, refusals: Iterable[Refusal]) -> None:
        """Note which challengers must not be served, instead of those noted before."""
        former, self.left_out = self.left_out, tuple(dict.fromkeys([*refusals, *self._illegible]))
        for refusal in set(self.left_out) - set(former):
            self._instruments.count("churn_refused_models")
            log.error("a challenger is refused and left out", version=refusal.version, reason=refusal.reason)

    def heard_of(self, promotion: str) -> bool:
        """Tell whether a record (`Champion.promotion`, `Lineup.announcement`) was seen, served or refused."""
        return promotion in self._heard

    def wait_for(self, promotion: str, timeout_seconds: float) -> bool:
        """Wait until the record of this promotion or announcement was seen; returns whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: promotion in self._heard, timeout_seconds)

    def pass_over(self, promotion: str) -> None:
        """Wait no more for a record: of one that was followed by another the topic may hold nothing any more."""
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
        """Return what is wrong with the models, in sentences; nothing when the named ones serve."""
        serving, refusal = self.serving, self.refusal
        without = [
            f"challenger version {each.version} was refused and is left out: {each.reason}" for each in self.left_out
        ]
        if refusal is not None:
            instead = f"version {serving.champion.version} goes on serving" if serving else "no model serves"
            return [f"champion version {refusal.version} was refused, {instead}: {refusal.reason}", *without]
        if serving is None:
            return ["no champion is loaded: the models topic names none yet; train one with `churn train`", *without]
        return without

    def _take(self, champion: Champion | None) -> None:
        """Load this champion, or keep the present one, and the challengers beside it; then serve them together.

        While a champion is refused all goes on as it was: challengers announced after it would date scores of the former
        champion as if they were its own.
        """
        former, leading = self.serving, None
        if champion is not None:
            leading = self._loaded_champion(champion)
        elif former is not None and self.refusal is None:
            leading = former.champion, former.scorer
        if leading is None:
            return
        self.serving = Serving(*leading, self._lineup, self._challengers(self._lineup, leading[0]))
        self._tell(former, self.serving)

    def _loaded_champion(self, champion: Champion) -> tuple[Champion, Scorer] | None:
        try:
            scorer = self._load(champion)
        except (ChurnError, ValueError, OSError) as error:
            self.refuse(champion.version, str(error))
            return None
        self.refusal = None
        return champion, scorer

    def _challengers(self, lineup: Lineup | None, champion: Champion) -> tuple[Challenging, ...]:
        """Return the challengers that can be served; those that served before are not loaded again."""
        before = {} if self.serving is None else {_identity(each): scorer for each, scorer in self.serving.challengers}
        named = [] if lineup is None else lineup.challengers
        found, refusals = beside(champion, named, lambda each: before.get(_identity(each)) or self._load(each))
        self._leave_out(refusals)
        return found

    def _tell(self, former: Serving | None, serving: Serving) -> None:
        if former is not None and former.champion.version != serving.champion.version:
            self._instruments.forget("churn_champion_info", version=former.champion.version)
        self._instruments.set("churn_champion_info", 1, version=serving.champion.version)
        self._instruments.set("churn_champion_promoted_seconds", serving.champion.promoted_at.timestamp())

    def _load(self, named: Named) -> Scorer:
        declaration = self._declaration
        return load(self._models_dir, named, declaration.feature_set_version, signature_of(declaration))


def _identity(challenger: Challenger) -> tuple[str, str]:
    return challenger.version, challenger.sha256
