"""Bodies of successful answers."""

from datetime import datetime

import msgspec

from churn.scores import Band, Reason


class StoredScoreAnswer(msgspec.Struct, frozen=True):
    """The score that the stream wrote for a user; `as_of` is the time up to which events count."""

    probability: float
    band: str
    model_version: str
    as_of: datetime


class Explanation(msgspec.Struct, frozen=True):
    """What `reasons` explain: log-odds of `probability` = `base` + the contributions of the reasons + `others`.

    `others` is what all features that no reason names contribute together: next to nothing with `?reasons=all`.

    `probability` is computed from `features` at request time by the model that serves this user now; the stored score may be older.
    """

    model: str
    model_version: str
    probability: float
    base: float
    others: float


class Freshness(msgspec.Struct, frozen=True):
    """How old an answer is, against the clock of the server; null for what is not stored."""

    features_as_of: datetime | None
    features_age_seconds: float | None
    score_as_of: datetime | None
    score_age_seconds: float | None


class UserAnswer(msgspec.Struct, frozen=True):
    """All that is known of a user; a feature without a value is null, `score` is null before the first score.

    `active` tells whether the user is one of whom a probability speaks: active in the label's horizon, not known to be gone.
    `reasons` are the three strongest, or every feature's with `?reasons=all`; empty, and `explanation` null, while no
    model is loaded.
    """

    user_id: str
    active: bool
    features: dict[str, float | None]
    score: StoredScoreAnswer | None
    reasons: list[Reason]
    explanation: Explanation | None
    freshness: Freshness


class Prediction(msgspec.Struct, frozen=True):
    """A probability with its three strongest reasons: its log-odds = `base` + their contributions + `others`."""

    probability: float
    band: Band
    reasons: list[Reason]
    model: str
    model_version: str
    base: float
    others: float


class Predictions(msgspec.Struct, frozen=True):
    """Predictions in the order of `instances`."""

    predictions: list[Prediction]


class FeaturesRequest(msgspec.Struct, frozen=True):
    """One feature map: every feature by name, null for a missing value."""

    features: dict[str, float | None]


class InstancesRequest(msgspec.Struct, frozen=True):
    """Many feature maps."""

    instances: list[dict[str, float | None]]
