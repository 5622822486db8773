"""Whether this process can answer, and why not: a pure function of what was just seen."""

from typing import Literal

import msgspec

from feature_repo.champion import ServingModel


class Part(msgspec.Struct, frozen=True):
    """One thing that answers depend on."""

    ok: bool
    says: str


class Readiness(msgspec.Struct, frozen=True):
    """`reasons` keep the process from answering; `warnings` do not, but need someone's attention."""

    ready: bool
    reasons: list[str]
    warnings: list[str]
    model_version: str | None


class Health(msgspec.Struct, frozen=True):
    """`ok`; `degraded`: answers, but something needs attention; `down`: cannot answer."""

    status: Literal["ok", "degraded", "down"]
    redis: Part
    kafka: Part
    model: Part
    readiness: Readiness


def health(redis_outage: str | None, kafka_outage: str | None, champion: ServingModel) -> Health:
    """Return the state of every part and what follows from it."""
    redis = Part(redis_outage is None, redis_outage or "answers")
    kafka = Part(kafka_outage is None, kafka_outage or "answers")
    model = model_part(champion)
    ready = readiness(redis, kafka, model, champion)
    status: Literal["ok", "degraded", "down"] = "ok" if not (ready.reasons or ready.warnings) else "degraded"
    return Health(status if ready.ready else "down", redis, kafka, model, ready)


def readiness(redis: Part, kafka: Part, model: Part, champion: ServingModel) -> Readiness:
    """Say whether users can be looked up and features be scored.

    Kafka being away is a warning: stored features and the loaded model go on answering, only older by the minute.
    """
    serving = champion.serving
    reasons = [part.says for part in (redis,) if not part.ok]
    warnings = [part.says for part in (kafka,) if not part.ok]
    if not model.ok:
        (reasons if serving is None else warnings).append(model.says)
    return Readiness(not reasons, reasons, warnings, serving.champion.version if serving else None)


def model_part(champion: ServingModel) -> Part:
    """Say which model serves and which was refused."""
    wrong, serving = champion.not_ready(), champion.serving
    if wrong or serving is None:
        return Part(False, "; ".join(wrong))
    beside = [f", {each.version} {in_words(each.share)}" for each, _ in serving.challengers]
    return Part(True, f"version {serving.champion.version} serves{''.join(beside)}")


def in_words(share: float) -> str:
    """Say what a challenger does.

    >>> in_words(0.0), in_words(0.125)
    ('challenges in shadow', 'challenges with 12.5 % of the users')
    """
    return f"challenges with {100 * share:g} % of the users" if share else "challenges in shadow"
