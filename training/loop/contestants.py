"""Whose probabilities stand beside each matured label: the champion, the one before it, and every challenger.

The models topic is compacted, so that the promotion before the last may be gone from it; what was heard is kept in the
learner's snapshot instead. A bundle that is gone leaves its version out.
"""

import threading
from collections.abc import Callable, Iterable, Sequence

import structlog

from churn.errors import ChurnError
from churn.model import Scorer
from churn.scores import Champion

KEPT_PROMOTIONS = 8
"""Enough to find who served before the champion when the last few versions were refused by this process."""

log = structlog.get_logger(__name__)
Load = Callable[[Champion], Scorer]
"""Returns the verified scorer of a promotion; raises a ChurnError where its bundle is gone or damaged."""


class Contestants:
    """Remembers promotions and the scorer of the champion before; any thread may note, one thread asks."""

    def __init__(self, load: Load, seen: Iterable[Champion] = ()) -> None:
        """Go on from promotions that were heard of before."""
        self._load = load
        self._lock = threading.Lock()
        self._seen: dict[str, Champion] = {}
        self._previous: tuple[str, Scorer | None] = ("", None)
        self.note(list(seen))

    def note(self, named: Sequence[Champion]) -> None:
        """Remember promotions."""
        with self._lock:
            merged = self._seen | {champion.promotion: champion for champion in named}
            latest = sorted(merged.values(), key=lambda champion: champion.promoted_at)[-KEPT_PROMOTIONS:]
            self._seen = {champion.promotion: champion for champion in latest}

    @property
    def seen(self) -> list[Champion]:
        """Return the last promotions, the latest last."""
        with self._lock:
            return list(self._seen.values())

    def before(self, champion: Champion) -> Champion | None:
        """Return the promotion of the other version that served last before a champion."""
        earlier = [
            each for each in self.seen if each.promoted_at < champion.promoted_at and each.version != champion.version
        ]
        return earlier[-1] if earlier else None

    def present(
        self, champion: Champion | None, scorer: Scorer | None, challengers: Iterable[Scorer] = ()
    ) -> list[Scorer]:
        """Return who is judged now, each version once: champion, previous, challengers."""
        if champion is None or scorer is None:
            return []
        found = {scorer.version: scorer}
        for other in (self._scorer_before(champion), *challengers):
            if other is not None:
                found.setdefault(other.version, other)
        return list(found.values())

    def _scorer_before(self, champion: Champion) -> Scorer | None:
        before = self.before(champion)
        if before is None:
            return None
        if self._previous[0] != before.promotion:
            self._previous = before.promotion, self._loaded(before)
        return self._previous[1]

    def _loaded(self, champion: Champion) -> Scorer | None:
        try:
            return self._load(champion)
        except (ChurnError, ValueError, OSError) as error:
            log.warning("the champion before cannot be compared any more", version=champion.version, reason=str(error))
            return None
