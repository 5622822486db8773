"""When a model is trained anew: a function of what was seen and of the time that it is told, with its state in JSON.

| cause | when | again after |
|---|---|---|
| manual | somebody asked with `churn retrain` | at once |
| schedule | the champion is four days and eighteen hours old: where time moves by days, five at the next look | 18 h; where the gate keeps it again and again 18, 36, 72 h ... 7 days |
| performance | matured labels tell that it foretells worse than its hold-out promised | seven days |
| drift | behaviour, scores or the outcome are not what they were | seven days |

A champion's age counts from when its version first began to serve. A training after which the gate kept it makes it no
younger: two more fit before day seven, later ones follow ever more seldom. In simulated years of 74 and 78 trainings the
gate kept the champion never and once. While a candidate waits for a person, age counts from then: the person is late.
Broken data (a finding of kind quality) never cause a training; they hold one back for three days, but not a manual one,
and none from the age of six and a half days on, or the champion would grow older than seven.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from churn.scores import from_us
from training.loop.journal import KEEPER, Note

Why = Literal["manual", "schedule", "performance", "drift"]
ORDER: tuple[Why, ...] = ("manual", "schedule", "performance", "drift")
Ending = Literal["promoted", "kept", "waiting", "failed"]
"""`kept`: the gate kept the champion; `waiting`: the version waits for a person's approval."""
DAY_US = 86_400_000_000
SECOND_US = 1_000_000


@dataclass(frozen=True)
class TriggerPolicy:
    """Every bound of the decision to train, in one place.

    Attributes:
        due_days, release_days: the champion's age from which a training is due, and from which nothing holds it back.
        cooldown_days: least time between two triggers of one cause; that of the schedule doubles from the
            third time in a row on that the gate keeps the champion, up to `seldom_days`.
        settle_days: after a training that was decided, drift and performance cause none for so long: it has seen the same.
        attempts: of one trigger, before it is given up.
        backoff_seconds: between the first failure and the next attempt; doubled each time.
        hold_days: how long broken data hold a training back.
    """

    due_days: float = 4.75
    release_days: float = 6.5
    cooldown_days: dict[Why, float] = field(
        default_factory=lambda: {"manual": 0.0, "schedule": 0.75, "performance": 7.0, "drift": 7.0}
    )
    seldom_days: float = 7.0
    settle_days: float = 1.0
    attempts: int = 4
    backoff_seconds: float = 3600.0
    hold_days: float = 3.0


AS_STATED = TriggerPolicy()


class Cause(msgspec.Struct, frozen=True):
    """Why a training is wanted; `key` names a request, so that it is taken once."""

    why: Why
    reason: str
    evidence: dict[str, Any]
    at_us: int
    who: str = KEEPER
    key: str = ""


class Attempt(msgspec.Struct, frozen=True):
    """One run of a training: `run` names it in the registry, `number` counts from 1 within its cause."""

    run: str
    cause: Cause
    number: int
    at_us: int


class TriggerState(msgspec.Struct):
    """Everything that the decision rests on, beside what is told.

    Attributes:
        wanted: causes that wait for their cooldown, or for a training that is going on, by their kind.
        chosen: the cause that is being answered; `failures` of its attempts so far, the next one not before `retry_us`.
        attempt: the run that was begun and has not ended.
        fired_us: when each kind was last chosen.
        decided_us, waiting_us: when a training last ended with a verdict, and with a candidate that waits for a person.
        kept: after how many trainings in a row the gate kept the champion.
        taken: keys of requests that were taken, as long as their files may be there.
    """

    wanted: dict[Why, Cause] = {}
    chosen: Cause | None = None
    failures: int = 0
    retry_us: int = 0
    attempt: Attempt | None = None
    fired_us: dict[Why, int] = {}
    decided_us: int = 0
    waiting_us: int = 0
    kept: int = 0
    held_until_us: int = 0
    taken: list[str] = []
    gave_up: bool = False


