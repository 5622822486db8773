"""The Feast objects that follow from a declaration."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource
from feast.types import FeastType, Float32, String
from feast.value_type import ValueType

from churn.declaration import Declaration
from feature_repo.encoding import JOIN_KEY
from feature_repo.layout import (
    ENTITY,
    FEATURES_PUSH,
    SCORE_FIELDS,
    SCORES_PUSH,
    SERVICE,
    USER_FEATURES,
    USER_SCORE,
    fields_by_view,
    refuse_collisions,
)
from feature_repo.offline import EVENT_TIME, scores_folder, vectors_folder

# A row is written when it changes, so the last one stays true however old it is: no time to live.
NO_TTL = timedelta(0)
SCORE_TYPES: dict[str, tuple[FeastType, str]] = {
    "probability": (Float32, "calibrated probability of churn"),
    "band": (String, "low, medium or high"),
    "model_version": (String, "version of the model that scored"),
    "top_reason": (String, "what moves the probability most, at most 60 bytes of UTF-8"),
}


class Repository(NamedTuple):
    """Everything that `feast apply` registers."""

    user: Entity
    vectors: FileSource
    vectors_push: PushSource
    scores: FileSource
    scores_push: PushSource
    user_features: FeatureView
    user_score: FeatureView
    service: FeatureService


def repository(declaration: Declaration, data_dir: Path) -> Repository:
    """Derive entity, sources, views and service; `data_dir` holds the offline files.

    Raises:
        DeclarationError: two features share a field of the online store.
    """
    refuse_collisions(fields_by_view(declaration.feature_names))
    tags = {"business": declaration.business, "feature_set_version": declaration.feature_set_version}
    user = Entity(name=ENTITY, join_keys=[JOIN_KEY], value_type=ValueType.STRING, description="a subscriber")
    vectors, vectors_push = _source(f"{USER_FEATURES}_files", FEATURES_PUSH, vectors_folder(data_dir))
    scores, scores_push = _source(f"{USER_SCORE}_files", SCORES_PUSH, scores_folder(data_dir))
    features = [Field(name=f.name, dtype=Float32, description=f.says) for f in declaration.features]
    score = [Field(name=n, dtype=SCORE_TYPES[n][0], description=SCORE_TYPES[n][1]) for n in SCORE_FIELDS]
    view = partial(FeatureView, entities=[user], ttl=NO_TTL, online=True, tags=tags)
    user_features = view(
        name=USER_FEATURES, schema=features, source=vectors_push, description="what the model sees of a user"
    )
    user_score = view(name=USER_SCORE, schema=score, source=scores_push, description="the latest score of a user")
    service = FeatureService(name=SERVICE, features=[user_features, user_score], tags=tags)
    return Repository(user, vectors, vectors_push, scores, scores_push, user_features, user_score, service)


def _source(name: str, push_name: str, folder: Path) -> tuple[FileSource, PushSource]:
    files = FileSource(name=name, path=str(folder), timestamp_field=EVENT_TIME)
    return files, PushSource(name=push_name, batch_source=files)
