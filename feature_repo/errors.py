"""Errors of the online store that the shared tree does not know."""

from churn.errors import ChurnError


class EmptiedError(ChurnError):
    """The online store lost what was written before; nothing was written, write whole rows of everybody."""


class FencedError(ChurnError):
    """Another worker took over what this one wrote for; nothing was written, stop writing and let go of the partition."""
