"""What the online store holds for a user: two feature views and their fields.

Known without importing Feast, so that a process which only reads or writes rows starts in milliseconds.
"""

from collections.abc import Iterable, Mapping, Sequence

from churn.errors import DeclarationError
from feature_repo.encoding import MAX_VALUE_BYTES, field_hash

USER_FEATURES = "user_features"
USER_SCORE = "user_score"
SERVICE = "churn_v1"
ENTITY = "user"
FEATURES_PUSH = "user_features_push"
SCORES_PUSH = "user_score_push"
SCORE_FIELDS = ("probability", "band", "model_version", "top_reason")
# Tag and length take two of the 64 bytes that keep the hash a listpack; two more are kept back.
MAX_TEXT_BYTES = MAX_VALUE_BYTES - 4


def fields_by_view(feature_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the fields of every view that shares a user's hash."""
    return {USER_FEATURES: tuple(feature_names), USER_SCORE: SCORE_FIELDS}


def refuse_collisions(views: Mapping[str, Iterable[str]]) -> None:
    """Refuse two features whose 32-bit hash fields are equal: one would silently overwrite the other.

    Raises:
        DeclarationError: names both features.
    """
    taken: dict[bytes, str] = {}
    for view, names in views.items():
        for name in names:
            field = field_hash(view, name)
            if field in taken:
                raise DeclarationError(
                    f"features {taken[field]} and {view}:{name} share the online field {field.hex()}; rename one of them"
                )
            taken[field] = f"{view}:{name}"
