"""Errors of the online store that the shared tree does not know."""

from churn.errors import ChurnError


class FencedError(ChurnError):
    """Another worker took over what this one wrote for; nothing was written, stop writing and let go of the partition."""
