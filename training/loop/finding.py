"""What a monitor has found: figures beside the bound that they were held against, in words that a person can act on."""

from typing import Literal

import msgspec

Kind = Literal["behaviour", "score", "outcome", "quality"]
"""Drift of the inputs, of what the champion says, of how well it foretells; and data that are broken rather than new."""


class Finding(msgspec.Struct, frozen=True):
    """One alarm of one day (UTC day number).

    Attributes:
        what: the feature, event type or measure; empty where it is about everything.
        seen, bound: the figure and what it was held against, in the same unit.
        says: one sentence.
    """

    kind: Kind
    day: int
    what: str
    seen: float
    bound: float
    says: str
