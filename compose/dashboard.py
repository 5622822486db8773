"""The Grafana dashboard made from `compose.panels`; `python -m compose.dashboard` writes it."""

import json
from pathlib import Path
from typing import Any

from compose.panels import ROWS, Panel, Query, Row, Shape

FILE = Path(__file__).resolve().parent / "grafana" / "dashboards" / "churn.json"
UID = "churn"
SCHEMA_VERSION = 41
"""Of Grafana 12; a newer Grafana migrates it when it loads the file."""
SCREEN_WIDTH = 24
STAT_HEIGHT, PLOT_HEIGHT = 4, 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def document(rows: tuple[Row, ...] = ROWS) -> dict[str, Any]:
    """Return the whole dashboard as Grafana's JSON model."""
    return {
        "uid": UID,
        "title": "Churn",
        "description": "From an event's arrival to a score, and everything that could hold it up.",
        "tags": ["churn"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,  # one crosshair over all panels
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_source_choice()]},
        "panels": _laid_out(rows),
    }


def _source_choice() -> dict[str, Any]:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
    }


def _laid_out(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    """Place panels from left to right, a new line when the screen's width is used up."""
    placed: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        placed.append(_heading(row.title, len(placed) + 1, top))
        top += 1
        left = line_height = 0
        for panel in row.panels:
            if left + panel.width > SCREEN_WIDTH:
                left, top, line_height = 0, top + line_height, 0
            place = {"x": left, "y": top, "w": panel.width, "h": _height(panel)}
            placed.append(_panel(panel, len(placed) + 1, place))
            left, line_height = left + panel.width, max(line_height, place["h"])
        top += line_height
    return placed


def _height(panel: Panel) -> int:
    return STAT_HEIGHT if panel.shape == "stat" else PLOT_HEIGHT


def _heading(title: str, number: int, top: int) -> dict[str, Any]:
    place = {"x": 0, "y": top, "w": SCREEN_WIDTH, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.shape,
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(query, index, panel.shape) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": _custom(panel)}, "overrides": []},
        "options": _options(panel),
    }


def _target(query: Query, index: int, shape: Shape) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + index),
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "format": "heatmap" if shape == "heatmap" else "time_series",
        "instant": query.instant,
        "range": not query.instant,
    }


def _custom(panel: Panel) -> dict[str, Any]:
    if panel.shape != "timeseries":
        return {}
    stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
    return {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 20 if panel.stacked else 5, "stacking": stacking}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.shape == "stat":
        text_mode = "name" if panel.names_only else "auto"
        calculation = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": calculation, "textMode": text_mode, "colorMode": "none", "graphMode": "none"}
    if panel.shape == "heatmap":
        colour = {"mode": "scheme", "scheme": "Blues", "steps": 64}
        return {"calculate": False, "color": colour, "yAxis": {"unit": "percentunit"}, "tooltip": {"mode": "single"}}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def text() -> str:
    """Return the file's content."""
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
