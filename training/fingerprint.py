"""Which data a model comes from, in a few facts that another can hold against the data a year later."""

import hashlib
from collections.abc import Sequence

import msgspec

from churn.days import iso
from churn.declaration import Declaration
from training.profile import Profile
from training.provenance import code_version, commit


class Fingerprint(msgspec.Struct, frozen=True):
    """A data set.

    Attributes:
        content: hash of the events, whatever their order and files.
        code: the package's version and the hash of the modules that compute the data.
        commit: the git commit they come from, as a hint for people; not part of the id, for it names other code too.
        snapshots: the midnights, ISO dates.
        share: how many of the labelled population were taken.
    """

    content: str
    archive_from: str
    archive_until: str
    events: int
    users: int
    declaration_version: int
    feature_set_version: str
    horizon_days: int
    code: str
    commit: str
    snapshots: tuple[str, ...]
    share: float
    user_ttl_days: int

    @property
    def id(self) -> str:
        """Return 12 hex digits."""
        facts = msgspec.structs.asdict(self) | {"commit": ""}
        return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:12]

    def text(self) -> str:
        """Return it as a sentence."""
        return (
            f"data set {self.id}: {self.events:,} events of {self.users:,} users, {self.archive_from} to"
            f" {self.archive_until}; {len(self.snapshots)} snapshots, features {self.feature_set_version}, code {self.code}"
        )


def fingerprint_of(
    declaration: Declaration,
    profile: Profile,
    snapshots: Sequence[int] = (),
    share: float = 1.0,
    user_ttl_days: int = 0,
) -> Fingerprint:
    """Return the fingerprint of snapshots (UTC day numbers) of an archive."""
    return Fingerprint(
        content=profile.content,
        archive_from=iso(profile.days[0]),
        archive_until=iso(profile.days[1]),
        events=profile.events,
        users=profile.users,
        declaration_version=declaration.version,
        feature_set_version=declaration.feature_set_version,
        horizon_days=declaration.label.horizon_days,
        code=code_version(),
        commit=commit(),
        snapshots=tuple(iso(day) for day in snapshots),
        share=share,
        user_ttl_days=user_ttl_days,
    )
