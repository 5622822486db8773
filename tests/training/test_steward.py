"""From registered to serving: what is allowed, and what is written down, on a real MLflow with SQLite."""

import fcntl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from churn.errors import DataError, InputError, OutageError
from churn.scores import Champion, Lineup
from feature_repo.bundles import load
from tests.training.versions import registered
from training.audit_log import AuditLog
from training.gate import Condition, Verdict
from training.obstacles import Approval
from training.registry import Registry
from training.steward import Announce, Steward

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GOOD = Verdict(True, ("passed: fine",), (Condition("floor_log_loss", True, -0.1, -0.2, -0.05, 0.0, "fine"),))
BAD = Verdict(False, ("FAILED: worse",))


@pytest.fixture
def steward(registry: Registry, tmp_path: Path) -> Callable[..., Steward]:
    """Return a function that makes a steward of an empty registry and log."""

    def make(approval: Approval = "automatic", announce: Announce = lambda champion: None) -> Steward:
        return Steward(registry, AuditLog(tmp_path / "models"), approval, announce)

    return make


def taken_in(steward: Steward, verdict: Verdict = GOOD) -> str:
    """Register a version and let the steward take it in."""
    version = registered(steward.registry)
    steward.judged(version, verdict, {"data_fingerprint": "f00d"}, NOW)
    return version


def steps(steward: Steward) -> list[tuple[str, str, str]]:
    return [(entry.step, entry.version, entry.who) for entry in steward.history().entries]


def served(steward: Steward) -> str | None:
    champion = steward.registry.champion()
    return champion.version if champion else None


def aliases(steward: Steward) -> dict[str, tuple[str, ...]]:
    return {version.version: version.aliases for version in steward.registry.versions()}


def test_without_approval_what_passes_may_be_promoted_at_once(steward: Callable[..., Steward]) -> None:
    free = steward()
    assert free.judged(registered(free.registry), GOOD, {}, NOW)
    assert not free.judged(registered(free.registry), BAD, {}, NOW)
    assert aliases(free) == {"1": ("challenger",), "2": ()}


def test_a_candidate_waits_until_a_named_person_approves(steward: Callable[..., Steward], tmp_path: Path) -> None:
    strict = steward("required")
    version = taken_in(strict)
    assert (served(strict), aliases(strict), strict.registry.versions()[0].state) == (
        None, {"1": ("challenger",)}, "waiting",
    )  # fmt: skip
    with pytest.raises(InputError, match="version 1 needs a person's approval"):
        strict.promote(version, "bob", "in a hurry", NOW)
    record = strict.approve(version, "ann", "looked at the card", NOW)
    assert load(tmp_path / "models", record, "abc").version == "1"
    assert aliases(strict) == {"1": ("champion",)}
    assert steps(strict) == [
        ("registered", "1", "training"), ("gate_passed", "1", "the gate"), ("refused", "1", "bob"),
        ("approved", "1", "ann"), ("promoted", "1", "ann"),
    ]  # fmt: skip


def test_a_rejected_version_serves_only_after_a_new_approval(steward: Callable[..., Steward]) -> None:
    free = steward()
    version = taken_in(free)
    free.reject(version, "ann", "a segment looks odd", NOW)
    assert aliases(free) == {"1": ()}
    with pytest.raises(InputError, match="version 1 was rejected; approve it anew"):
        free.promote(version, "bob", "all the same", NOW, override=True)
    free.approve(version, "ann", "it was the data", NOW)
    assert served(free) == "1"


def test_a_version_that_failed_the_gate_serves_only_by_override(steward: Callable[..., Steward]) -> None:
    strict = steward("required")
    version = taken_in(strict, BAD)
    for take in (strict.promote, strict.approve):
        with pytest.raises(InputError, match=r"failed the gate; add --override|needs a person's approval"):
            take(version, "ann", "the old one is worse", NOW)
    strict.approve(version, "ann", "the old one is worse", NOW, override=True)
    last = strict.history().entries[-1]
    assert (last.step, last.evidence["override"], last.evidence["gate"]) == ("promoted", True, "failed")


