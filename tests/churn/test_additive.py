"""Sums of tables: codes, exact contributions, refusal of what does not fit."""

import msgspec
import numpy as np
import pytest

from churn.additive import UNIT, AdditiveModel, Curve, Pair, code_table, cut
from churn.errors import DataError
from churn.model import Scored, Scorer, decode, encode

ONE = round(1 / UNIT)


def model() -> AdditiveModel:
    """Return a model of a (two bins) alone, of a and b (one bin) together; c is not used."""
    curve = Curve(0, [0, 2 * ONE, -ONE])
    pair = Pair(0, 1, [ONE, 0, 0, 3 * ONE, 0, 0], [5 * ONE, 0, 0, 7 * ONE, 0, 0])
    return AdditiveModel("m", "abc", ["a", "b", "c"], [[1.0], [], []], [curve], [pair], -1.0, [], {})


def random_model(random: np.random.Generator, features: int = 7) -> AdditiveModel:
    """Return a model with a curve for every feature and some pairs."""
    edges = [sorted({float(e) for e in cut(random.normal(0, 5, 12))}) for _ in range(features)]
    codes = [len(e) + 2 for e in edges]

    def units(count: int) -> list[int]:
        return [int(u) for u in random.integers(-ONE, ONE, count)]

    curves = [Curve(f, units(codes[f])) for f in range(features)]
    pairs = [
        Pair(a, b, units(codes[a] * codes[b]), units(codes[a] * codes[b])) for a, b in ((0, 1), (2, 1), (0, 3), (5, 4))
    ]
    return AdditiveModel("m", "abc", [f"f{f}" for f in range(features)], edges, curves, pairs, 0.25, [], {})


def score(*rows: list[float]) -> Scored:
    return Scorer(model(), "1").score(np.array(rows, np.float32))


def test_contributions_by_hand() -> None:
    scored = score([0.0, 9.0, 1.0], [1.0, 9.0, np.nan], [np.nan, np.nan, 0.0])
    assert scored.contributions.tolist() == [[1.0, 5.0, 0.0], [2.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]
    assert np.log(scored.probability / (1 - scored.probability)) == pytest.approx([5.0, 1.0, -2.0])


def test_a_row_scores_the_same_bits_alone_and_among_others() -> None:
    random = np.random.default_rng(1)
    scorer = Scorer(random_model(random), "1")
    matrix = random.normal(0, 6, (3000, 7)).astype(np.float32)
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    together = scorer.score(matrix)
    alone = [scorer.score(row[None]) for row in matrix]
    assert np.array_equal(np.concatenate([a.contributions for a in alone]), together.contributions)
    assert np.array_equal(np.concatenate([a.probability for a in alone]), together.probability)


def test_base_and_contributions_sum_to_the_log_odds() -> None:
    random = np.random.default_rng(2)
    scored = Scorer(random_model(random), "1").score(random.normal(0, 6, (500, 7)).astype(np.float32))
    log_odds = np.log(scored.probability / (1 - scored.probability))
    assert np.allclose(scored.base + scored.contributions.sum(axis=1), log_odds, atol=1e-12)


def test_codes_are_what_a_binary_search_says_of_cut_values() -> None:
    random = np.random.default_rng(3)
    values = np.concatenate([random.normal(0, 50, 5000), [0.0, -0.0, np.inf, -np.inf, 1e-42]]).astype(np.float32)
    edges = sorted({float(e) for e in cut(random.normal(0, 50, 100))})
    got = code_table(edges)[values.view(np.uint32) >> 16]
    assert got.tolist() == np.searchsorted(np.array(edges, np.float32), cut(values), side="right").tolist()
    assert code_table(edges)[np.array([np.nan], np.float32).view(np.uint32) >> 16].tolist() == [len(edges) + 1]


def test_a_model_survives_its_json() -> None:
    assert decode(encode(model()), "test") == model()


def test_a_model_without_tables_says_its_base() -> None:
    bare = msgspec.structs.replace(model(), curves=[], pairs=[], base=0.0)
    assert Scorer(bare, "1").score(np.zeros((2, 3), np.float32)).probability.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(("change", "why"), [
    ({"edges": [[1.0], []]}, "2 lists of edges for 3 features"),
    ({"edges": [[1.001], [], []]}, "the edges of a are not"),
    ({"edges": [[2.0, 1.0], [], []]}, "the edges of a are not"),
    ({"edges": [[1.0, 2.0], [], []]}, "3 numbers for 4 combinations"),
    ({"curves": [Curve(3, [0, 0])]}, "does not have"),
    ({"curves": [Curve(1, [0, 0]), Curve(1, [0, 0])]}, "two curves"),
    ({"pairs": [Pair(1, 1, [0] * 4, [0] * 4)]}, "one twice"),
    ({"curves": [Curve(1, [0, 1 << 60])]}, "beyond 1,000"),
])  # fmt: skip
def test_tables_that_do_not_fit_are_refused(change: dict[str, object], why: str) -> None:
    with pytest.raises(DataError, match=f"here: .*{why}"):
        decode(encode(msgspec.structs.replace(model(), **change)), "here")
