"""Sentences of many reasons at once: each distinct one is put into words once, and rows refer to it by number.

A million users have three million reasons and a few thousand sentences, so the words cost next to nothing. They are the
explainer's own, so the daily files say what the stream and the API say.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from churn.declaration import Declaration
from churn.layout import Floats, Int64s
from churn.reasons import Explainer, tenths

Columns = npt.NDArray[np.intp]
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Texts:
    """Words of the reasons of n rows: the k-th reason of row i says `sentences[codes[i, k]]`."""

    codes: Codes
    sentences: list[str]


class Phrasebook:
    """Says features' values in the words of a declaration; `texts` may be called by several threads."""

    def __init__(self, declaration: Declaration) -> None:
        self._explainer = Explainer(declaration)
        names = declaration.feature_names
        # A feature without a usual one is held against itself, which distinguishes nothing more.
        self._beside = np.array([names.index(f.usual or f.name) for f in declaration.features], np.intp)

    def texts(self, matrix: Floats, columns: Columns) -> Texts:
        """Return the words of the features `columns` [n, k] of each row of float32 [n, features]."""
        values = _numbered(tenths(np.take_along_axis(matrix, columns, axis=1)).ravel())
        beside = _numbered(tenths(np.take_along_axis(matrix, self._beside[columns], axis=1)).ravel())
        count = int(values.max(initial=0)) + 1
        flat = columns.ravel()
        codes = _numbered((flat * count + values) * (int(beside.max(initial=0)) + 1) + beside)
        first = _first_places(codes)
        said = self._explainer.sentences(matrix[first // columns.shape[1]], flat[first, None])
        return Texts(codes.reshape(columns.shape), said)


def _numbered(keys: Int64s) -> Codes:
    """Return a number for each key, equal ones for equal keys, counted in the order in which keys first come.

    >>> _numbered(np.array([7, 3, 7])).tolist()
    [0, 1, 0]
    """
    # By hash: a tenth of the time of a sort.
    return np.asarray(pa.array(keys).dictionary_encode().indices.to_numpy(), np.int32)


def _first_places(codes: Codes) -> Columns:
    """Return where each number comes first.

    >>> _first_places(np.array([0, 1, 0, 2], np.int32)).tolist()
    [0, 1, 3]
    """
    first = np.zeros(int(codes.max(initial=-1)) + 1, np.intp)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first
