"""A model card of a small hold-out, whose texts try to break out of the page."""

from datetime import UTC, datetime

import numpy as np

from churn.declaration import parse
from churn.evaluation import evaluate
from churn.model import Scored
from training.audit_log import Entry, Step
from training.card import Card, build
from training.card_of import sweeps_of, tried
from training.gate import Verdict
from training.monotone import Sweep
from training.report import Contender, Rivals, TrainingReport

NASTY = "a|b <script>alert(1)</script> `c` & *d*"
DECLARATION = parse(
    f"""
business: shop
version: 1
events: {{visit: {{activity: true}}}}
counters: {{visits: {{unit: visits, adds: {{visit: 1}}}}}}
features:
  visits_7d: {{sum: visits, windows: [7], says: "{{value}} visits {NASTY}"}}
  silence: {{days_since_last: activity, cap: 90, says: "no visit for {{value}} days"}}
label: {{horizon_days: 30}}
""",
    "test",
)
ROWS = 2000
CHANCE = np.random.default_rng(3)
LOG_ODDS = CHANCE.normal(-1.5, 1.0, (ROWS, 2))
PROBABILITY = 1 / (1 + np.exp(-LOG_ODDS.sum(axis=1) - 1))
CHURNED = CHANCE.random(ROWS) < PROBABILITY
KINDS = np.where(np.arange(ROWS) % 2 == 0, NASTY, "plain")


def card() -> Card:
    """Return the card of a model whose second feature weighs twice as much."""
    seen, floor = evaluate(CHURNED, PROBABILITY, 0.5), evaluate(CHURNED, np.full(ROWS, 0.2), 0.5)
    contenders = (
        Contender("boosted", 0.3, {"leaves": 4}, 1.0, 0.0, 2.0, seen, (Sweep("silence", 100, 3, 0.02),)),
        Contender("logistic", float("nan"), {}, 1.0, 0.0, 1.0, floor, (Sweep("silence", 100, 0, 0.0),)),
    )
    report = TrainingReport(
        model="churn", version="", feature_set_version="f00d", business="shop", trained_at="2026-03-01T00:00:00+00:00",
        events=10_000, users=900, archive_from="2025-10-01", archive_until="2026-02-28", horizon_days=30,
        train_as_ofs=("2025-12-01",), test_as_ofs=("2026-01-20", "2026-01-27"), train_rows=5000,
        train_positive_rate=0.2, sampled_share=1.0, chosen="boosted", candidates=contenders,
        evaluation=seen, rivals=Rivals(floor, None, None, None), verdict=Verdict(True, ("passed: fine",)), seconds={},
    )  # fmt: skip
    contributions = np.stack([LOG_ODDS[:, 0] * 0.1, LOG_ODDS[:, 1] * 0.2], axis=1)
    return build(
        report, DECLARATION, {"data_fingerprint": "abc123"}, [f"u{n // 2}" for n in range(ROWS)], CHURNED,
        Scored(PROBABILITY, contributions, 0.0), {"kind": KINDS},
        [tried(each, each.name == "boosted") for each in contenders], sweeps_of(report),
    )  # fmt: skip


def entry(step: Step, who: str, reason: str, number: int = 1) -> Entry:
    """Return an entry of the audit log about version 7."""
    at = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    return Entry(number, at, step, "churn", "7", who, reason, {}, "")
