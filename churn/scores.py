"""What the system says about one user: a probability, its band, its reasons, and which model said so."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

Band = Literal["low", "medium", "high"]
BANDS: tuple[Band, ...] = ("low", "medium", "high")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One feature's share of a score: `contribution` is in log-odds against the average user."""

    feature: str
    value: float | None
    contribution: float
    text: str


class Score(msgspec.Struct, frozen=True):
    """A user's probability to be gone in the next 30 days, as of a time.

    Readers that want one score per user and as_of keep, for each (user_id, as_of), the one with the highest
    (source_offset, promoted_at): late events and a new model score a time again, whatever is said after a restart, or by
    a worker that lost its partition, is equal or older. Two scores that agree in all four are the same but for
    `emitted_at` and `arrived_at`.

    The probability speaks of active users: those with activity in the label's horizon whom the declaration's
    `label.exclude` does not name. Others get scores too, so that readers see them leave, with `active` false.
    """

    user_id: str
    probability: float
    band: Band
    reasons: list[Reason]
    model: str
    model_version: str
    feature_set_version: str
    as_of: datetime
    emitted_at: datetime
    source_partition: int
    source_offset: int
    arrived_at: datetime | None = None
    """Arrival of the oldest event that this score is the first to include; None when time alone changed it."""
    active: bool = True
    """Whether the user is one of whom the probability speaks; records from before this field count as active."""
    promoted_at: datetime = EPOCH
    """Since when the model version serves this user: the later of the champion's promotion, a rollback being one anew, and
    the announcement of the challengers beside it. Records from before this field are oldest."""
    base: float | None = None
    others: float | None = None
    """Log-odds of the average user, and what all features beside those of the reasons contribute together: the log-odds of
    the probability are base + the reasons' contributions + others. None in records from before these fields."""


class Champion(msgspec.Struct, frozen=True):
    """Which version of a model serves: the value on the models topic.

    `bundle` is the folder of the version below the models folder, `sha256` the hash of its manifest, which
    names the hash of every other file.
    """

    model: str
    version: str
    bundle: str
    sha256: str
    feature_set_version: str
    promoted_at: datetime
    reason: str

    @property
    def promotion(self) -> str:
        """Return what tells this promotion from any other, also of the same version, as after a rollback."""
        return f"{self.version}@{to_us(self.promoted_at)}"


class Challenger(msgspec.Struct, frozen=True):
    """A version that scores every vector in shadow, and serves a share of the users, 0 to 1, chosen by a stable hash."""

    version: str
    bundle: str
    sha256: str
    feature_set_version: str
    share: float = 0.0


class Lineup(msgspec.Struct, frozen=True):
    """The challengers of a model: a value on the models topic, under the key that `lineup_key` gives."""

    model: str
    challengers: list[Challenger]
    announced_at: datetime
    reason: str

    @property
    def shares(self) -> float:
        """Return the share of the users that challengers serve together."""
        return sum(challenger.share for challenger in self.challengers)

    @property
    def split(self) -> list[tuple[str, float]]:
        """Return who serves users beside the champion, in the order of their intervals: versions and shares."""
        return [(each.version, each.share) for each in self.challengers if each.share > 0]

    @property
    def announcement(self) -> str:
        """Return what tells this record from any other, as `Champion.promotion` does."""
        return f"{lineup_key(self.model)}@{to_us(self.announced_at)}"


def lineup_key(model: str) -> str:
    """Return the key of a model's challengers on the models topic, beside the champion's, which is the model's name.

    >>> lineup_key("churn")
    'churn/challengers'
    """
    return f"{model}/challengers"


def precedence(score: Score) -> tuple[int, datetime]:
    """Return what decides between scores of one user and as_of: the one with the highest counts."""
    return score.source_offset, score.promoted_at


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Score).decode
decode_champion = msgspec.json.Decoder(Champion).decode
decode_lineup = msgspec.json.Decoder(Lineup).decode


def band_codes(probabilities: npt.NDArray[np.floating], medium: float, high: float) -> npt.NDArray[np.int8]:
    """Return 0 (low), 1 (medium) or 2 (high) for each probability.

    >>> band_codes(np.array([0.1, 0.2, 0.7]), 0.2, 0.5).tolist()
    [0, 1, 2]
    """
    return ((probabilities >= medium).astype(np.int8) + (probabilities >= high)).astype(np.int8)


def from_us(microseconds: int) -> datetime:
    """Return a UTC time from microseconds since 1970.

    >>> from_us(86_400_000_000).isoformat()
    '1970-01-02T00:00:00+00:00'
    """
    return EPOCH + timedelta(microseconds=microseconds)


def to_us(time: datetime) -> int:
    """Return microseconds since 1970 of an aware time."""
    return (time - EPOCH) // timedelta(microseconds=1)
