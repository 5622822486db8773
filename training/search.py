"""The bounded, seeded search for how to boost: a short list of settings, each judged on every fold."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import numpy as np

from churn.evaluation import log_loss
from churn.layout import Float64s
from training.boosting import Boosted, Boosting, boost
from training.calibration import recalibration
from training.rows import Fold, Rows, expit

MOST_TREES = 300
COUNTS = (25, 50, 75, 100, 125, 150, 200, 250, 300)
SETTINGS = tuple(
    Boosting(trees=MOST_TREES, min_leaf=min_leaf, l2=l2, columns=columns)
    for (min_leaf, l2), columns in product(((30, 1.0), (200, 20.0)), (0.5, 0.25))
)
"""What else was tried moved the log loss by less than 0.0003: the number of trees decides, and is read off the curves."""
DEFAULT = Boosting(trees=150, min_leaf=100, l2=5.0, columns=0.5)
"""Without room for folds."""
PAIR_ROWS = 60_000
MOST_GROWTH = 2.0
"""All rows bear more trees than a part of them does: in proportion, as is usual after halving, but nobody knows how long."""
AT_ONCE = 2
"""Fits side by side, one thread each."""


def search(folds: Sequence[Fold], monotone: Sequence[int]) -> tuple[Boosting, list[Float64s]]:
    """Return the settings that do best on the folds, and what they say, fold by fold, of rows they did not see."""
    if not folds:
        return DEFAULT, []
    tasks = [(fold, settings) for settings in SETTINGS for fold in folds]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        fits = list(threads.map(lambda task: boost(task[0].early, task[1], monotone, task[0].late), tasks))
    by_settings = [fits[start : start + len(folds)] for start in range(0, len(fits), len(folds))]
    best = min(by_settings, key=lambda found: float(_curve(found).min()))
    kept = _with_few_pairs(best, folds, monotone)
    trees = _trees(kept, folds)
    said = [replace(fit, trees=trees).log_odds(fold.late.matrix) for fit, fold in zip(kept, folds, strict=True)]
    return replace(kept[0].settings, trees=round(trees * _growth(folds))), said


def _growth(folds: Sequence[Fold]) -> float:
    return min(MOST_GROWTH, 1 / float(np.mean([fold.share for fold in folds])))


def _with_few_pairs(free: Sequence[Boosted], folds: Sequence[Fold], monotone: Sequence[int]) -> list[Boosted]:
    """Grow again on each fold with only the pairs that its free trees found worth it: then it takes more trees."""

    def grown(task: tuple[Boosted, Fold]) -> Boosted:
        fit, fold = task
        trees = replace(fit, trees=int(np.argmin(fit.losses)) + 1)
        pairs = trees.best_pairs(fold.early.matrix, fit.settings.pairs)
        return boost(fold.early, fit.settings, monotone, fold.late, pairs)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(grown, zip(free, folds, strict=True)))


def _trees(fits: Sequence[Boosted], folds: Sequence[Fold]) -> int:
    """Return how many trees tell users apart best: what a recalibration of each fold would mend does not count.

    On a cohort that ages, raw losses of later days are best at 27 and 67 trees for want of calibration alone, those of
    other users at 205 and 298; a recalibration follows anyway.
    """
    counts = [count for count in COUNTS if count <= fits[0].trees] or [fits[0].trees]
    losses = [_mended_loss(fits, folds, count) for count in counts]
    return counts[int(np.argmin(losses))]


def _mended_loss(fits: Sequence[Boosted], folds: Sequence[Fold], trees: int) -> float:
    losses = []
    for fit, fold in zip(fits, folds, strict=True):
        said = replace(fit, trees=trees).log_odds(fold.late.matrix)
        losses.append(log_loss(fold.late.churned, expit(recalibration(said, fold.late.churned).of(said))))
    return float(np.mean(losses))


def _curve(fits: Sequence[Boosted]) -> Float64s:
    """Return the mean log loss over folds after each tree; where growing ended early its last one goes on."""
    most = max(len(fit.losses) for fit in fits)
    curves = [[*fit.losses, *[fit.losses[-1]] * (most - len(fit.losses))] for fit in fits]
    return np.asarray(np.mean(curves, axis=0), np.float64)


def boost_best_pairs(rows: Rows, settings: Boosting, monotone: Sequence[int]) -> Boosted:
    """Grow trees freely on some rows, then on all rows with only the pairs of features that proved worth it."""
    some = rows.thinned(PAIR_ROWS)
    free = boost(some, settings, monotone)
    return boost(rows, settings, monotone, pairs=free.best_pairs(some.matrix, settings.pairs))
