"""Why a step may not be taken with a model version: in sentences that say what to do, empty where nothing stands against it."""

from collections.abc import Mapping, Sequence
from typing import Literal
from unicodedata import category

from churn.declaration import Declaration
from churn.errors import InputError
from churn.scores import Challenger, Champion, Lineup

Approval = Literal["automatic", "required"]
WAITING, APPROVED, REJECTED, ENROLLED = "waiting", "approved", "rejected", "enrolled"
PASSED = "passed"
UNPRINTED = ("Cc", "Cs", "Zl", "Zp")
"""Control characters, halves of characters, and what ends a line or a paragraph."""
MOST_CHARACTERS = 2000
"""Of a name or a reason: MLflow keeps 5,000 in a tag, before which stand words of ours."""
WHOLE = 1 + 1e-9
"""What all shares together must not exceed: sums of tenths are off by a rounding."""


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


def unfit_to_share(facts: Mapping[str, str], version: str, approval: Approval, override: bool) -> str:
    """Say why a version may not serve even a share of the users; empty when it may.

    An override stands for the approval as well: it is given in a person's name, and the log keeps it.
    """
    unapproved: Approval = "automatic" if override else approval
    seen = obstacle(facts, version, unapproved, override)
    return f"{seen}; a share of 0 lets it score in shadow" if seen else ""


def unmatched(version: str, facts: Mapping[str, str], champion: Champion | None, declaration: Declaration) -> str:
    """Say why a version cannot stand beside the champion; empty when it can."""
    if champion is None:
        return "no model has been promoted yet, so there is nobody to challenge; promote a version first"
    if champion.version == version:
        return f"version {version} serves as champion; name another version to challenge it"
    reads, present = facts.get("feature_set_version", ""), declaration.feature_set_version
    if reads != present:
        return f"version {version} reads feature set {reads}, the declaration is {present}; train a version for it"
    return ""


def placed(former: Lineup | None, named: Challenger) -> list[Challenger]:
    """Return the challengers with this one in the place that it had, or as the last."""
    there = [] if former is None else former.challengers
    if named.version in [each.version for each in there]:
        return [named if each.version == named.version else each for each in there]
    return [*there, named]


def too_much(challengers: Sequence[Challenger]) -> str:
    """Say that shares are none; empty when they are.

    >>> too_much([Challenger("7", "", "", "", 0.7), Challenger("8", "", "", "", 0.4)])
    'the shares 7: 0.7, 8: 0.4 are 1.1 of the users together, 1 is all; give less, or let one stand down'
    """
    told = ", ".join(f"{each.version}: {each.share:g}" for each in challengers)
    if not all(0 <= each.share <= 1 for each in challengers):
        return f"the shares {told} are not each between 0 and 1; 0.1 is a tenth of the users, 0 is shadow alone"
    together = sum(each.share for each in challengers)
    if together > WHOLE:
        return f"the shares {told} are {together:g} of the users together, 1 is all; give less, or let one stand down"
    return ""


def versions(lineup: Lineup) -> list[str]:
    """Return the versions that challenge."""
    return [each.version for each in lineup.challengers]


def unnamed(who: str, reason: str) -> str:
    """Say that a step has no author or no reason; empty when it has both.

    >>> unnamed("ann", " ")
    'a reason is needed for the record, got an empty one; say why in a few words'
    """
    for what, given in (("name", who), ("reason", reason)):
        if not given.strip():
            return f"a {what} is needed for the record, got an empty one; say {'who' if what == 'name' else 'why'} in a few words"
        # Lines and escapes would forge entries of a log that is printed; what is no UTF-8 cannot be kept at all.
        if any(category(character) in UNPRINTED for character in given):
            return f"the {what} {given[:40]!a} has characters that cannot be printed; give it as one line of text"
        if len(given) > MOST_CHARACTERS:
            return f"the {what} has {len(given):,} characters; {MOST_CHARACTERS:,} are kept for the record, say it in fewer"
    return ""


def refuse_for(reason: str) -> None:
    """Raise InputError with a reason; do nothing without one."""
    if reason:
        raise InputError(reason)
