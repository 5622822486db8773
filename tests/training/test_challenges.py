"""Challengers from the registry to the record that is announced, on a real MLflow with SQLite."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from churn.declaration import Declaration
from churn.errors import DataError, InputError, OutageError
from churn.scores import Champion, Lineup
from feature_repo.bundles import load
from tests.api.building import model
from training.audit_log import AuditLog
from training.gate import Verdict
from training.obstacles import Approval
from training.registry import Registry
from training.steward import Announce, Steward

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
GOOD, BAD = Verdict(True, ("passed: fine",)), Verdict(False, ("FAILED: worse",))


class Told(list[Champion | Lineup]):
    """Keeps what was announced."""

    def versions(self) -> list[str | list[tuple[str, float]]]:
        """Return each record in short: the champion's version, or challengers with their shares."""
        return [e.version if isinstance(e, Champion) else [(c.version, c.share) for c in e.challengers] for e in self]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def steward(registry: Registry, tmp_path: Path, told: Told, elearning: Declaration) -> Steward:
    """Return a steward with version 1 as champion, 2 and 3 that passed the gate, and 4 that failed it."""
    made = steward_of(registry, tmp_path, "automatic", told.append)
    for intercept, verdict in ((-1.0, GOOD), (-2.0, GOOD), (-3.0, GOOD), (-4.0, BAD)):
        version = registry.register(model(intercept, elearning), {}, {}, {}, {})
        made.judged(version, verdict, {}, NOW)
    made.promote("1", "ann", "first", NOW)
    return made


def steward_of(registry: Registry, folder: Path, approval: Approval, announce: Announce) -> Steward:
    return Steward(registry, AuditLog(folder / "models"), approval, announce)


def steps(steward: Steward, count: int) -> list[tuple[str, str]]:
    return [(entry.step, entry.version) for entry in steward.history().entries[-count:]]


def test_challengers_are_verified_announced_written_down_and_kept(
    steward: Steward, told: Told, elearning: Declaration, tmp_path: Path
) -> None:
    steward.challenge("2", 0.1, elearning, "ann", "an A/B test", NOW)
    lineup = steward.challenge("3", 0.0, elearning, "ann", "in shadow", NOW)
    assert told.versions() == ["1", [("2", 0.1)], [("2", 0.1), ("3", 0.0)]]
    assert lineup == told[-1] == steward.registry.lineup()
    assert lineup.announced_at == NOW + 2 * TICK
    for named in lineup.challengers:
        assert load(tmp_path / "models", named, elearning.feature_set_version).version == named.version
    last = steward.history().entries[-2]
    assert (last.step, last.version, last.reason, last.evidence["share"]) == ("challenged", "2", "an A/B test", 0.1)
    assert {v.version: v.aliases for v in steward.registry.versions()}["3"] == ("challenger",)


def test_a_share_that_grows_keeps_its_place_and_who_stands_down_leaves_it(
    steward: Steward, told: Told, elearning: Declaration
) -> None:
    for version, share in (("2", 0.1), ("3", 0.2), ("2", 0.5)):
        steward.challenge(version, share, elearning, "ann", "a try", NOW)
    steward.stand_down("2", "ann", "no better", NOW)
    assert told.versions()[-2:] == [[("2", 0.5), ("3", 0.2)], [("3", 0.2)]]
    assert steps(steward, 1) == [("stood_down", "2")]
    with pytest.raises(InputError, match="version 2 does not challenge the champion"):
        steward.stand_down("2", "ann", "once more", NOW)


REFUSED = [
    ("1", 0.0, "version 1 serves as champion"),
    ("9", 0.0, "has no version 9"),
    ("2", -0.1, "not each between 0 and 1"),
    ("2", float("nan"), "not each between 0 and 1"),
    ("2", 0.8, "are 1.1 of the users together"),
    ("4", 0.1, "version 4 failed the gate; .*; a share of 0 lets it score in shadow"),
]


def test_what_may_not_challenge_is_refused_in_words(steward: Steward, elearning: Declaration) -> None:
    before = steward.challenge("3", 0.3, elearning, "ann", "first", NOW)
    for version, share, why in REFUSED:
        with pytest.raises(InputError, match=why):
            steward.challenge(version, share, elearning, "ann", "a try", NOW)
    assert steward.registry.lineup() == before
    assert steps(steward, len(REFUSED)) == [("refused", version) for version, _, _ in REFUSED]


