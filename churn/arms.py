"""Who is served by which challenger: a stable hash gives each user a place in [0, 1), challengers hold intervals of it.

The intervals follow each other from 0 on, in the order of the lineup and as wide as the shares. So a share that grows keeps
its users and takes others from the champion; only those of a challenger further on move up when one before it changes.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from churn.layout import Float64s

PERSON = b"churn-arms"
"""Makes this hash another than the one that samples users to learn from: who is learnt from says nothing of the split."""
BITS = 53
"""All that a float64 holds below 1."""

Arms = npt.NDArray[np.intp]


def places(users: Sequence[str]) -> Float64s:
    """Return each user's place, float64 [users] in [0, 1): the same in every process and for all time.

    >>> places(["u1", "u2"]).tolist()
    [0.7997992072415684, 0.31606023304736053]
    """
    hashed = b"".join(blake2b(user.encode(), digest_size=8, person=PERSON).digest() for user in users)
    return (np.frombuffer(hashed, "<u8") >> np.uint64(64 - BITS)) / float(1 << BITS)


def arms(users: Sequence[str], shares: Sequence[float]) -> Arms:
    """Return by whom each user is served: the number of a share, or `len(shares)` for the champion.

    Nobody is hashed while no share is above 0.

    >>> arms(["u1", "u2"], [0.0, 0.0]).tolist()
    [2, 2]
    """
    if not any(shares):
        return np.full(len(users), len(shares), np.intp)
    return np.searchsorted(np.cumsum(shares), places(users), side="right")
