"""A model of each kind, fitted on synthetic vectors, for measurements of what it costs to apply them."""

import numpy as np

from churn.declaration import Declaration
from churn.model import Model
from compose.bench.vectors import Vectors

FITTED_USERS = 20_000
STRENGTH = 0.1
TREES = 200


def models(declaration: Declaration, vectors: Vectors) -> dict[str, Model]:
    """Return a logistic model and boosted tables with as many pairs of features as training allows."""
    from training import boosting, logistic, search
    from training.candidates import EXAMPLES
    from training.rows import Rows

    matrix = vectors.block(1, FITTED_USERS)
    rows = Rows(matrix, vectors.churned(matrix), np.zeros(len(matrix), np.int32))
    named = ("measured", declaration.feature_set_version, declaration.feature_names)
    settings = boosting.Boosting(trees=TREES)
    trees = search.boost_best_pairs(rows, settings, boosting.monotone_of(declaration))
    return {
        "logistic": logistic.export(logistic.fit(rows, STRENGTH), *named, matrix[:EXAMPLES], {"rows": len(rows)}),
        "additive": boosting.export(trees, *named, matrix, matrix[:EXAMPLES], {"rows": len(rows), "trees": TREES}),
    }
