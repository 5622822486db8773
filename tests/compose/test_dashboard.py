"""The committed dashboard is the declared one, and every panel of it explains itself."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from compose import dashboard
from compose.panels import ROWS, Panel, Row, stat
from tests.compose.queries import PANELS, ROOT

DOCUMENT: dict[str, Any] = json.loads(dashboard.FILE.read_text())
PLACED: list[dict[str, Any]] = DOCUMENT["panels"]
GRAFANA = ROOT / "compose" / "grafana"


def provisioned(path: str) -> Any:
    return yaml.safe_load((GRAFANA / "provisioning" / path).read_text())


def cells(place: dict[str, int]) -> set[tuple[int, int]]:
    columns = range(place["x"], place["x"] + place["w"])
    return set(itertools.product(columns, range(place["y"], place["y"] + place["h"])))


def test_committed_file_is_what_the_declaration_gives() -> None:
    assert dashboard.FILE.read_text() == dashboard.text(), "run `python -m compose.dashboard`"


def test_address_of_the_dashboard_is_fixed() -> None:
    assert (DOCUMENT["uid"], DOCUMENT["schemaVersion"]) == ("churn", 41)


def test_panels_have_numbers_of_their_own() -> None:
    assert [panel["id"] for panel in PLACED] == list(range(1, len(PLACED) + 1))


def test_no_two_panels_share_a_place() -> None:
    taken = [cell for panel in PLACED for cell in cells(panel["gridPos"])]
    assert len(taken) == len(set(taken))
    assert max(column for column, _ in taken) == 23


def test_full_line_is_broken_before_the_panel_that_does_not_fit() -> None:
    row = Row("r", (stat("a", "a", "1", width=16), stat("b", "b", "1", width=8), stat("c", "c", "1", width=8)))
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard.document((row,))["panels"]]
    assert places == [(0, 0), (0, 1), (16, 1), (0, 5)]


def test_rows_are_the_parts_of_the_system() -> None:
    titles = [panel["title"] for panel in PLACED if panel["type"] == "row"]
    assert titles == [
        "The road at a glance", "Stream health", "Online store", "Scoring and model", "Archive", "Self-audit", "Learner",
        "The loop that looks after the models", "API",
    ]  # fmt: skip


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_panel_says_how_to_read_it(panel: Panel) -> None:
    assert panel.says.endswith(".")
    assert len(panel.says.split()) >= 5
    assert panel.queries


def test_titles_differ_within_a_row() -> None:
    for row in ROWS:
        assert len({panel.title for panel in row.panels}) == len(row.panels)


def test_every_query_asks_the_chosen_prometheus() -> None:
    asked = [each["datasource"] for panel in PLACED if panel["type"] != "row" for each in [panel, *panel["targets"]]]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in asked)
    (variable,) = DOCUMENT["templating"]["list"]
    assert (variable["name"], variable["type"]) == ("datasource", "datasource")


def test_first_choice_is_the_provisioned_prometheus() -> None:
    (source,) = provisioned("datasources/prometheus.yml")["datasources"]
    (variable,) = DOCUMENT["templating"]["list"]
    assert (source["uid"], source["url"]) == (variable["current"]["value"], "http://prometheus:9090")


def test_containers_mount_what_provisioning_reads() -> None:
    containers = yaml.safe_load((ROOT / "compose" / "docker-compose.yml").read_text())["services"]
    mounts = dict(volume.split(":")[:2] for volume in containers["grafana"]["volumes"])
    (provider,) = provisioned("dashboards/churn.yml")["providers"]
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    assert Path("compose/grafana/dashboards/churn.json") == dashboard.FILE.relative_to(ROOT)
