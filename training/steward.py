"""The steps of a model version from registered to serving: which are allowed, and each of them written down.

A candidate that the gate lets through becomes challenger. Where approval is required it waits there until a named person
approves or rejects it with a reason; else it may be promoted at once. What was rejected needs a new approval, and what
failed the gate, or never met it, serves only by an explicit override.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

from churn.errors import ChurnError, InputError, OutageError
from churn.scores import Champion
from training.audit_log import AuditLog, Entry, History, Step, Writing
from training.gate import Verdict
from training.registry import Registry

Approval = Literal["automatic", "required"]
WAITING, APPROVED, REJECTED = "waiting", "approved", "rejected"
PASSED = "passed"
GATE, TRAINING = "the gate", "training"
SERVED: tuple[Step, ...] = ("promoted", "rolled_back", "found")
Announce = Callable[[Champion], None]
Answer = TypeVar("Answer")


def obstacle(facts: Mapping[str, str], version: str, approval: Approval, override: bool) -> str:
    """Say why a version may not be promoted and what to do; empty when it may.

    >>> obstacle({"gate": "passed"}, "7", "automatic", False)
    ''
    >>> obstacle({"gate": "passed", "state": "rejected"}, "7", "automatic", True)
    'version 7 was rejected; approve it anew with `churn models approve 7 --by NAME --reason ...` if that was wrong'
    """
    state, gate = facts.get("state", ""), facts.get("gate", "")
    approve = f"`churn models approve {version} --by NAME --reason ...`"
    if state == REJECTED:
        return f"version {version} was rejected; approve it anew with {approve} if that was wrong"
    if approval == "required" and state != APPROVED:
        return f"version {version} needs a person's approval (CHURN_MODEL_APPROVAL is required): {approve}"
    return unjudged(gate, version, override)


def unjudged(gate: str, version: str, override: bool) -> str:
    """Say that a version did not pass the gate; empty when it did, or when that is overridden."""
    if gate == PASSED or override:
        return ""
    seen = "failed the gate" if gate else "was never judged by the gate"
    return f"version {version} {seen}; add --override to let it serve all the same"


def unnamed(who: str, reason: str) -> str:
    """Say that a step has no author or no reason; empty when it has both.

    >>> unnamed("ann", " ")
    'a reason is needed for the record, got an empty one; say why in a few words'
    """
    for what, given in (("name", who), ("reason", reason)):
        if not given.strip():
            return f"a {what} is needed for the record, got an empty one; say {'who' if what == 'name' else 'why'} in a few words"
    return ""


class Steward:
    """Takes steps with the versions of one registry, one at a time, and writes each into the audit log.

    `announce` tells the running processes which version serves. It is called before the next step may begin, so that two
    promotions at once are heard in the order in which they were taken.
    """

    def __init__(self, registry: Registry, log: AuditLog, approval: Approval, announce: Announce) -> None:
        self.registry, self._log = registry, log
        self._approval, self._announce = approval, announce

    def judged(self, version: str, verdict: Verdict, evidence: Mapping[str, Any], now: datetime) -> bool:
        """Take a newly registered version in; returns whether it may be promoted without a person."""
        waits = verdict.promotes and self._approval == "required"
        with self._log.writing() as writing:
            known = {key: value for key, value in self.registry.facts(version).items() if key == "data_fingerprint"}
            self._write(writing, now, "registered", version, TRAINING, "trained", {**known, **evidence})
            step: Step = "gate_passed" if verdict.promotes else "gate_failed"
            self.registry.note(version, gate=PASSED if verdict.promotes else "failed", state=WAITING if waits else "")
            if verdict.promotes:
                self.registry.challenge(version)
            self._write(writing, now, step, version, GATE, verdict.why[0], figures(verdict))
        return verdict.promotes and not waits

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
            return self._told(writing, record, who, now)

        return self._step(self.registry.previous or "", who, reason, now, act)

    def _promoted(
        self, writing: Writing, version: str, who: str, reason: str, now: datetime, override: bool
    ) -> Champion:
        facts = self.registry.facts(version)
        record = self.registry.promote(version, reason, now)
        evidence = {"sha256": record.sha256, "gate": facts.get("gate", ""), "override": override}
        self._write(writing, now, "promoted", version, who, reason, evidence)
        return self._told(writing, record, who, now)

    def announce_again(self, who: str, now: datetime) -> Champion:
        """Tell the running processes once more which version serves, as after an outage or with new topics.

        Raises:
            InputError: no version was promoted yet.
            OutageError: Kafka did not confirm it.
        """

        def act(writing: Writing) -> Champion:
            champion = self.registry.champion()
            if champion is None:
                raise InputError("no model has been promoted yet; run `churn train`")
            record = self._told(writing, champion, who, now)
            self._write(writing, now, "announced", champion.version, who, "told again")
            return record

        return self._step("", who, "told again", now, act)

    def _told(self, writing: Writing, record: Champion, who: str, now: datetime) -> Champion:
        try:
            self._announce(record)
        except OutageError as error:
            self._write(writing, now, "unannounced", record.version, who, str(error))
            raise
        return record

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


def refuse_for(reason: str) -> None:
    """Raise InputError with a reason; do nothing without one."""
    if reason:
        raise InputError(reason)


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
