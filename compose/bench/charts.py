"""Plots of the report, as SVG files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]
OURS, THEIRS = "#1b7f5c", "#9aa5b1"
SIZE = (9.0, 3.6)


def peers(found: Figures, file: Path) -> bool:
    """Draw events a second and CPU an event of every engine; returns whether there was anything to draw."""
    engines = {name: row for name, row in found.items() if any(str(load).endswith("_live") for load in row)}
    engines.pop("ratio", None)
    loads = sorted({load for row in engines.values() for load in row})
    if not loads:
        return False

    def draw(axes: Sequence[Any]) -> None:
        for axis, figure in zip(axes, ("events_per_second", "worker_cpu_us_per_event"), strict=True):
            _bars(axis, engines, loads, figure)

    return _save(file, 2, draw)


def _bars(axis: Any, engines: Figures, loads: Sequence[str], figure: str) -> None:
    height = 0.8 / len(loads)
    for place, load in enumerate(loads):
        names = [name for name in engines if load in engines[name]]
        values = [engines[name][load][figure] for name in names]
        at = [list(engines).index(name) + place * height for name in names]
        colours = [OURS if name == "stream" else THEIRS for name in names]
        bars = axis.barh(at, values, height * 0.9, color=colours, alpha=1 - 0.35 * place)
        axis.bar_label(bars, [f"{_short(value)} {load.partition('_')[0]}" for value in values], fontsize=7, padding=2)
    axis.set_yticks([number + 0.4 - height / 2 for number in range(len(engines))], list(engines))
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.margins(x=0.45)
    axis.set_title(f"{_words(figure)} (log scale)", fontsize=9)


def freshness(found: Figures, file: Path) -> bool:
    """Draw how long events took to show, by rate."""
    rates = [row for name, row in found.items() if name.startswith("rate_")]
    if not rates:
        return False
    rates.sort(key=lambda row: float(row["offered_events_per_second"]))

    def draw(axes: Sequence[Any]) -> None:
        for axis, what in zip(axes, ("arrival_to_features", "arrival_to_stored_score"), strict=True):
            for share in ("p50", "p99"):
                name = f"{what}_{share}_ms"
                _line(axis, [row["offered_events_per_second"] for row in rates], [row[name] for row in rates], share)
            axis.set_title(f"{_words(what)}, ms", fontsize=9)
            axis.set_xlabel("events a second")
            axis.set_ylim(bottom=0)
            axis.legend()

    return _save(file, 2, draw)


def scale(found: Figures, file: Path) -> bool:
    """Draw what an event and a user cost, by users."""
    rows = sorted(found.values(), key=lambda row: int(row["users"]))
    if not rows:
        return False

    def draw(axes: Sequence[Any]) -> None:
        for axis, figure in zip(axes, ("worker_cpu_us_per_event", "worker_rss_bytes_per_user"), strict=True):
            _line(axis, [row["users"] for row in rows], [row[figure] for row in rows], figure)
            axis.set_title(_words(figure), fontsize=9)
            axis.set_xlabel("users")
            axis.set_ylim(bottom=0)

    return _save(file, 2, draw)


def _line(axis: Any, across: Sequence[float], up: Sequence[float], label: str) -> None:
    axis.plot(across, up, marker="o", label=label)
    axis.set_xscale("log")
    for x, y in zip(across, up, strict=True):
        axis.annotate(_short(y), (x, y), textcoords="offset points", xytext=(0, 5), fontsize=7)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _save(file: Path, columns: int, draw: Callable[[Sequence[Any]], None]) -> bool:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    draw(figure.subplots(1, columns))
    figure.savefig(file)
    return True
