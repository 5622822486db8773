"""What `feast apply` in this folder registers, by CHURN_DECLARATION and CHURN_DATA_DIR; `churn apply` does the same.

Feast imports this file alone (see .feastignore) and collects the objects bound here.
"""

import os

from feature_repo.declared import load
from feature_repo.feast_stores import DEFAULTS, REPOSITORY, data_dir
from feature_repo.views import repository

_declaration = load(REPOSITORY.parent / (os.environ.get("CHURN_DECLARATION") or DEFAULTS.declaration))
(user, vectors, vectors_push, scores, scores_push, user_features, user_score, churn_v1) = repository(
    _declaration, data_dir()
)
