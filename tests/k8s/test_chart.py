"""What of the chart can be held against the code without helm; k8s/check.sh renders and validates the rest."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from churn.settings import Settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "k8s" / "churn"
TEMPLATES = {path.name: path.read_text() for path in sorted((CHART / "templates").iterdir())}
VARIABLES = {f"CHURN_{name.upper()}" for name in Settings.model_fields}


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return document


def overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return the values as helm merges them: maps key by key, anything else replaced."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = overlaid(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def objects(part: Any) -> list[dict[str, Any]]:
    """Return every part of a schema that declares fields."""
    if isinstance(part, list):
        return [found for item in part for found in objects(item)]
    if not isinstance(part, dict):
        return []
    own = [part] if part.get("type") == "object" and "properties" in part else []
    return own + [found for item in part.values() for found in objects(item)]


def refused(**values: Any) -> bool:
    merged = overlaid(load(CHART / "values.yaml"), values)
    return not jsonschema.Draft7Validator(schema()).is_valid(merged)


@pytest.mark.parametrize("above", [None, ROOT / "k8s" / "ci-values.yaml"])
def test_values_keep_to_their_schema(above: Path | None) -> None:
    values = overlaid(load(CHART / "values.yaml"), load(above) if above else {})
    assert [error.message for error in jsonschema.Draft7Validator(schema()).iter_errors(values)] == []


def test_schema_is_strict_everywhere() -> None:
    assert [part for part in objects(schema()) if part.get("additionalProperties") is not False] == []


def test_schema_describes_exactly_the_values_that_exist() -> None:
    assert set(schema()["properties"]) - {"global"} == set(load(CHART / "values.yaml"))


def test_every_setting_can_be_set_in_exactly_one_place() -> None:
    elsewhere = schema()["properties"]["settings"]["properties"]
    chart = set(re.findall(r"^  (CHURN_\w+):", TEMPLATES["configmap.yaml"] + TEMPLATES["secret.yaml"], re.MULTILINE))
    assert chart | set(elsewhere) == VARIABLES
    assert chart & set(elsewhere) == {"CHURN_DECLARATION"}


def test_templates_read_only_values_that_exist() -> None:
    values = load(CHART / "values.yaml")
    for name, template in TEMPLATES.items():
        for path in re.findall(r"\.Values\.([\w.]+)", template):
            part: Any = values
            for key in path.split("."):
                assert key in part, f"{name} reads .Values.{path}, which values.yaml does not have"
                part = part[key]


def test_chart_and_project_are_of_one_version() -> None:
    chart = load(CHART / "Chart.yaml")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_pods_get_no_service_links() -> None:
    # Kubernetes would set CHURN_API_PORT=tcp://... for a Service named churn-api, and the settings would refuse it.
    assert "\nenableServiceLinks: false\n" in TEMPLATES["_pod.tpl"]
    pods = [name for name, template in TEMPLATES.items() if "containers:" in template]
    assert pods == ["api.yaml", "cronjobs.yaml", "seed.yaml", "workers.yaml"]
    assert all('include "churn.podPlacement"' in TEMPLATES[name] for name in pods)


def test_containers_are_confined() -> None:
    for line in (
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "capabilities: {drop: [ALL]}",
        "automountServiceAccountToken: false",
    ):
        assert line in TEMPLATES["_pod.tpl"]


def test_user_number_is_that_of_the_images() -> None:
    dockerfile = (ROOT / "compose" / "docker" / "Dockerfile.stream").read_text()
    assert "USER 10001:10001" in dockerfile
    assert "runAsUser: 10001" in TEMPLATES["_pod.tpl"]


def test_daily_scoring_never_overlaps_and_lets_the_command_find_the_day() -> None:
    template = TEMPLATES["cronjobs.yaml"]
    assert "concurrencyPolicy: Forbid" in template
    assert '(list "score" "--as-of" "today")' in template


def test_a_second_learner_is_refused() -> None:
    assert refused(workers={"learner": {"replicas": 2}})


def test_a_second_keeper_is_refused() -> None:
    assert refused(workers={"keeper": {"replicas": 2}})


def test_a_second_audit_is_refused() -> None:
    assert refused(workers={"audit": {"replicas": 2}})


def test_an_unknown_setting_is_refused() -> None:
    assert refused(settings={"CHURN_NO_SUCH_SETTING": "1"})


def test_sasl_without_a_user_is_refused() -> None:
    assert refused(kafka={"securityProtocol": "SASL_SSL"})
    assert not refused(kafka={"securityProtocol": "SASL_SSL", "saslMechanism": "PLAIN", "saslUsername": "churn"})


def test_two_declarations_at_once_are_refused() -> None:
    assert not refused(settings={"CHURN_DECLARATION": "feature_repo/declarations/elearning.yaml"})
    assert refused(declaration={"configMap": "ours"}, settings={"CHURN_DECLARATION": "a.yaml"})
