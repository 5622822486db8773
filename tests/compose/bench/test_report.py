import json
from pathlib import Path
from typing import Any

import pytest

from compose.bench import report

ROW = {"events_per_second": 1000, "worker_cpu_us_per_event": 2.5}
SHOWN = {"arrival_to_features_p50_ms": 1.0, "arrival_to_features_p99_ms": 2.0}
SCORED = {"arrival_to_stored_score_p50_ms": 3.0, "arrival_to_stored_score_p99_ms": 4.0}
FIGURES: dict[str, Any] = {
    "machine": {"cpu_count": 2, "system": "Linux | here"},
    "peers": {
        "versions": {"quix": "quixstreams 3.28.1"},
        "skipped": {"pathway": "no wheel"},
        "stream": {"skewed_live": ROW},
        "quix": {"skewed_live": {**ROW, "events_per_second": 100}},
        "ratio": {"quix": {"skewed_live": 10.0}},
    },
    "freshness": {"rate_5": {"offered_events_per_second": 5.0, **SHOWN, **SCORED, "cpu_cores": {"load": 0.1}}},
    "scale": {"users_10": {"users": 10, "worker_cpu_us_per_event": 5.0, "worker_rss_bytes_per_user": 900}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    report.write(out, FIGURES, {"peers": ("quix", "pathway"), "users": 200_000})
    return out


def test_the_page_shows_every_figure(folder: Path) -> None:
    page = (folder / "report.md").read_text()
    assert "Sizes: peers quix pathway, users 200,000." in page
    assert "| system | Linux / here |" in page
    assert "| stream skewed_live | 1,000 | 2.5 |\n| quix skewed_live | 100 | 2.5 |" in page
    assert "skipped:\n\n| figure | value |\n| --- | --- |\n| pathway | no wheel |" in page
    assert "| cpu_cores.load | 0.1 |" in page


def test_every_plot_that_has_figures_is_drawn(folder: Path) -> None:
    assert sorted(path.name for path in folder.glob("*.svg")) == ["freshness.svg", "peers.svg", "scale.svg"]
    assert "![peers](peers.svg)" in (folder / "report.md").read_text()


def test_a_figure_is_one_number_with_its_path(folder: Path) -> None:
    numbers = json.loads((folder / "bench.json").read_text())
    assert numbers["peers.quix.skewed_live.events_per_second"] == 100
    assert numbers["freshness.rate_5.cpu_cores.load"] == 0.1