class Triggers:
    """Decides; its methods return what is to be written down."""

    def __init__(self, policy: TriggerPolicy = AS_STATED, state: TriggerState | None = None) -> None:
        self.policy, self.state = policy, state or TriggerState()

    def want(self, causes: Sequence[Cause]) -> None:
        """Take causes in; of one kind the first counts until it is answered."""
        for cause in causes:
            if cause.key and cause.key in self.state.taken:
                continue
            if cause.key:
                self.state.taken = [*self.state.taken, cause.key][-100:]
            self.state.wanted.setdefault(cause.why, cause)

    def hold(self, now_us: int) -> None:
        """Broken data were found: hold automatic trainings back."""
        self.state.held_until_us = max(self.state.held_until_us, now_us + _days(self.policy.hold_days))

    def age_days(self, since_us: int, now_us: int) -> float:
        """Return the age of a champion that began to serve at `since_us`."""
        return max(0, now_us - max(since_us, self.state.waiting_us)) / DAY_US

    def decide(self, since_us: int | None, now_us: int) -> list[Note]:
        """Choose the next cause to answer, if none is being answered.

        `since_us` is when the champion's version first began to serve; None: there is no champion yet, and nothing
        but a manual request causes its training.
        """
        state = self.state
        if since_us is None:
            state.wanted = {why: cause for why, cause in state.wanted.items() if why == "manual"}
        elif self.age_days(since_us, now_us) >= self.policy.due_days and state.chosen is None:
            state.wanted.setdefault("schedule", self._schedule(since_us, now_us))
        if state.chosen is not None:
            return []
        ready = [why for why in ORDER if why in state.wanted and self._ready(why, now_us)]
        return [self._choose(ready[0], now_us)] if ready else []

    def _schedule(self, since_us: int, now_us: int) -> Cause:
        age = self.age_days(since_us, now_us)
        reason = f"the champion is {age:.1f} days old; it is trained anew from {self.policy.due_days:g} days on"
        return Cause("schedule", reason, {"age_days": round(age, 3), "bound": self.policy.due_days}, now_us)

    def _ready(self, why: Why, now_us: int) -> bool:
        fired, least = self.state.fired_us.get(why), _days(self.cooldown_days(why))
        if fired is not None and least and now_us < fired + least:
            return False
        settling = self.state.decided_us and now_us < self.state.decided_us + _days(self.policy.settle_days)
        return not (settling and why in ("performance", "drift"))

    def cooldown_days(self, why: Why) -> float:
        """Return how long a cause causes no other training after one."""
        least = self.policy.cooldown_days[why]
        if why != "schedule" or not self.state.kept:
            return least
        return min(least * 2.0 ** max(0, self.state.kept - 2), self.policy.seldom_days)

    def _choose(self, why: Why, now_us: int) -> Note:
        state, cause = self.state, self.state.wanted.pop(why)
        state.chosen, state.failures, state.retry_us, state.gave_up = cause, 0, now_us, False
        # Names go by the second: where time stands still, a second request is given the next one.
        state.fired_us[why] = max(now_us, state.fired_us.get(why, -SECOND_US) + SECOND_US)
        evidence = {"cause": why, **cause.evidence}
        return Note(f"triggered-{self._name(cause)}", now_us, "triggered", "", cause.reason, evidence, cause.who)

    def _name(self, cause: Cause) -> str:
        return f"{cause.why}-{from_us(self.state.fired_us[cause.why]):%Y%m%dT%H%M%S}"

    def begin(self, since_us: int | None, now_us: int) -> Attempt | None:
        """Return the run to start now, if one is due; save the state before it is started."""
        state = self.state
        if state.chosen is None or state.attempt is not None or now_us < state.retry_us or self.held(since_us, now_us):
            return None
        number = state.failures + 1
        state.attempt = Attempt(f"{self._name(state.chosen)}-{number}", state.chosen, number, now_us)
        return state.attempt

    def held(self, since_us: int | None, now_us: int) -> bool:
        """Tell whether broken data hold the chosen training back."""
        chosen = self.state.chosen
        if chosen is None or chosen.why == "manual" or now_us >= self.state.held_until_us:
            return False
        age = self.age_days(since_us, now_us) if since_us is not None else 0.0
        return age < self.policy.release_days

    def ended(self, ending: Ending, now_us: int, evidence: dict[str, Any]) -> list[Note]:
        """The run ended: with a verdict, or it failed and is tried again later or given up."""
        state, attempt = self.state, self.state.attempt
        if attempt is None or state.chosen is None:
            return []
        state.attempt = None
        if ending == "failed":
            return self._failed(attempt, now_us, evidence)
        state.chosen, state.failures, state.decided_us, state.gave_up = None, 0, now_us, False
        state.kept = state.kept + 1 if ending == "kept" else 0
        state.waiting_us = now_us if ending == "waiting" else state.waiting_us
        # What was wanted before this training began is answered by it; a request of a person is not.
        state.wanted = {w: c for w, c in state.wanted.items() if w == "manual" or c.at_us > attempt.at_us}
        return []

    def _failed(self, attempt: Attempt, now_us: int, evidence: dict[str, Any]) -> list[Note]:
        state, policy = self.state, self.policy
        state.failures += 1
        told = {"run": attempt.run, "attempt": attempt.number, **evidence}
        why = str(evidence.get("says", "it ended without a verdict"))
        if state.failures < policy.attempts:
            wait = policy.backoff_seconds * 2 ** (state.failures - 1)
            state.retry_us = now_us + int(wait * SECOND_US)
            again = f"{why}; attempt {attempt.number} of {policy.attempts}, the next one after {wait / 3600:g} h"
            return [Note(f"failed-{attempt.run}", now_us, "training_failed", "", again, told)]
        cause = state.chosen
        state.chosen, state.failures, state.gave_up = None, 0, True
        last = f"{why}; attempt {attempt.number} of {policy.attempts}"
        says = f"{policy.attempts} attempts failed; nothing is tried again until the next trigger"
        return [
            Note(f"failed-{attempt.run}", now_us, "training_failed", "", last, told),
            Note(
                f"gave-up-{attempt.run}",
                now_us,
                "gave_up",
                "",
                says,
                {"cause": cause.why if cause else "", "run": attempt.run},
            ),
        ]


def _days(days: float) -> int:
    return int(days * DAY_US)
