"""What is known of a user: a pure function of the stored row, the serving model and the time."""

from datetime import datetime
from typing import Literal

from api.answers import Explanation, Freshness, StoredScoreAnswer, UserAnswer
from churn.declaration import Declaration
from churn.errors import InputError, UnknownUserError
from churn.layout import Floats
from churn.population import activity_teller
from churn.reasons import TOP_REASONS, Explainer
from churn.scores import Reason, from_us
from feature_repo.champion import Serving
from feature_repo.reader import StoredScore, UserRow

MAX_USER_ID_CHARS = 128
Depth = Literal["top", "all"]


class Lookup:
    """Answers for stored rows of one declaration."""

    def __init__(self, declaration: Declaration) -> None:
        """Prepare names and sentences."""
        self._names = declaration.feature_names
        self._explainer = Explainer(declaration)
        self._active = activity_teller(declaration)

    def answer(self, row: UserRow, serving: Serving | None, depth: Depth, now: datetime) -> UserAnswer:
        """Return everything about a user.

        Raises:
            UnknownUserError: nothing is stored for this id.
        """
        if row.features is None:
            raise UnknownUserError(
                f"user {row.user_id!r} is unknown: no event of this id has been processed; "
                "ids are case sensitive, and a new user appears within a second of the first event"
            )
        explanation, reasons = self._explain(row.user_id, row.features, serving, depth)
        # A missing value is NaN, which the encoder writes as null.
        features: dict[str, float | None] = dict(zip(self._names, row.features.tolist(), strict=True))
        score = stored_score(row.score)
        active = bool(self._active(row.features.reshape(1, -1))[0])
        return UserAnswer(row.user_id, active, features, score, reasons, explanation, freshness(row, now))

    def _explain(
        self, user_id: str, features: Floats, serving: Serving | None, depth: Depth
    ) -> tuple[Explanation | None, list[Reason]]:
        if serving is None:
            return None, []
        matrix, answering = features.reshape(1, -1), serving.answering(user_id)
        scored = answering.scorer.score(matrix)
        count = len(self._names) if depth == "all" else TOP_REASONS
        found = self._explainer.explained(matrix, scored.contributions, count)
        model, version, probability = serving.champion.model, answering.version, float(scored.probability[0])
        return Explanation(model, version, probability, scored.base, float(found.others[0])), found.reasons[0]


def checked_user_id(user_id: str) -> str:
    """Return the id; raises InputError when no event could ever have carried it.

    >>> checked_user_id("u1")
    'u1'
    """
    if not 1 <= len(user_id) <= MAX_USER_ID_CHARS:
        raise InputError(f"a user id has 1 to {MAX_USER_ID_CHARS} characters, got {len(user_id)}")
    try:
        user_id.encode()
    except UnicodeEncodeError:
        raise InputError("the user id in the path is not UTF-8; percent-encode its UTF-8 bytes") from None
    return user_id


def checked_depth(text: str) -> Depth:
    """Return how many reasons are wanted; raises InputError for another word."""
    if text == "top":
        return "top"
    if text == "all":
        return "all"
    raise InputError(f"query parameter `reasons` is {text[:40]!r}; `top` or `all` is needed")


def stored_score(score: StoredScore | None) -> StoredScoreAnswer | None:
    """Return the stored score as an answer."""
    if score is None:
        return None
    return StoredScoreAnswer(score.probability, score.band, score.model_version, from_us(score.as_of_us))


def freshness(row: UserRow, now: datetime) -> Freshness:
    """Return the times of both views and their ages at `now`."""
    times = (row.as_of_us, row.score.as_of_us if row.score else None)
    features, score = (None if us is None else from_us(us) for us in times)
    return Freshness(features, _age_seconds(features, now), score, _age_seconds(score, now))


def _age_seconds(time: datetime | None, now: datetime) -> float | None:
    return None if time is None else (now - time).total_seconds()
