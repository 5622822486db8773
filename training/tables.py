"""Boosted trees of depth two, summed into tables of one and two features, with their exact contributions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from churn.additive import UNIT, Curve, Pair
from churn.errors import DefectError
from churn.layout import Float64s
from training.binning import Codes

Mask = npt.NDArray[np.bool_]


@dataclass
class Tables:
    """A function of codes: a constant, curves by feature, tables by pairs of features (the smaller one first).

    `codes` says how many codes each feature has, the one for missing values included.
    """

    codes: Sequence[int]
    constant: float = 0.0
    curves: dict[int, Float64s] = field(default_factory=dict)
    pairs: dict[tuple[int, int], Float64s] = field(default_factory=dict)

    def add_curve(self, feature: int, values: Float64s) -> None:
        """Add a function of one feature's codes."""
        self.curves[feature] = self.curves.get(feature, np.zeros(self.codes[feature])) + values

    def add_pair(self, first: int, second: int, values: Float64s) -> None:
        """Add a function of two features' codes [first, second]."""
        if first > second:
            first, second, values = second, first, values.T
        old = self.pairs.get((first, second))
        self.pairs[first, second] = values if old is None else old + values


def tables_of(trees: Sequence[Mapping[str, Any]], codes: Sequence[int]) -> Tables:
    """Return the sum of LightGBM's trees (`dump_model()["tree_info"]`).

    Raises:
        DefectError: a tree is deeper than two, so that it is no sum of such tables.
    """
    tables = Tables(codes)
    for tree in trees:
        _add(tables, tree["tree_structure"])
    return tables


def _add(tables: Tables, root: Mapping[str, Any]) -> None:
    if "leaf_value" in root:
        tables.constant += root["leaf_value"]
        return
    feature = root["split_feature"]
    left = _goes_left(root, tables.codes[feature])
    for side, child in ((left, root["left_child"]), (~left, root["right_child"])):
        _add_branch(tables, feature, side, child)


def _add_branch(tables: Tables, feature: int, side: Mask, child: Mapping[str, Any]) -> None:
    """Add what a child of the root says where the root's feature is on its side, zero elsewhere."""
    if "leaf_value" in child:
        tables.add_curve(feature, side * child["leaf_value"])
        return
    other = child["split_feature"]
    values = [leaf.get("leaf_value") for leaf in (child["left_child"], child["right_child"])]
    if None in values:
        raise DefectError("a tree is deeper than two; train with max_depth=2")
    said = np.where(_goes_left(child, tables.codes[other]), *values)
    if other == feature:
        tables.add_curve(feature, side * said)
    else:
        tables.add_pair(feature, other, np.outer(side, said))


def _goes_left(node: Mapping[str, Any], codes: int) -> Mask:
    """Return which codes a node sends left, the missing value's last."""
    left = np.arange(codes) <= node["threshold"]
    # A feature that was never missing in training has no direction for it: LightGBM takes zero instead.
    left[-1] = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
    return np.asarray(left, np.bool_)


@dataclass(frozen=True)
class Contributions:
    """Tables as contributions in whole units, and the mean log-odds of the background."""

    curves: list[Curve]
    pairs: list[Pair]
    base: float


def contributions_of(tables: Tables, background: Codes, slope: float = 1.0, shift: float = 0.0) -> Contributions:
    """Return the exact interventional Shapley values of slope * tables + shift over background rows of codes."""
    base = slope * tables.constant + shift
    curves, pairs = [], []
    for feature, values in sorted(tables.curves.items()):
        mean = float(np.bincount(background[:, feature], minlength=len(values)) @ values) / len(background)
        curves.append(Curve(feature, _units(slope * (values - mean))))
        base += slope * mean
    for (first, second), values in sorted(tables.pairs.items()):
        shares, mean = _shapley(values, _joint(background, first, second, values.shape))
        pairs.append(Pair(first, second, *(_units(slope * share) for share in shares)))
        base += slope * mean
    return Contributions(curves, pairs, base)


def _joint(background: Codes, first: int, second: int, shape: tuple[int, ...]) -> Float64s:
    """Return how often each combination of codes occurs, as shares."""
    cells = background[:, first].astype(np.intp) * shape[1] + background[:, second]
    return np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape) / len(background)


def _shapley(values: Float64s, joint: Float64s) -> tuple[tuple[Float64s, Float64s], float]:
    """Return both features' shares of a table, and its mean (see `churn.additive`)."""
    of_first, of_second, mean = _means(values, joint)
    first = 0.5 * (values - of_second) + 0.5 * (of_first - mean)
    second = 0.5 * (values - of_first) + 0.5 * (of_second - mean)
    return (first, second), mean


def _means(values: Float64s, joint: Float64s) -> tuple[Float64s, Float64s, float]:
    """Return E f(x_i, X_j) as a column, E f(X_i, x_j) as a row, and E f."""
    of_first = (values * joint.sum(axis=0)).sum(axis=1)[:, None]
    of_second = (values * joint.sum(axis=1)[:, None]).sum(axis=0)[None, :]
    return of_first, of_second, float((joint * values).sum())


def _units(values: Float64s) -> list[int]:
    whole: list[int] = np.rint(values / UNIT).astype(np.int64).ravel().tolist()
    return whole


def pair_strengths(tables: Tables, background: Codes) -> dict[tuple[int, int], float]:
    """Return how much of each pair's table the two features could not say one by one: the mean square of what is left.

    What is left of f(x_i, x_j) is f - E f(x_i, X_j) - E f(X_i, x_j) + E f.
    """
    found = {}
    for (first, second), values in tables.pairs.items():
        joint = _joint(background, first, second, values.shape)
        of_first, of_second, mean = _means(values, joint)
        found[first, second] = float((joint * (values - of_first - of_second + mean) ** 2).sum())
    return found
