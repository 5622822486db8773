"""Words of many reasons at once are the words of each."""

import numpy as np

from churn.declaration import Declaration, parse
from churn.model import strongest
from churn.reasons import Explainer
from training.reason_texts import Phrasebook

DECLARED: Declaration = parse(
    """
business: test
events: {visit: {activity: true}}
registers: {plan: {attribute: plan, values: [pro]}}
features:
  visits_{window}d: {sum: activity, windows: [7, 30], says: "{value} visits in {window} days"}
  last: {days_since_last: activity, cap: 90, usual: visits_7d, says: "no visit for {value} days (usually {usual})"}
  plan_{value}: {is: plan, says: "plan is {value}"}
""",
    "test",
)
SPECIAL = [0.0, -0.0, -0.04, 0.05, 0.15, 0.25, 0.35, 89.94, 89.95, 89.96, 90.0, 1e6 + 0.0625, 2.0**23, np.inf, np.nan]


def test_words_of_many_rows_are_those_of_each_row() -> None:
    rng = np.random.default_rng(1)
    any_size = (rng.normal(size=(3000, 4)) * 10.0 ** rng.integers(-3, 30, (3000, 4))).astype(np.float32)
    matrix = np.where(rng.random((3000, 4)) < 0.7, rng.choice(np.array(SPECIAL, np.float32), (3000, 4)), any_size)
    contributions = np.tile([0.1, 0.4, 0.3, 0.2], (3000, 1))
    got = Phrasebook(DECLARED).texts(matrix, strongest(contributions, 3))
    said = [[got.sentences[code] for code in row] for row in got.codes.tolist()]
    assert said == [[r.text for r in row] for row in Explainer(DECLARED).explained(matrix, contributions, 3).reasons]


def test_values_that_show_alike_share_a_sentence() -> None:
    matrix = np.array([[2.01, 0, 5, 1], [2.04, 0, 5, 1], [2.06, 0, 5, 1]], np.float32)
    got = Phrasebook(DECLARED).texts(matrix, np.tile(np.array([0, 2]), (3, 1)))
    assert got.sentences == [
        "2 visits in 7 days", "no visit for 5 days (usually 2)",
        "2.1 visits in 7 days", "no visit for 5 days (usually 2.1)",
    ]  # fmt: skip
    assert got.codes.tolist() == [[0, 1], [0, 1], [2, 3]]
