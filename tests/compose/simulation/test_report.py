"""What a year comes to, in lines and figures, and its picture."""

import math
from pathlib import Path

from compose.simulation.judging import Judged
from compose.simulation.plot import draw
from compose.simulation.report import figures, spent, summary, timeline
from compose.simulation.schedule import Episode, Plan
from compose.simulation.timeline import Happening
from compose.simulation.year import Told

TOLD = Told(
    Plan(users=300, days=3, warm_up=90, seed=1, episodes=(Episode("payment-outage", 1),)),
    [
        Judged(0, 200, 0.25, 0.25, 0.2, 0.3, 0.3),
        Judged(1, 200, 0.26, 0.28, 0.2, 0.4, math.nan),
        Judged(2, 200, 0.27, 0.29, 0.2),
    ],
    [
        Happening(-1, "promoted", "1", "passed the gate"),
        Happening(2, "alarm", "", "payments failed", {"kind": "quality", "what": "payment_failed"}),
        Happening(2, "registered", "2", "drift"),
    ],
    seconds=90.0,
    warm_up_seconds=60.0,
    day_seconds=[0.5, 0.7, 9.0],
)


def test_changes_and_steps_stand_in_the_order_of_days() -> None:
    assert timeline(TOLD) == [
        "day  -1  promoted         1  passed the gate",
        "day   1  --- payment-outage begins",
        "day   2  alarm               payments failed",
        "day   2  registered       2  drift",
        "day   5  --- payment-outage has come to its end",
    ]


def test_time_is_told_apart_by_what_it_was_spent_on() -> None:
    assert spent(TOLD) == "60 s before the year, 1 s on 2 days (0.60 s each), 9 s on 1 days with a training"


def test_the_summary_counts_steps_and_names_every_bar() -> None:
    lines = summary(TOLD)
    assert lines[0] == "drift: 3 days of 300 users in 1.5 minutes; 1 promoted, 1 alarm, 1 registered"
    assert lines[2] == "realised log loss of 1 matured midnights: live 0.3000, never retrained 0.3000"
    assert lines[3] == ("pass  payment-outage detected: after 1 days, by quality payment_failed (bar: within 7 days)")
    assert [line[:4] for line in lines[3:]] == ["pass", "MISS", "pass", "pass"]


def test_the_figures_hold_each_day() -> None:
    days = figures(TOLD)["days"]
    assert [day["day"] for day in days] == [0, 1, 2]
    assert math.isclose(days[1]["distance"], 0.06)


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    draw(TOLD, tmp_path / "drift.svg")
    drawn = (tmp_path / "drift.svg").read_text()
    assert "<svg" in drawn
    assert len(drawn) > 10_000
