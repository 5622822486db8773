"""What the stream says of a user at a moment of the past, and whether somebody else comes to the same vector.

A vector is a function of two numbers and the log: the UTC day of `as_of`, from which every window is counted back, and
`source_offset`, below which every event of the user's partition is in it. The time within the day changes nothing, and
neither do wall clocks, batch sizes or restarts. So the pair that stands on every block and every score is enough to
compute the vector again from the archive, to the bit.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from churn.layout import DAY_US, Floats
from churn.population import Mask

HASH_DIGITS = 8
"""Hexadecimal digits of the hash that decide about a user: 32 bits, so a share is met to 2^-32."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One user as of one time of the partition's clock; events of the partition below `source_offset` are known."""

    user: str
    partition: int
    as_of_us: int
    source_offset: int

    @property
    def day(self) -> int:
        """Return the UTC day number that windows are counted back from."""
        return self.as_of_us // DAY_US


def first_beyond(as_of_us: int) -> int:
    """Return the earliest event time that takes the partition's clock past `as_of`, and so ends what is known then.

    A midnight knows everything strictly before it. Any other time knows the events of that microsecond too, because
    an emission between midnights carries the time of the newest event in it (a microsecond more when that event is of
    a midnight, so that no emission that holds it is as of the midnight itself).

    >>> first_beyond(3 * DAY_US) - 3 * DAY_US, first_beyond(3 * DAY_US + 5) - 3 * DAY_US
    (0, 6)
    """
    return as_of_us if as_of_us % DAY_US == 0 else as_of_us + 1


def differing(emitted: Floats, recomputed: Floats) -> Mask:
    """Return boolean [users, features]: where two float32 matrices differ in any bit; NaN equals NaN.

    >>> differing(np.array([[1.0, np.nan]], np.float32), np.array([[1.5, np.nan]], np.float32)).tolist()
    [[True, False]]
    """
    left, right = (np.ascontiguousarray(matrix, np.float32).view(np.int32) for matrix in (emitted, recomputed))
    return np.asarray(left != right, np.bool_)


@dataclass(frozen=True)
class Sample:
    """Always the same users, about this share of all; the rule is plain enough for SQL to follow it too."""

    share: float

    @property
    def limit(self) -> str:
        """Return the text that the first digits of a chosen user's SHA-256 stay below.

        >>> Sample(0.5).limit, Sample(1.0).limit
        ('80000000', 'g')
        """
        digits = f"{int(self.share * 16**HASH_DIGITS):0{HASH_DIGITS}x}"
        return digits if len(digits) == HASH_DIGITS else "g"  # sorts behind every digit

    def rows(self, users: Sequence[str]) -> list[int]:
        """Return the positions of the chosen users.

        >>> len(Sample(0.5).rows([f"user-{i}" for i in range(1000)]))
        497
        """
        limit, digest = self.limit, hashlib.sha256
        return [row for row, user in enumerate(users) if digest(user.encode()).hexdigest()[:HASH_DIGITS] < limit]
