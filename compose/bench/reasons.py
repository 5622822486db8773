"""Vectors a second that one core scores, with and without the three strongest reasons as the scores topic has them."""

import time
from collections.abc import Callable
from typing import Any

from churn.additive import AdditiveModel
from churn.model import Model, Scorer
from churn.reasons import Explainer
from compose.bench.fitted import models
from compose.bench.plan import DECLARATION, Bench
from compose.bench.vectors import Vectors
from feature_repo.declared import load

BLOCK_ROWS = 2000
"""As many vectors as the scorer gets in a block."""
BLOCKS = 50
SINGLE_ROWS = 500


def measure(bench: Bench) -> dict[str, Any]:
    """Measure a model of each kind; seconds are those of the processor, as other work on the machine is none of ours."""
    declaration = load(DECLARATION)
    vectors, found = Vectors(declaration), {}
    for kind, model in models(declaration, vectors).items():
        found[kind] = _measured(model, Explainer(declaration), vectors)
        bench.say(f"{kind}: {found[kind]['with_reasons_per_second']:,} vectors/s with reasons on one core")
    return found


def _measured(model: Model, explainer: Explainer, vectors: Vectors) -> dict[str, Any]:
    scorer = Scorer(model, "1")
    blocks = [vectors.block(number, BLOCK_ROWS) for number in range(2, 2 + BLOCKS)]
    for block in blocks[:2]:  # the first ones fetch tables and sentences
        explainer.explained(block, scorer.score(block).contributions)
    alone = _seconds(lambda: [scorer.score(block) for block in blocks])
    explained = _seconds(lambda: [explainer.explained(b, scorer.score(b).contributions) for b in blocks])
    rows = [blocks[0][row : row + 1] for row in range(SINGLE_ROWS)]
    single = _seconds(lambda: [explainer.explained(row, scorer.score(row).contributions) for row in rows])
    rows_scored = BLOCKS * BLOCK_ROWS
    return {
        "features": len(model.features),
        "pairs": len(model.pairs) if isinstance(model, AdditiveModel) else 0,
        "scored_per_second": round(rows_scored / alone),
        "with_reasons_per_second": round(rows_scored / explained),
        "single_row_microseconds": round(single / SINGLE_ROWS * 1e6),
    }


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
