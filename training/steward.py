"""The steps of a model version from registered to serving: which are allowed, and each of them written down.

A candidate that the gate lets through becomes challenger. Where approval is required it waits there until a named person
approves or rejects it with a reason; else it may be promoted at once. What was rejected needs a new approval, and what
failed the gate, or never met it, serves only by an explicit override, be it a share of the users.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from churn.declaration import Declaration
from churn.errors import ChurnError, InputError, OutageError
from churn.scores import Champion, Lineup
from feature_repo.manifest import signature_of
from training.audit_log import AuditLog, Entry, History, Step, Writing
from training.gate import Verdict
from training.obstacles import (
    APPROVED,
    ENROLLED,
    PASSED,
    REJECTED,
    WAITING,
    Approval,
    obstacle,
    placed,
    refuse_for,
    too_much,
    unfit_to_share,
    unjudged,
    unmatched,
    unnamed,
    versions,
)  # fmt: skip
from training.registry import Registry

GATE, TRAINING = "the gate", "training"
SERVED: tuple[Step, ...] = ("promoted", "rolled_back", "found")
Announce = Callable[[Champion | Lineup], None]
Answer = TypeVar("Answer")


class Steward:
    """Takes steps with the versions of one registry, one at a time, and writes each into the audit log.

    `announce` tells the running processes which version serves and which challenge it. It is called before the next step may begin, so that two
    promotions at once are heard in the order in which they were taken.
    """

    def __init__(self, registry: Registry, log: AuditLog, approval: Approval, announce: Announce) -> None:
        self.registry, self._log = registry, log
        self._approval, self._announce = approval, announce

    def judged(
        self,
        version: str,
        verdict: Verdict,
        evidence: Mapping[str, Any],
        now: datetime,
        who: str = TRAINING,
        reason: str = "trained",
    ) -> bool:
        """Take a newly registered version in; returns whether it may be promoted without a person."""
        waits = verdict.promotes and self._approval == "required"
        with self._log.writing() as writing:
            known = {key: value for key, value in self.registry.facts(version).items() if key == "data_fingerprint"}
            self._write(writing, now, "registered", version, who, reason, {**known, **evidence})
            step: Step = "gate_passed" if verdict.promotes else "gate_failed"
            self.registry.note(version, gate=PASSED if verdict.promotes else "failed", state=WAITING if waits else "")
            if verdict.promotes:
                self.registry.challenge(version)
            self._write(writing, now, step, version, GATE, verdict.why[0], figures(verdict))
        return verdict.promotes and not waits

    def enrolled(self, version: str, evidence: Mapping[str, Any], who: str, reason: str, now: datetime) -> None:
        """Take in a version that came from the learner and not from a training: no gate has judged it.

        Raises:
            InputError: a name or a reason is missing.
        """

        def act(writing: Writing) -> None:
            self.registry.note(version, state=ENROLLED)
            self._write(writing, now, "registered", version, who, reason, evidence)

        self._step(version, who, reason, now, act)

    def approve(self, version: str, who: str, reason: str, now: datetime, override: bool = False) -> Champion:
        """Approve a version in a person's name and let it serve.

        Raises:
            InputError: there is no such version, or it did not pass the gate and that is not overridden.
            DataError: its artifact is damaged; the champion goes on serving.
            OutageError: it is champion, but nobody could be told: `announce_again` when Kafka answers.
        """

        def act(writing: Writing) -> Champion:
            refuse_for(unjudged(self.registry.facts(version).get("gate", ""), version, override))
            self.registry.note(version, state=APPROVED)
            self._write(writing, now, "approved", version, who, reason, {"override": override})
            return self._promoted(writing, version, who, reason, now, override)

        return self._step(version, who, reason, now, act)

    def reject(self, version: str, who: str, reason: str, now: datetime) -> None:
        """Reject a version in a person's name: it serves only after a new approval.

        Raises:
            InputError: there is no such version, or it serves now.
        """

        def act(writing: Writing) -> None:
            self.registry.facts(version)
            champion = self.registry.champion()
            if champion is not None and champion.version == version:
                raise InputError(f"version {version} serves; go back with `churn models rollback --reason ...` first")
            self.registry.note(version, state=REJECTED)
            self.registry.stand_down(version)
            self._write(writing, now, "rejected", version, who, reason)
            lineup = self.registry.lineup()
            if lineup is not None and version in versions(lineup):
                self._told(writing, self._without(writing, lineup, version, who, reason, now), who, now)

        self._step(version, who, reason, now, act)

    def promote(self, version: str, who: str, reason: str, now: datetime, override: bool = False) -> Champion:
        """Let a version serve.

        Raises:
            InputError: there is no such version, or `obstacle` names why it may not serve.
            DataError: its artifact is damaged; the champion goes on serving.
            OutageError: it is champion, but nobody could be told: `announce_again` when Kafka answers.
        """

        def act(writing: Writing) -> Champion:
            refuse_for(obstacle(self.registry.facts(version), version, self._approval, override))
            return self._promoted(writing, version, who, reason, now, override)

        return self._step(version, who, reason, now, act)

    def rollback(self, who: str, reason: str, now: datetime) -> Champion:
        """Let the version before the champion serve again; it needs no new approval, for it has served.

        Raises:
            InputError: there is none, or it was rejected since.
        """

        def act(writing: Writing) -> Champion:
            previous = self.registry.previous
            if previous and self.registry.facts(previous).get("state") == REJECTED:
                raise InputError(f"version {previous} served before and was rejected since; promote another version")
            record = self.registry.rollback(reason, now)
            self._write(writing, now, "rolled_back", record.version, who, reason, {"sha256": record.sha256})
            return self._takes_over(writing, record, who, now)

        return self._step(self.registry.previous or "", who, reason, now, act)

    def _promoted(
        self, writing: Writing, version: str, who: str, reason: str, now: datetime, override: bool
    ) -> Champion:
        facts = self.registry.facts(version)
        record = self.registry.promote(version, reason, now)
        evidence = {"sha256": record.sha256, "gate": facts.get("gate", ""), "override": override}
        self._write(writing, now, "promoted", version, who, reason, evidence)
        return self._takes_over(writing, record, who, now)

    def _takes_over(self, writing: Writing, record: Champion, who: str, now: datetime) -> Champion:
        """Tell of a new champion, and then of the challengers that are left beside it, dated after it."""
        lineup = self.registry.lineup()
        if lineup is not None and lineup.challengers:
            lineup = self._without(writing, lineup, record.version, who, f"version {record.version} is champion", now)
        self._told(writing, record, who, now)
        if lineup is not None:
            self._told(writing, lineup, who, now)
        return record

    def challenge(
        self,
        version: str,
        share: float,
        declaration: Declaration,
        who: str,
        reason: str,
        now: datetime,
        override: bool = False,
    ) -> Lineup:
        """Let a version challenge the champion: it scores everyone in shadow, and serves a share of the users, 0 to 1.

        A version that challenges already keeps its place, so that a share that grows keeps its users.

        Raises:
            InputError: there is no such version, it is champion, or reads another feature set than the declaration's;
                shares beyond 0 to 1; or a share for a version that may not serve.
            DataError: its artifact is damaged; nothing is changed.
            OutageError: it is challenger, but nobody could be told: `announce_again` when Kafka answers.
        """

        def act(writing: Writing) -> Lineup:
            facts, champion = self.registry.facts(version), self.registry.champion()
            refuse_for(unmatched(version, facts, champion, declaration))
            if share > 0:
                refuse_for(unfit_to_share(facts, version, self._approval, override))
            named = self.registry.challenger(version, share, signature_of(declaration))
            evidence = {"share": share, "sha256": named.sha256, "gate": facts.get("gate", ""), "override": override}
            challengers = placed(self.registry.lineup(), named)
            refuse_for(too_much(challengers))
            lineup = self.registry.line_up(challengers, reason, now)
            self._write(writing, now, "challenged", version, who, reason, evidence)
            self._told(writing, lineup, who, now)
            return lineup

        return self._step(version, who, reason, now, act)

    def stand_down(self, version: str, who: str, reason: str, now: datetime) -> Lineup:
        """Let a challenger challenge no more; its users go back to the champion.

        Raises:
            InputError: it is no challenger.
            OutageError: it is none any more, but nobody could be told: `announce_again` when Kafka answers.
        """

        def act(writing: Writing) -> Lineup:
            former = self.registry.lineup()
            if former is None or version not in versions(former):
                raise InputError(f"version {version} does not challenge the champion; `churn models` lists who does")
            lineup = self._without(writing, former, version, who, reason, now)
            self._told(writing, lineup, who, now)
            return lineup

        return self._step(version, who, reason, now, act)

    def _without(self, writing: Writing, former: Lineup, version: str, who: str, reason: str, now: datetime) -> Lineup:
        """Keep the challengers without this version, if it is among them, to be announced anew."""
        left = [each for each in former.challengers if each.version != version]
        lineup = self.registry.line_up(left, reason, now)
        if len(left) < len(former.challengers):
            self._write(writing, now, "stood_down", version, who, reason)
        return lineup

    def announce_again(self, who: str, now: datetime) -> Champion:
        """Tell the running processes once more which versions serve, as after an outage or with new topics.

        Raises:
            InputError: no version was promoted yet.
            OutageError: Kafka did not confirm it.
        """

        def act(writing: Writing) -> Champion:
            champion = self.registry.champion()
            if champion is None:
                raise InputError("no model has been promoted yet; run `churn train`")
            self._told(writing, champion, who, now)
            lineup = self.registry.lineup()
            if lineup is not None:
                self._told(writing, lineup, who, now)
            self._write(writing, now, "announced", champion.version, who, "told again")
            return champion

        return self._step("", who, "told again", now, act)

    def _told(self, writing: Writing, record: Champion | Lineup, who: str, now: datetime) -> None:
        try:
            self._announce(record)
        except OutageError as error:
            version = record.version if isinstance(record, Champion) else ""
            self._write(writing, now, "unannounced", version, who, str(error))
            raise

    def _step(self, version: str, who: str, reason: str, now: datetime, act: Callable[[Writing], Answer]) -> Answer:
        """Act while the log is held; a refusal is written down as well."""
        refuse_for(unnamed(who, reason))
        with self._log.writing() as writing:
            self._find(writing, now)
            try:
                return act(writing)
            except OutageError:  # written down where it was met
                raise
            except ChurnError as error:
                self._write(writing, now, "refused", version, who, str(error))
                raise

    def _find(self, writing: Writing, now: datetime) -> None:
        """Write down a champion of which no entry tells: promoted past us, or by one who died before the entry."""
        champion = self.registry.champion()
        last = last_served(writing.history, self.registry.name)
        if champion is None or (last is not None and last.version == champion.version):
            return
        if last is None and not any(entry.model == self.registry.name for entry in writing.history.entries):
            reason = "served before this log began"
        else:
            reason = "serves though no entry tells of it: promoted elsewhere, or a crash came before the entry"
        self._write(writing, now, "found", champion.version, "", reason, {"sha256": champion.sha256})

    def _write(
        self,
        writing: Writing,
        now: datetime,
        step: Step,
        version: str,
        who: str,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        writing.add(now, step, self.registry.name, version, who, reason, evidence)
        self.registry.keep_anchor(writing.head)

    def history(self) -> History:
        """Return the log.

        Raises:
            DataError: a line is not as it was written, or the line that the registry names as written is missing.
        """
        return self._log.history().checked(self.registry.anchor)


def last_served(history: History, model: str) -> Entry | None:
    """Return the entry that last made a version of a model serve."""
    served = [entry for entry in history.entries if entry.model == model and entry.step in SERVED]
    return served[-1] if served else None


def figures(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict's conditions as plain figures."""
    return {
        each.name: {
            "passed": each.passed,
            "seen": round(each.seen, 6),
            "low": round(each.low, 6),
            "high": round(each.high, 6),
            "bound": round(each.bound, 6),
        }
        for each in verdict.conditions
    }
