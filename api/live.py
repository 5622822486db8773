"""What the live page polls: the pulse, the state and the model in one small document."""

import msgspec

from api.pulse import PulseView
from api.readiness import Health
from feature_repo.champion import ServingModel


class LiveModel(msgspec.Struct, frozen=True):
    """The version that serves, and the probabilities where its bands begin."""

    name: str
    version: str
    promoted_at: str
    reason: str


class LiveData(msgspec.Struct, frozen=True):
    """One look at the running system."""

    health: Health
    model: LiveModel | None
    pulse: PulseView
    medium_risk: float
    high_risk: float


def live_model(champion: ServingModel) -> LiveModel | None:
    """Return what the page says of the serving model."""
    if champion.serving is None:
        return None
    record = champion.serving.champion
    return LiveModel(record.model, record.version, record.promoted_at.isoformat(), record.reason)
