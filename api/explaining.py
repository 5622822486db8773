"""Exact contributions of every feature, with the words of the declaration."""

import msgspec

from churn.declaration import Declaration
from churn.layout import Floats
from churn.model import Float64s, Scored
from churn.reasons import TOP_REASONS, Explainer
from churn.scores import Reason


class ExactExplainer:
    """Names reasons with contributions to the last bit, so that they sum to the score."""

    def __init__(self, declaration: Declaration) -> None:
        """Prepare the sentences."""
        self._explainer = Explainer(declaration)
        self._columns = {name: column for column, name in enumerate(declaration.feature_names)}

    def strongest(self, matrix: Floats, scored: Scored) -> list[list[Reason]]:
        """Return the three strongest reasons of each row."""
        return self._named(matrix, scored.contributions, TOP_REASONS)

    def all(self, matrix: Floats, scored: Scored) -> list[list[Reason]]:
        """Return a reason for every feature of each row, strongest first."""
        return self._named(matrix, scored.contributions, len(self._columns))

    def _named(self, matrix: Floats, contributions: Float64s, count: int) -> list[list[Reason]]:
        rows = self._explainer.reasons(matrix, contributions, count)
        return [self._exact(row, shares) for row, shares in zip(rows, contributions, strict=True)]

    def _exact(self, reasons: list[Reason], shares: Float64s) -> list[Reason]:
        return [msgspec.structs.replace(r, contribution=float(shares[self._columns[r.feature]])) for r in reasons]
