"""Every alert fires on the trouble it is named after, stays silent otherwise, and says what to do."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compose.queries import ALERTS, PROMETHEUS, RULES

RULES_FILE = PROMETHEUS / "rules.yml"
MINUTES = 180
"""Longer than any window (1 h) plus any waiting time (1 h) of a rule."""
Series = dict[str, str]
SLOW, FAST = ("_bucket{%sle='0.01'}", "_bucket{%sle='10'}", "_bucket{%sle='+Inf'}"), "0+600x180"


def histogram(name: str, labels: str, *, fast: bool) -> Series:
    """Return a histogram of ten observations a second, each 10 ms or less, or each between 10 ms and 10 s."""
    quick, slow, all_of_them = (name + suffix % labels for suffix in SLOW)
    return {quick: FAST if fast else "0x180", slow: FAST, all_of_them: FAST, f"{name}_count{{{labels}}}": FAST}


def healthy() -> Series:
    """Return a system in which nothing is wrong, in promtool's notation: start + step x minutes."""
    series = {
        "up{job='features', instance='f'}": "1x180",
        "churn_ready{job='features', instance='f'}": "1x180",
        "churn_consumer_lag_records{job='features', partition='0'}": "20000x180",
        "churn_events_total{job='features', instance='f'}": "0+6000x180",
        "churn_duplicate_events_total{job='features', instance='f'}": "0+6x180",
        "churn_dead_letters_total{reason='contract'}": "0+6x180",
        "churn_scores_total{band='low'}": "0+6000x180",
        "churn_unscored_rows_total": "0x180",
        "churn_refused_models_total{job='scorer', instance='s'}": "0x180",
        "churn_champion_promoted_seconds{job='scorer'}": "60x180",
        "churn_champion_info{job='scorer', version='2'}": "1x180",
        "churn_champion_info{job='api', version='2'}": "1x180",
        "churn_keeper_gave_up": "0x180",
        "churn_keeper_rollbacks_total{cause='guard'}": "0x180",
        "churn_keeper_alarms_total{finding='behaviour'}": "0x180",
        "churn_keeper_champion_age_days": "6.9x180",
        "churn_archived_events_total": "0+6000x180",
        "churn_audit_checked_total": "0+60x180",
        "churn_audit_mismatches_total{feature='sessions_7d'}": "0x180",
        "churn_audit_waiting_rows": "60x180",
        "churn_http_requests_total{route='/users/{user_id}', status='200'}": "0+600x180",
        "churn_http_requests_total{route='/users/{user_id}', status='503'}": "0x180",
        "churn_http_requests_total{route='/ready', status='503'}": "0+600x180",
    }
    series |= histogram("churn_freshness_seconds", "hop='score', ", fast=True)
    series |= histogram("churn_checkpoint_seconds", "job='features', instance='f', ", fast=True)
    series |= histogram("churn_online_write_seconds", "job='features', ", fast=True)
    return series | histogram("churn_http_request_seconds", "route='/', ", fast=True)


TROUBLE: dict[str, Series] = {
    "ChurnProcessDown": {"up{job='features', instance='f'}": "0x180"},
    "ChurnNotReady": {"churn_ready{job='features', instance='f'}": "0x180"},
    "ChurnLagGrowing": {"churn_consumer_lag_records{job='features', partition='0'}": "0+600x180"},
    "ChurnFreshnessSlow": histogram("churn_freshness_seconds", "hop='score', ", fast=False),
    "ChurnDeadLetters": {"churn_dead_letters_total{reason='contract'}": "0+600x180"},
    "ChurnNoScores": {"churn_scores_total{band='low'}": ""},
    "ChurnUnscoredRows": {"churn_unscored_rows_total": "0+60x180"},
    "ChurnModelRefused": {"churn_refused_models_total{job='scorer', instance='s'}": "_x150 1x29"},
    "ChurnRolledBack": {"churn_keeper_rollbacks_total{cause='guard'}": "0x150 1x29"},
    "ChurnDrift": {"churn_keeper_alarms_total{finding='behaviour'}": "0x150 1x29"},
    "ChurnTrainingGivenUp": {"churn_keeper_gave_up": "1x180"},
    "ChurnChampionNotRenewed": {"churn_keeper_champion_age_days": "7.1x180"},
    "ChurnVersionsDiffer": {"churn_champion_info{job='api', version='1'}": "1x180"},
    "ChurnArchiveStalled": {"churn_archived_events_total": "0x180"},
    "ChurnAuditMismatch": {"churn_audit_mismatches_total{feature='sessions_7d'}": "0x150 1x29"},
    "ChurnAuditStalled": {"churn_audit_checked_total": "7x180"},
    "ChurnCheckpointsStalled": {"churn_checkpoint_seconds_count{job='features', instance='f', }": "7x180"},
    "ChurnCheckpointsSlow": histogram("churn_checkpoint_seconds", "job='features', instance='f', ", fast=False),
    "ChurnOnlineWritesSlow": histogram("churn_online_write_seconds", "job='features', ", fast=False),
    "ChurnApiErrors": {"churn_http_requests_total{route='/users/{user_id}', status='503'}": "0+60x180"},
    "ChurnApiSlow": histogram("churn_http_request_seconds", "route='/', ", fast=False),
}


