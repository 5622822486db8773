"""Other businesses on the same code: a shop's receipts and the OULAD tables become features that Feast returns."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compose.kafka import KafkaServer
from compose.local import LocalStack
from compose.nursery import NurserySupervisor
from compose.processes import wait_until
from compose.redis_server import RedisServer
from feature_repo.layout import SERVICE
from feature_repo.store import default_registry, open_store
from tests.compose.shell import Shell, open_shell

DECLARATIONS = Path(__file__).resolve().parents[2] / "feature_repo" / "declarations"
MAPPING = str(DECLARATIONS / "examples" / "purchases_mapping.yaml")
RECEIPTS = """receipt;customer;sold_at;total;country
R-1;c17;05.01.2026 18:30;49.90;AT
R-2;c17;07.01.2026 00:30;10.10;AT
R-1;c17;05.01.2026 18:30;49.90;AT
R-3;c17;99.01.2026 00:30;1;AT
R-4;c18;19.01.2026 12:00;5;AT
"""
COURSE = "code_module,code_presentation"
STUDENT = f"{COURSE},id_student"
OULAD = {
    "courses.csv": f"{COURSE},module_presentation_length\nBBB,2013B,240\n",
    "assessments.csv": f"{COURSE},id_assessment,assessment_type,date,weight\nBBB,2013B,1,TMA,9,10\n",
    "studentAssessment.csv": "id_assessment,id_student,date_submitted,is_banked,score\n1,7,12,0,80\n",
    "studentRegistration.csv": f"{STUDENT},date_registration,date_unregistration\nBBB,2013B,7,-5,\nBBB,2013B,8,-3,12\n",
    "studentVle.csv": f"{STUDENT},id_site,date,sum_click\n"
    "BBB,2013B,7,100,0,3\nBBB,2013B,7,100,0,3\nBBB,2013B,7,200,0,1\nBBB,2013B,7,100,10,5\n",
    "vle.csv": f"id_site,{COURSE},activity_type,week_from,week_to\n100,BBB,2013B,forumng,?,?\n200,BBB,2013B,quiz,?,?\n",
}


@pytest.fixture(scope="module")
def shells(
    kafka: KafkaServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Shell]]:
    """Return a shell for each business, with topics, Feast's registry and a running features worker."""
    folder = tmp_path_factory.mktemp("businesses")
    found = {
        name: open_shell(kafka, redis_server, folder / name, CHURN_DECLARATION=str(DECLARATIONS / f"{name}.yaml"))
        for name in ("purchases", "oulad")
    }
    workers = LocalStack(folder, supervisor=NurserySupervisor(shared=True))
    with workers.supervisor:
        for name, shell in found.items():
            shell.succeed("topics")
            workers.start_service("features", name, extra=shell.variables, wait=False)
            shell.succeed("apply")
        for name in found:
            workers.wait_ready(name)
        yield found


def look_up(shell: Shell, user: str) -> dict[str, Any]:
    """Return a user's row as Feast's clients see it."""
    settings = shell.settings
    store = open_store(
        settings.feast_project, settings.redis_url.get_secret_value(), default_registry(settings.data_dir)
    )
    found = store.get_online_features(store.get_feature_service(SERVICE), [{"user_id": user}]).to_dict()
    return {name: values[0] for name, values in found.items()}


def wait_for(shell: Shell, user: str, feature: str, value: float) -> dict[str, Any]:
    wait_until(lambda: look_up(shell, user)[feature] == value, 30, f"{feature} of {user} is {value}")
    return look_up(shell, user)


def test_receipts_become_features_of_customers(shells: dict[str, Shell], tmp_path: Path) -> None:
    file = tmp_path / "receipts.csv"
    file.write_text(RECEIPTS, encoding="utf-8")
    lines = shells["purchases"].succeed("import", str(file), "--mapping", MAPPING).splitlines()
    assert lines[0].startswith(f"{file}: 5 rows read, 4 events published from 2026-01-05 17:30 to 2026-01-19 11:00")
    assert lines[2].startswith(f"  {file}:5: occurred_at: '99.01.2026 00:30'")
    # R-2 was sold at half past midnight in Vienna, which is 6 January in UTC.
    found = wait_for(shells["purchases"], "c17", "days_since_last_purchase", 13.0)
    expected = {
        "purchases_7d": 0.0, "purchases_14d": 1.0, "purchases_30d": 2.0,
        "purchase_days_7d": 0.0, "purchase_days_14d": 1.0, "purchase_days_30d": 2.0,
        "spent_7d": 0.0, "spent_14d": 10.1, "spent_30d": 60.0,
        "basket_14d": 10.1, "basket_30d": 30.0,
        "largest_day_7d": 0.0, "largest_day_30d": 49.9,
        "purchases_trend": 0.0, "spent_trend": 0.0,
        "purchases_total": 2.0, "spent_total": 60.0,
        "days_since_last_purchase": 13.0, "days_since_first_purchase": 14.0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert found["basket_7d"] is None


def test_oulad_rows_become_features_of_enrolments(shells: dict[str, Shell], tmp_path: Path) -> None:
    for name, text in OULAD.items():
        (tmp_path / name).write_text(text)
    said = shells["oulad"].succeed("oulad", str(tmp_path))
    assert said.startswith(f"{tmp_path}: 12 events published from 2013-01-27 to 2013-02-13")
    found = wait_for(shells["oulad"], "BBB-2013B-7", "days_since_last_activity", 2.0)
    expected = {
        "active_days_7d": 1.0, "active_days_14d": 2.0, "visits_7d": 1.0, "visits_14d": 4.0,
        "clicks_7d": 5.0, "clicks_14d": 12.0, "forum_clicks_14d": 11.0, "quiz_clicks_14d": 1.0, "quiz_clicks_7d": 0.0,
        "busiest_day_30d": 7.0, "forum_days_30d": 2.0, "quiz_days_30d": 1.0, "content_days_30d": 0.0,
        "days_since_first_activity": 12.0, "days_since_registration": 17.0, "days_since_last_forum": 2.0,
        "days_since_last_quiz": 12.0, "days_since_last_content": None, "days_since_last_submission": 0.0,
        "submissions_14d": 1.0, "score_30d": 80.0, "days_late_30d": 3.0, "days_early_30d": 0.0,
        "clicks_total": 12.0, "visits_total": 4.0, "registration_running": 1.0, "registration_unregistered": 0.0,
        "missed_deadlines_30d": 1.0, "days_since_deadline": 3.0, "submissions_per_deadline": 1.0, "gap_mean": 10.0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_who_withdrew_is_known_to_have(shells: dict[str, Shell]) -> None:
    found = wait_for(shells["oulad"], "BBB-2013B-8", "registration_unregistered", 1.0)
    assert (found["registration_running"], found["days_since_registration"]) == (0.0, 15.0)
    assert (found["days_since_last_activity"], found["clicks_total"]) == (None, 0.0)