@pytest.mark.parametrize(("who", "reason", "missing"), [(" ", "fine", "name"), ("ann", "", "reason")])
def test_nobody_approves_without_a_name_and_a_reason(
    steward: Callable[..., Steward], who: str, reason: str, missing: str
) -> None:
    strict = steward("required")
    version = taken_in(strict)
    with pytest.raises(InputError, match=f"a {missing} is needed for the record"):
        strict.approve(version, who, reason, NOW)
    assert served(strict) is None


def test_a_version_that_never_met_the_gate_needs_an_override(steward: Callable[..., Steward]) -> None:
    free = steward()
    with pytest.raises(InputError, match="version 1 was never judged by the gate; add --override"):
        free.promote(registered(free.registry), "ann", "made by hand", NOW)


def test_the_champion_cannot_be_rejected(steward: Callable[..., Steward]) -> None:
    free = steward()
    version = taken_in(free)
    free.promote(version, "ann", "first", NOW)
    with pytest.raises(InputError, match="version 1 serves; go back with `churn models rollback"):
        free.reject(version, "ann", "changed my mind", NOW)


def test_a_rollback_is_written_down_and_leads_to_no_rejected_version(steward: Callable[..., Steward]) -> None:
    free = steward()
    for version in (taken_in(free), taken_in(free)):
        free.promote(version, "ann", "better", NOW)
    assert free.rollback("bob", "scores look odd", NOW).version == "1"
    assert steps(free)[-1] == ("rolled_back", "1", "bob")
    free.reject("2", "bob", "it was the model", NOW)
    with pytest.raises(InputError, match="version 2 served before and was rejected since"):
        free.rollback("bob", "once more", NOW)
    assert served(free) == "1"


def test_a_damaged_artifact_is_refused_and_written_down(steward: Callable[..., Steward], tmp_path: Path) -> None:
    free = steward()
    version = taken_in(free)
    for path in (tmp_path / "mlartifacts").rglob("model.json"):
        path.write_text("{}")
    with pytest.raises(DataError):
        free.promote(version, "ann", "better", NOW)
    assert served(free) is None
    assert steps(free)[-1] == ("refused", "1", "ann")


def test_the_figures_of_the_gate_and_the_data_are_kept(steward: Callable[..., Steward]) -> None:
    free = steward()
    taken_in(free)
    registered_entry, gate = free.history().entries
    assert registered_entry.evidence == {"data_fingerprint": "f00d"}
    condition = {"passed": True, "seen": -0.1, "low": -0.2, "high": -0.05, "bound": 0.0}
    assert gate.evidence == {"floor_log_loss": condition}


def test_a_champion_that_no_entry_tells_of_is_found(steward: Callable[..., Steward]) -> None:
    free = steward()
    first, second = taken_in(free), taken_in(free)
    free.promote(first, "ann", "first", NOW)
    free.registry.promote(second, "past the steward", NOW)
    free.rollback("ann", "who did that?", NOW)
    assert steps(free)[-2:] == [("found", "2", ""), ("rolled_back", "1", "ann")]


def test_who_serves_is_told_before_the_next_step_may_begin(steward: Callable[..., Steward]) -> None:
    told: list[tuple[str, bool]] = []

    def announce(record: Champion | Lineup) -> None:
        with free._log.path.open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert isinstance(record, Champion)
        told.append((record.version, served(free) == record.version))

    free = steward(announce=announce)
    free.promote(taken_in(free), "ann", "first", NOW)
    free.announce_again("ann", NOW)
    assert told == [("1", True), ("1", True)]
    assert steps(free)[-2:] == [("promoted", "1", "ann"), ("announced", "1", "ann")]


def test_an_outage_leaves_a_champion_of_whom_nobody_was_told(steward: Callable[..., Steward]) -> None:
    def away(record: Champion | Lineup) -> None:
        raise OutageError("Kafka is away")

    free = steward(announce=away)
    version = taken_in(free)
    with pytest.raises(OutageError):
        free.promote(version, "ann", "first", NOW)
    assert served(free) == "1"
    assert steps(free)[-2:] == [("promoted", "1", "ann"), ("unannounced", "1", "ann")]


def test_a_log_that_lost_its_last_lines_is_missed_by_the_registry(steward: Callable[..., Steward]) -> None:
    free = steward()
    taken_in(free)
    path = free._log.path
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(DataError, match="lines were cut off"):
        free.history()
