"""A model that is a sum of one- and two-feature tables, with exact contributions that cost a look-up.

The tables hold contributions, not values: for a table f of one feature, f(x) - E f; for a table of two features the
interventional Shapley values of both (Lundberg and Lee 2017), whose game has only two players,

    phi_i = 1/2 [f(x_i, x_j) - E f(X_i, x_j)] + 1/2 [E f(x_i, X_j) - E f(X_i, X_j)],  phi_j likewise,

over the background rows that training took. Shapley values of a sum are the sum of the Shapley values, so each
feature's contribution is exact, and base + contributions = log-odds.

Everything is a whole number of units of 2^-40 (1e-12), so no sum depends on its order, on the other rows, or on the
machine. Values are read to 8 significant bits (bfloat16; exact for integers up to 256), so a value's bin is one look-up
by the upper half of its float32: 2 ns, where a binary search takes 40 ns.
"""

from collections.abc import Iterator
from functools import cache

import msgspec
import numpy as np
import numpy.typing as npt

from churn.errors import DataError
from churn.golden import GoldenRow
from churn.layout import Float64s, Floats, Int64s

UNIT = 2.0**-40
"""Log-odds of one unit: rounding errors of 100 tables stay below 1e-10, and int64 holds 8 million."""
MAX_EDGES = 254
"""Codes are bytes: 255 bins and the code for a missing value."""
MAX_UNITS = 1 << 50
PATTERNS = 1 << 16
CHUNK_ROWS = 1024
"""1,024 rows x 70 features of index and result stay in the second level cache: 4,096 take half as long again."""


class Curve(msgspec.Struct, frozen=True):
    """Contributions of one feature, in units: one for each bin, then one for a missing value."""

    feature: int
    units: list[int]


class Pair(msgspec.Struct, frozen=True):
    """Contributions of two features, in units, by the bins of both: row by row, one row a bin of `first`."""

    first: int
    second: int
    first_units: list[int]
    second_units: list[int]


class AdditiveModel(msgspec.Struct, frozen=True, tag="additive", tag_field="kind"):
    """log-odds = base + sum of the contributions of curves and pairs.

    `edges` are each feature's rising bin edges, exact in bfloat16: bin k holds the values, cut to bfloat16, with
    edges[k-1] <= value < edges[k]. The code of a missing value follows that of the last bin.
    """

    name: str
    feature_set_version: str
    features: list[str]
    edges: list[list[float]]
    curves: list[Curve]
    pairs: list[Pair]
    base: float
    golden: list[GoldenRow]
    trained: dict[str, str | float | int]
    """Facts about the training: data range, rows, seed, metrics; shown, never computed with."""


def upper_bits(matrix: Floats) -> npt.NDArray[np.uint32]:
    """Return the upper half of each float32: sign, exponent and 7 bits."""
    return np.ascontiguousarray(matrix, dtype=np.float32).view(np.uint32) >> np.uint32(16)