def test_a_version_of_another_feature_set_or_a_damaged_one_challenges_nobody(
    steward: Steward, elearning: Declaration, tmp_path: Path
) -> None:
    other = msgspec.structs.replace(model(), feature_set_version="other")
    version = steward.registry.register(other, {}, {}, {}, {})
    with pytest.raises(InputError, match="version 5 reads feature set other, the declaration is"):
        steward.challenge(version, 0.0, elearning, "ann", "a try", NOW)
    for path in (tmp_path / "mlartifacts").rglob("model.json"):
        path.write_text("{}")
    with pytest.raises(DataError):
        steward.challenge("2", 0.0, elearning, "ann", "a try", NOW)
    assert steward.registry.lineup() is None


def test_what_failed_the_gate_scores_in_shadow_and_takes_a_share_by_override(
    steward: Steward, told: Told, elearning: Declaration
) -> None:
    steward.challenge("4", 0.0, elearning, "ann", "to be watched", NOW)
    steward.challenge("4", 0.05, elearning, "ann", "I know why it failed", NOW, override=True)
    assert told.versions()[1:] == [[("4", 0.0)], [("4", 0.05)]]


def test_where_approval_is_required_a_share_needs_it_or_an_override(
    steward: Steward, told: Told, elearning: Declaration, registry: Registry, tmp_path: Path
) -> None:
    strict = steward_of(registry, tmp_path, "required", told.append)
    with pytest.raises(InputError, match="version 2 needs a person's approval"):
        strict.challenge("2", 0.1, elearning, "the keeper", "looks better", NOW)
    strict.challenge("2", 0.1, elearning, "ann", "in my name", NOW, override=True)
    strict.reject("2", "bob", "a segment looks odd", NOW)
    assert told.versions()[-2:] == [[("2", 0.1)], []]
    assert steps(strict, 2) == [("rejected", "2"), ("stood_down", "2")]
    with pytest.raises(InputError, match="version 2 was rejected"):
        strict.challenge("2", 0.1, elearning, "ann", "all the same", NOW, override=True)


def test_a_promoted_challenger_leaves_the_lineup_and_the_champion_is_told_first(
    steward: Steward, told: Told, elearning: Declaration
) -> None:
    for version, share in (("2", 0.3), ("3", 0.1)):
        steward.challenge(version, share, elearning, "ann", "a try", NOW)
    champion = steward.promote("2", "ann", "it is better", NOW)
    assert told.versions()[-2:] == ["2", [("3", 0.1)]]
    assert steps(steward, 2) == [("promoted", "2"), ("stood_down", "2")]
    lineup = steward.registry.lineup()
    assert lineup is not None
    assert lineup.announced_at == champion.promoted_at + TICK
    steward.rollback("ann", "scores look odd", NOW)
    assert told.versions()[-2:] == ["1", [("3", 0.1)]]


def test_every_lineup_and_promotion_that_was_told_is_kept(steward: Steward, told: Told, elearning: Declaration) -> None:
    for version, share in (("2", 0.3), ("3", 0.1), ("2", 0.5)):
        steward.challenge(version, share, elearning, "ann", "a try", NOW)
    steward.promote("2", "ann", "it is better", NOW)
    steward.rollback("ann", "scores look odd", NOW)
    steward.stand_down("3", "ann", "no better", NOW)
    steward.announce_again("ann", NOW)
    kept = steward.registry
    assert told.versions() == [
        "1", [("2", 0.3)], [("2", 0.3), ("3", 0.1)], [("2", 0.5), ("3", 0.1)], "2", [("3", 0.1)], "1", [("3", 0.1)], [],
        "1", [],
    ]  # fmt: skip
    assert kept.promotions() == [told[0], told[4], told[6]]
    assert kept.lineups() == [*told[1:4], told[5], told[7], told[8]]
    assert kept.lineup() == told[8]


def test_an_outage_leaves_challengers_that_are_told_with_the_champion_later(
    steward: Steward, told: Told, elearning: Declaration, registry: Registry, tmp_path: Path
) -> None:
    def away(record: Champion | Lineup) -> None:
        raise OutageError("Kafka is away")

    with pytest.raises(OutageError):
        steward_of(registry, tmp_path, "automatic", away).challenge("2", 0.2, elearning, "ann", "a try", NOW)
    assert steps(steward, 2) == [("challenged", "2"), ("unannounced", "")]
    steward.announce_again("ann", NOW)
    assert told.versions()[-2:] == ["1", [("2", 0.2)]]