@pytest.fixture(scope="session")
def promtool(require_tool: Callable[..., Path]) -> Path:
    return require_tool("promtool")


def firing(
    promtool: Path, folder: Path, series: Series, step_minutes: int = 1, steps: int = MINUTES, rules: Path = RULES_FILE
) -> set[str]:
    """Return the alerts that fire at the end: promtool is told that none does, and lists those that do."""
    step = f"{step_minutes}m"
    inputs = [{"series": name, "values": values} for name, values in series.items() if values]
    nobody = [{"eval_time": f"{step_minutes * steps}m", "alertname": name, "exp_alerts": []} for name in ALERTS]
    tests = [{"interval": step, "input_series": inputs, "alert_rule_test": nobody}]
    document = {"rule_files": [str(rules)], "evaluation_interval": step, "tests": tests}
    file = folder / "test.json"  # JSON is YAML
    file.write_text(json.dumps(document))
    run = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    found = set(re.findall(r"alertname: (\w+),", run.stderr))
    assert (run.returncode == 0) == (not found), run.stdout + run.stderr
    return found


@pytest.mark.parametrize(("kind", "file"), [("config", "prometheus.yml"), ("rules", "rules.yml")])
def test_promtool_accepts_the_file(kind: str, file: str, promtool: Path) -> None:
    argv = [str(promtool), "check", kind, str(PROMETHEUS / file)]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert "SUCCESS" in run.stdout, run.stdout + run.stderr
    assert run.returncode == 0


def test_healthy_system_is_silent(promtool: Path, tmp_path: Path) -> None:
    assert firing(promtool, tmp_path, healthy()) == set()


@pytest.mark.parametrize("name", TROUBLE)
def test_alert_fires_on_its_trouble_and_no_other_does(name: str, promtool: Path, tmp_path: Path) -> None:
    assert firing(promtool, tmp_path, healthy() | TROUBLE[name]) == {name}


@pytest.mark.parametrize(("days", "fires"), [(29, set()), (32, {"ChurnChampionOld"})])
def test_champion_is_old_after_30_days(days: int, fires: set[str], promtool: Path, tmp_path: Path) -> None:
    # Two rules alone: all 27 take 14 s over a month. Five minutes are the longest step that Prometheus looks back.
    names = {"churn:champion_age_days:max", "ChurnChampionOld"}
    rules = [rule for rule in RULES if rule.get("record", rule.get("alert")) in names]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "champion", "rules": rules}]}))
    promoted = {"churn_champion_promoted_seconds{job='scorer'}": f"60x{days * 288}"}
    assert firing(promtool, tmp_path, promoted, 5, days * 288, tmp_path / "rules.json") == fires


def test_every_alert_has_its_trouble_here() -> None:
    assert ALERTS.keys() - TROUBLE.keys() == {"ChurnChampionOld"}


def test_champion_that_was_never_promoted_is_not_old(promtool: Path, tmp_path: Path) -> None:
    never = {"churn_champion_promoted_seconds{job='scorer'}": "0x180"}
    assert firing(promtool, tmp_path, healthy() | never) == set()


@pytest.mark.parametrize("name", ALERTS)
def test_alert_says_what_is_wrong_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert len(rule["annotations"]["description"].split()) >= 20
    assert "for" in rule or name == "ChurnModelRefused"
