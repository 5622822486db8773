"""A promotion under guard: what the new champion says of the last midnight is looked at at once, and taken back if need be.

A rollback is in the keeper's state before it begins, and each of its steps can be found done: the former version serves
again, and the one that it replaces is rejected, so that it comes back only when a person approves it anew.
"""

import time
from datetime import datetime
from typing import Any, Literal

import msgspec
import structlog

from churn.errors import ChurnError, InputError, OutageError
from churn.fault_points import passing
from churn.model import Scorer
from churn.scores import from_us
from training.loop.guard import Violation, compared, violations
from training.loop.journal import KEEPER, Note
from training.loop.midnights import Midnight
from training.loop.watch import expected_rate
from training.obstacles import REJECTED
from training.registry import Registry
from training.steward import Steward

RETRY_SECONDS = 30.0
"""Between two announcements to a Kafka that is away: each takes 15 s of the keeper's time and a line of the log."""

log = structlog.get_logger(__name__)
RollbackCause = Literal["guard", "outcome"]


class Rollback(msgspec.Struct):
    """What is to be taken back: `promotion` (`Champion.promotion`) of `version`; `untold` while Kafka does not know yet."""

    promotion: str
    version: str
    cause: RollbackCause
    reason: str
    untold: bool = False


class Guarding:
    """Looks at promotions, and takes back."""

    def __init__(self, steward: Steward) -> None:
        self._steward = steward
        self._wait_until = float("-inf")
        self.problem = ""
        """Why a rollback cannot be carried out just now; empty when none waits."""

    @property
    def _registry(self) -> Registry:
        return self._steward.registry

    def left(self, scorer: Scorer, midnight: Midnight, returned: bool) -> list[Violation]:
        """Return the bounds that a new champion leaves on the users of a midnight.

        One that has `returned` served before; it is not held against the one that it replaces.
        """
        said = scorer.score(midnight.matrix).probability
        former = None if returned else self._former()
        own = violations(said, expected_rate(scorer))
        return own if former is None else [*own, *compared(said, former.score(midnight.matrix).probability)]

    def _former(self) -> Scorer | None:
        previous = self._registry.previous
        try:
            return None if previous is None else Scorer(self._registry.model(previous), previous)
        except OutageError:  # it may be there all the same
            raise
        except ChurnError as error:
            log.warning("the former champion cannot be compared with", version=previous, reason=str(error))
            return None

    def way_back(self, midnight: Midnight | None) -> str:
        """Say why there is no going back to the former champion; empty when there is."""
        former = self._former()
        if former is None:
            return "there is no former champion to go back to"
        if self._registry.facts(former.version).get("state") == REJECTED:
            return f"the former champion, version {former.version}, was rejected"
        if midnight is not None and (worse := violations(former.score(midnight.matrix).probability, None)):
            return f"the former champion, version {former.version}, leaves bounds itself: {worse[0].says}"
        return ""

    def carry_out(self, rollback: Rollback, now: datetime) -> bool:
        """Take a promotion back, or finish doing so; returns whether it is done."""
        if time.monotonic() < self._wait_until:
            return False
        try:
            self._take_back(rollback, now)
            self._reject(rollback, now)
        except OutageError as error:
            rollback.untold = True
            self.problem, self._wait_until = str(error), time.monotonic() + RETRY_SECONDS
            return False
        except InputError as error:
            log.error("a rollback was refused", version=rollback.version, reason=str(error))
        self.problem = ""
        return True

    def _take_back(self, rollback: Rollback, now: datetime) -> None:
        champion = self._registry.champion()
        if champion is not None and champion.promotion == rollback.promotion:
            self._steward.rollback(KEEPER, rollback.reason, now)
        elif rollback.untold:
            self._steward.announce_again(KEEPER, now)
        rollback.untold = False
        passing("keeper.rolled_back")

    def _reject(self, rollback: Rollback, now: datetime) -> None:
        champion = self._registry.champion()
        serves = champion is not None and champion.version == rollback.version
        if not serves and self._registry.facts(rollback.version).get("state") != REJECTED:
            self._steward.reject(rollback.version, KEEPER, rollback.reason, now)


def alarm_of(promotion: str, version: str, left: list[Violation], day: int, no_way: str, now_us: int) -> Note:
    """Return the alarm of a promotion that left bounds; `no_way` says why it is not taken back."""
    reason = "; ".join(each.says for each in left)
    told = f"{reason}; it goes on serving: {no_way}" if no_way else reason
    return Note(f"guard-{promotion}", now_us, "alarm", version, told, evidence_of(left, day))


def evidence_of(left: list[Violation], day: int) -> dict[str, Any]:
    """Return the figures of violated bounds."""
    figures = {each.name: {"seen": round(each.seen, 6), "bound": each.bound} for each in left}
    return {"kind": "score", "as_of": f"{from_us(day * 86_400_000_000):%Y-%m-%d}", **figures}
