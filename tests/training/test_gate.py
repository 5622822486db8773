"""A model serves only if it is surely better than what is simple and no worse than what serves now."""

import numpy as np

from churn.layout import Float64s
from training.gate import GatePolicy, Holdout, Verdict, judge

CHANCE = np.random.default_rng(5)
ROWS = 6000
TRUE = 1 / (1 + np.exp(2 - 1.5 * CHANCE.normal(size=ROWS)))
CHURNED = CHANCE.random(ROWS) < TRUE
USERS = [f"u{n}" for n in CHANCE.integers(0, 2000, ROWS)]
PLANS = CHANCE.choice(np.array(["basic", "pro"]), ROWS)
HOLDOUT = Holdout(CHURNED, USERS, {"plan": PLANS})
CONSTANT = np.full(ROWS, CHURNED.mean())


def moved(log_odds: float | Float64s) -> Float64s:
    """Return the true probabilities moved by so much."""
    return 1 / (1 + np.exp(-(np.log(TRUE / (1 - TRUE)) + log_odds)))


def judged(candidate: Float64s, champion: Float64s | None = None, holdout: Holdout = HOLDOUT) -> Verdict:
    return judge(holdout, candidate, CONSTANT, champion, "version 3")


def failed(verdict: Verdict) -> list[str]:
    return [each.name for each in verdict.conditions if each.passed is False]


def test_a_better_model_passes() -> None:
    verdict = judged(TRUE, moved(0.5))
    assert verdict.promotes
    assert verdict.why[0].startswith("passed: log loss is below that of recency alone for sure: -0.")


def test_a_model_equal_to_the_champion_passes() -> None:
    assert judged(TRUE, TRUE).promotes


def test_a_model_that_is_worse_by_a_hair_which_chance_explains_passes() -> None:
    verdict = judged(moved(np.random.default_rng(1).normal(size=ROWS) * 0.02), TRUE)
    not_above = next(each for each in verdict.conditions if each.name == "champion_log_loss")
    assert not_above.low < 0 < not_above.seen < not_above.high < 0.003
    assert verdict.promotes


def test_a_model_that_is_surely_worse_fails_though_within_the_margin() -> None:
    verdict = judged(moved(0.12), TRUE)
    assert failed(verdict) == ["champion_log_loss"]


def test_a_model_no_better_than_recency_fails() -> None:
    verdict = judged(CONSTANT)
    assert failed(verdict) == ["floor_log_loss"]
    assert verdict.why[0].startswith("FAILED: log loss is below that of recency alone for sure: +0.0000")
    assert verdict.why[-1] == "not compared with a champion: version 3"


def test_a_model_that_is_better_by_luck_is_not_surely_better() -> None:
    few = Holdout(np.arange(40) % 2 == 0, [f"u{n}" for n in range(40)], {})
    half = np.full(40, 0.5)
    right_by_21_to_19 = np.where(np.arange(40) < 21, np.where(few.churned, 0.6, 0.4), np.where(few.churned, 0.42, 0.58))
    first = judge(few, right_by_21_to_19, half, None, "none").conditions[0]
    assert (first.name, first.passed) == ("floor_log_loss", False)
    assert first.seen < 0 < first.high


def test_a_model_worse_than_the_champion_fails() -> None:
    verdict = judged(moved(0.6), TRUE)
    assert failed(verdict)[:2] == ["champion_log_loss", "champion_margin"]
    assert verdict.why[0].startswith("FAILED: log loss is not surely above that of the champion, version 3: +0.0")


def test_a_model_that_says_too_much_fails_in_calibration_though_it_ranks_as_well() -> None:
    verdict = judged(moved(0.4), TRUE)
    calibration = next(each for each in verdict.conditions if each.name == "calibration")
    assert (calibration.passed, calibration.bound) == (False, 0.005)
    assert next(each for each in verdict.conditions if each.name == "champion_auc").seen == 0.0


def test_a_model_better_in_all_but_worse_for_one_plan_fails_there() -> None:
    spoilt_for_pro = moved(np.where(PLANS == "pro", 0.6, 0.0))
    verdict = judged(spoilt_for_pro, moved(np.where(PLANS == "pro", 0.0, 1.5)))
    assert failed(verdict) == ["segment:plan=pro"]
    assert "plan pro: log loss is not above the champion's" in verdict.why[0]


def test_a_segment_of_few_users_is_named_and_not_judged() -> None:
    rare = np.where(np.arange(ROWS) < 30, "rare", "usual")
    verdict = judged(TRUE, moved(np.where(rare == "rare", 0.0, 0.5)), Holdout(CHURNED, USERS, {"kind": rare}))
    assert [each.name for each in verdict.conditions if "segment" in each.name] == ["segment:kind=usual"]
    assert verdict.why[-1] == "segments not judged, under 500 rows or 50 churned: kind rare (30 rows, 8 churned)"


def test_drawing_rows_of_the_same_users_again_makes_nothing_surer() -> None:
    once = judged(TRUE, moved(0.1))
    five = np.tile(np.arange(ROWS), 5)
    repeated = Holdout(CHURNED[five], [USERS[row] for row in five], {})
    again = judge(repeated, TRUE[five], CONSTANT[five], moved(0.1)[five], "version 3")
    widths = [each.conditions[2].high - each.conditions[2].low for each in (once, again)]
    assert abs(widths[1] / widths[0] - 1) < 1e-6


def test_margins_are_the_policys() -> None:
    strict, loose = GatePolicy(champion_margin=0.0), GatePolicy(champion_margin=10.0)
    noisy = moved(CHANCE.normal(size=ROWS) * 0.2)
    verdicts = [judge(HOLDOUT, TRUE, CONSTANT, noisy, "", policy).conditions[3] for policy in (strict, loose)]
    assert [each.bound > 1 for each in verdicts] == [False, True]
    assert verdicts[1].passed