def cut(values: npt.NDArray[np.floating]) -> Floats:
    """Return values cut to bfloat16, towards zero.

    >>> cut(np.array([3.0, 3.01, 256.0, 257.0])).tolist()
    [3.0, 3.0, 256.0, 256.0]
    """
    narrow = np.ascontiguousarray(values, dtype=np.float32)
    return (narrow.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


@cache
def _patterns() -> tuple[npt.NDArray[np.intp], Floats]:
    """Return the bfloat16 patterns in the order of their values, NaNs last, and the values."""
    values = (np.arange(PATTERNS, dtype=np.uint32) << np.uint32(16)).view(np.float32)
    # Bits of infinity with another lower half are a NaN, but none that arithmetic makes.
    order = np.argsort(values, kind="stable")
    return order, values[order]


def code_table(edges: list[float]) -> npt.NDArray[np.uint8]:
    """Return the code of each bfloat16 pattern: how many edges are not above its value; one more than the bins if NaN."""
    order, values = _patterns()
    table = np.empty(PATTERNS, np.uint8)
    codes = np.searchsorted(np.array(edges, np.float32), values, side="right")
    table[order] = np.where(np.isnan(values), len(edges) + 1, codes)
    return table


class AdditiveForm:
    """An additive model as arrays, ready to be applied."""

    def __init__(self, model: AdditiveModel) -> None:
        self.base = model.base
        self._width = len(model.features)
        in_pairs = {feature for pair in model.pairs for feature in (pair.first, pair.second)}
        alone = [curve for curve in model.curves if curve.feature not in in_pairs]
        self._used = np.array(sorted(in_pairs | {curve.feature for curve in alone}), np.intp)
        place = {feature: row for row, feature in enumerate(self._used.tolist())}
        self._codes = np.concatenate(
            [code_table(model.edges[f]) for f in self._used.tolist()] or [np.zeros(0, np.uint8)]
        )
        self._offsets = (np.arange(len(self._used), dtype=np.intp) * PATTERNS)[:, None]
        self._lay_out(model, alone, place)

    def _lay_out(self, model: AdditiveModel, alone: list[Curve], place: dict[int, int]) -> None:
        """Put all tables behind one another; a curve of a feature with pairs is added to its first pair's table."""
        curves = {curve.feature: np.array(curve.units, np.int64) for curve in model.curves}
        tables, first, second, strides = [], [], [], []
        for pair in model.pairs:
            sizes = (len(model.edges[pair.first]) + 2, len(model.edges[pair.second]) + 2)
            both = np.stack(
                [np.array(u, np.int64).reshape(sizes) for u in (pair.first_units, pair.second_units)], axis=2
            )
            both[:, :, 0] += curves.pop(pair.first, np.zeros(sizes[0], np.int64))[:, None]
            both[:, :, 1] += curves.pop(pair.second, np.zeros(sizes[1], np.int64))[None, :]
            tables.append(both.reshape(-1, 2))
            first.append(place[pair.first])
            second.append(place[pair.second])
            strides.append(sizes[1])
        self._pairs = list(zip(first, second, strict=True))
        self._singles = [place[curve.feature] for curve in alone]
        tables += [np.stack([curves[curve.feature], np.zeros(len(curve.units), np.int64)], axis=1) for curve in alone]
        self._table = np.concatenate(tables or [np.zeros((0, 2), np.int64)])
        starts = np.cumsum([0, *(len(table) for table in tables)])[:-1]
        self._starts = starts.astype(np.intp)[:, None]
        self._rows = np.array(first + self._singles, np.intp)
        self._columns = np.array(second, np.intp)
        self._strides = np.array(strides, np.intp)[:, None]

    def parts(self, matrix: Floats) -> tuple[Float64s, Float64s]:
        """Return each feature's contribution [n, features] and the log-odds [n], the same whatever the other rows."""
        contributions = np.zeros((len(matrix), self._width))
        log_odds = np.empty(len(matrix))
        for start in range(0, len(matrix), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            units = self._units(matrix[rows])
            contributions[rows, self._used] = units.T * UNIT
            log_odds[rows] = self.base + units.sum(axis=0) * UNIT
        return contributions, log_odds

    def _units(self, matrix: Floats) -> Int64s:
        """Return the contributions of used features, in units [used, n]."""
        codes = self._codes.take(upper_bits(matrix).T[self._used].astype(np.intp) + self._offsets)
        cells = codes[self._rows].astype(np.intp)
        pairs = cells[: len(self._pairs)]
        pairs *= self._strides
        pairs += codes[self._columns]
        cells += self._starts
        found = self._table.take(cells, axis=0)
        units = np.zeros((len(self._used), len(matrix)), np.int64)
        # One addition a table: twice as fast as np.add.reduceat over the tables of a feature.
        for number, (first, second) in enumerate(self._pairs):
            units[first] += found[number, :, 0]
            units[second] += found[number, :, 1]
        for number, feature in enumerate(self._singles, len(self._pairs)):
            units[feature] += found[number, :, 0]
        return units


def check_shape(model: AdditiveModel, where: str) -> None:
    """Raise DataError unless every table fits the bins of its features."""
    for problem in _problems(model):
        raise DataError(f"{where}: {problem}")


def _problems(model: AdditiveModel) -> Iterator[str]:
    count = len(model.features)
    if len(model.edges) != count:
        yield f"{len(model.edges)} lists of edges for {count} features"
        return
    for name, edges in zip(model.features, model.edges, strict=True):
        kept = np.array(edges, np.float32)
        exact = np.array_equal(cut(kept).astype(np.float64), np.array(edges, np.float64))
        if len(edges) > MAX_EDGES or not exact or not (np.diff(kept) > 0).all():
            yield f"the edges of {name} are not at most {MAX_EDGES} rising bfloat16 numbers"
    places = [curve.feature for curve in model.curves] + [f for pair in model.pairs for f in (pair.first, pair.second)]
    if any(not 0 <= place < count for place in places) or any(pair.first == pair.second for pair in model.pairs):
        yield "a table names a feature that the model does not have, or one twice"
        return
    if len({curve.feature for curve in model.curves}) < len(model.curves):
        yield "two curves are of the same feature"
    yield from _sizes(model)


def _sizes(model: AdditiveModel) -> Iterator[str]:
    codes = [len(edges) + 2 for edges in model.edges]
    wanted = [(curve.units, codes[curve.feature]) for curve in model.curves]
    for pair in model.pairs:
        wanted += [(units, codes[pair.first] * codes[pair.second]) for units in (pair.first_units, pair.second_units)]
    for units, size in wanted:
        if len(units) != size:
            yield f"a table holds {len(units)} numbers for {size} combinations of bins"
        elif max(map(abs, units)) > MAX_UNITS:
            yield "a table holds a contribution beyond 1,000 in log-odds"
