"""What a road's topics say: every emitted vector, every score, and the scores as their models compute them anew."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

import msgspec

from churn.blocks import decode_features
from churn.layout import Floats
from churn.model import Scorer
from churn.reasons import Explainer
from churn.scores import Score, decode, from_us
from churn.topics import FEATURES, SCORES
from compose.processes import wait_until
from tests.stream_processors.road import Road

Key = tuple[str, int, datetime]


def vectors(under: Road) -> tuple[Counter[Key], dict[Key, Floats]]:
    """Return how often each vector was emitted, and the vectors."""
    emitted: Counter[Key] = Counter()
    found: dict[Key, Floats] = {}
    for message in under.read(FEATURES):
        block = decode_features(message.value() or b"")
        for user, vector in zip(block.users, block.matrix, strict=True):
            key = user, block.source_offset, from_us(block.as_of_us)
            emitted[key] += 1
            found[key] = vector
    return emitted, found


def wait_for_every_score(under: Road) -> tuple[list[Score], dict[Key, Floats]]:
    """Wait until each emitted vector was scored as often as it was emitted, or again; returns the scores and the vectors."""

    def scores() -> list[Score]:
        return [decode(message.value() or b"") for message in under.read(SCORES)]

    def told() -> Counter[Key]:
        return Counter((score.user_id, score.source_offset, score.as_of) for score in scores())

    wait_until(lambda: not vectors(under)[0] - told(), 20, "every emitted vector has its score")
    return scores(), vectors(under)[1]


def own_scores(under: Road, scorers: Mapping[str, Scorer], found: list[Score], of: Mapping[Key, Floats]) -> list[Score]:
    """Return the scores as the versions that they name compute them anew, in other batches."""
    explainer, anew = Explainer(under.declaration), []
    for score in found:
        vector = of[score.user_id, score.source_offset, score.as_of].reshape(1, -1)
        scored = scorers[score.model_version].score(vector)
        why = explainer.explained(vector, scored.contributions)
        probability, others = float(scored.probability[0]), float(why.others[0])
        said = {"probability": probability, "reasons": why.reasons[0], "base": scored.base, "others": others}
        anew.append(msgspec.structs.replace(score, **said))
    return anew
