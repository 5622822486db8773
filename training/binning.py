"""Values as small whole numbers: bins that boosted trees learn on and that tables are looked up by."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from churn.additive import MAX_EDGES, code_table, cut, upper_bits
from churn.layout import Floats

Codes = npt.NDArray[np.uint8]


def edges_of(values: Floats, bins: int) -> list[float]:
    """Return rising edges that part these values, cut to bfloat16, into at most `bins` bins of about equal size.

    Few distinct values get a bin each; missing ones do not count.

    >>> edges_of(np.array([1, 1, 2, 5, np.nan], np.float32), 64)
    [2.0, 5.0]
    """
    kept = cut(values[~np.isnan(values)])
    distinct = np.unique(kept)
    if len(distinct) > min(bins, MAX_EDGES):
        places = np.linspace(0, 1, min(bins, MAX_EDGES) + 1)[1:-1]
        distinct = np.unique(np.append(distinct[0], np.quantile(kept, places, method="inverted_cdf")))
    return [float(edge) for edge in distinct[1:]]


def codes_of(matrix: Floats, edges: Sequence[list[float]]) -> Codes:
    """Return each value's code [n, features]: its bin, or one more than the last bin for a missing value."""
    upper = upper_bits(matrix)
    return np.stack([code_table(each)[upper[:, column]] for column, each in enumerate(edges)], axis=1)


def as_inputs(codes: Codes, edges: Sequence[list[float]]) -> Floats:
    """Return codes as float32 with NaN for missing, as boosting libraries want them."""
    inputs = codes.astype(np.float32)
    inputs[codes == np.array([len(each) + 1 for each in edges], np.uint8)] = np.nan
    return inputs
