"""The models that compete in a training, each fitted, recalibrated and written down in the same way.

- `logistic`: the baseline, always kept;
- `boosted`: trees of depth two as tables;
- `online`: the River model, which saw the rows once, in the order of time.

LightGBM and scikit-learn's HistGradientBoosting fit the same trees equally well (`training.boosting`). The recency rule is
the floor that each must beat; it is judged beside them and serves nobody.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import msgspec
import numpy as np

from churn.declaration import Declaration
from churn.errors import InputError
from churn.layout import Float64s
from churn.model import Model
from training import boosting, logistic, search
from training.calibration import Recalibration, mean_loss, over_folds
from training.online import OnlineLearner
from training.online_model import exported, logit
from training.plan import CANDIDATES
from training.rows import Fold, Rows

EXAMPLES = 5000
"""Golden rows are chosen among so many of the rows."""
ONLINE_ROWS = 60_000
"""River learns 31,000 rows a second."""
Facts = Mapping[str, str | float | int]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """A fitted model with what it showed on the folds (NaN without any) and how it came about."""

    name: str
    model: Model
    fold_loss: float
    settings: Mapping[str, str | float | int]
    recalibration: Recalibration
    seconds: float


@dataclass(frozen=True)
class Order:
    """What is to be trained: the model's name, the business, and facts to be written into the model."""

    name: str
    declaration: Declaration
    facts: Facts


class Recipe(Protocol):
    """One kind of candidate."""

    name: str

    def search(self, folds: Sequence[Fold], order: Order) -> tuple[dict[str, str | float | int], list[Float64s]]:
        """Return the best settings and, fold by fold, the log-odds of rows not learnt from."""

    def fit(self, rows: Rows, settings: Mapping[str, str | float | int], by: Recalibration, order: Order) -> Model:
        """Return the model of all rows."""


def compete(
    rows: Rows,
    folds: Sequence[Fold],
    order: Order,
    progress: Progress = lambda _: None,
    names: Sequence[str] = CANDIDATES,
) -> list[Candidate]:
    """Return the candidates of these names, the best on the folds first; without folds as they are named.

    Boosted trees are left out, and `progress` says so, where LightGBM cannot be loaded.
    """
    found = []
    for recipe in map(RECIPES.__getitem__, names):
        progress(f"fitting {recipe.name}")
        try:
            found.append(_candidate(recipe, rows, folds, order))
        except boosting.NoLightGBMError as error:
            progress(f"{recipe.name} is left out: {error}")
    if not found:
        raise InputError("no candidate is left; name another one, or make LightGBM loadable")
    return sorted(found, key=lambda each: each.fold_loss) if folds else found


def _candidate(recipe: Recipe, rows: Rows, folds: Sequence[Fold], order: Order) -> Candidate:
    began = time.perf_counter()
    settings, said = recipe.search(folds, order)
    by = over_folds(folds, said)
    loss = mean_loss(folds, said, by)
    facts: dict[str, str | float | int] = {
        **order.facts, "candidate": recipe.name, "recalibration_slope": by.slope, **settings,
    }  # fmt: skip
    if folds:
        facts["fold_log_loss"] = round(loss, 6)
    model = recipe.fit(rows, settings, by, Order(order.name, order.declaration, facts))
    return Candidate(recipe.name, model, loss, settings, by, time.perf_counter() - began)


class Logistic:
    """The baseline."""

    name = "logistic"

    def search(self, folds: Sequence[Fold], order: Order) -> tuple[dict[str, str | float | int], list[Float64s]]:
        """Choose the strength of regularisation."""
        strength, said = logistic.search(folds)
        return {"strength": strength}, said

    def fit(self, rows: Rows, settings: Mapping[str, str | float | int], by: Recalibration, order: Order) -> Model:
        """Fit all rows."""
        plain = logistic.fit(rows, float(settings["strength"]))
        fitted = logistic.Fitted(plain.scaling, plain.regression, plain.strength, by)
        declared = order.declaration
        return logistic.export(
            fitted, order.name, declared.feature_set_version, declared.feature_names, rows.matrix[:EXAMPLES],
            dict(order.facts),
        )  # fmt: skip


class Boosted:
    """Trees of depth two, as tables."""

    name = "boosted"

    def search(self, folds: Sequence[Fold], order: Order) -> tuple[dict[str, str | float | int], list[Float64s]]:
        """Choose leaves, penalties and the number of trees."""
        settings, said = search.search(folds, boosting.monotone_of(order.declaration))
        return asdict(settings), said

    def fit(self, rows: Rows, settings: Mapping[str, str | float | int], by: Recalibration, order: Order) -> Model:
        """Fit all rows."""
        chosen = msgspec.convert(settings, boosting.Boosting)
        declared = order.declaration
        plain = search.boost_best_pairs(rows, chosen, boosting.monotone_of(declared))
        fitted = boosting.recalibrated(plain, by)
        return boosting.export(
            fitted, order.name, declared.feature_set_version, declared.feature_names, rows.matrix, rows.matrix[:EXAMPLES],
            dict(order.facts),
        )  # fmt: skip


class Online:
    """The model of the learner process, on the same rows."""

    name = "online"

    def search(self, folds: Sequence[Fold], order: Order) -> tuple[dict[str, str | float | int], list[Float64s]]:
        """Its settings are fixed (`training.online`)."""
        return {}, [logit(_learnt(fold.early, order).predict(fold.late.matrix)) for fold in folds]

    def fit(self, rows: Rows, settings: Mapping[str, str | float | int], by: Recalibration, order: Order) -> Model:
        """Learn the rows once, in the order of time."""
        learner = _learnt(rows.thinned(ONLINE_ROWS), order)
        return exported(learner, order.name, rows.matrix[:EXAMPLES], by, order.facts)


def _learnt(rows: Rows, order: Order) -> OnlineLearner:
    learner = OnlineLearner(order.declaration.feature_names, order.declaration.feature_set_version)
    for day in sorted(set(rows.days.tolist())):
        today = rows.of([day])
        # By their names, and so by when they joined, users of a kind come together, and the last step follows the last
        # kind: mixed, the log loss on other users falls from 0.263 to 0.254, and from 0.252 to 0.249 on another seed.
        today = today.take(np.random.default_rng(day).permutation(len(today)))
        learner.learn(day, today.matrix, today.churned)
    return learner


RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (Logistic(), Boosted(), Online())}
