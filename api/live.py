"""What the live page polls: the pulse, the state and the model in one small document."""

import msgspec

from api.pulse import PulseView
from api.readiness import Health
from feature_repo.champion import ServingModel


class LiveChallenger(msgspec.Struct, frozen=True):
    """A version that scores everyone in shadow, and serves this share of the users."""

    version: str
    share: float


class LiveModel(msgspec.Struct, frozen=True):
    """The version that serves, and those that challenge it."""

    name: str
    version: str
    promoted_at: str
    reason: str
    challengers: list[LiveChallenger]


class LiveData(msgspec.Struct, frozen=True):
    """One look at the running system."""

    health: Health
    model: LiveModel | None
    pulse: PulseView
    medium_risk: float
    high_risk: float


def live_model(champion: ServingModel) -> LiveModel | None:
    """Return what the page says of the serving model."""
    serving = champion.serving
    if serving is None:
        return None
    record, beside = serving.champion, [LiveChallenger(each.version, each.share) for each, _ in serving.challengers]
    return LiveModel(record.model, record.version, record.promoted_at.isoformat(), record.reason, beside)
