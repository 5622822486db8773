"""The two plots of a model card as SVG, drawn with the colours of the page around them."""

from collections.abc import Callable, Sequence
from html import escape

from training.card import CalibrationPoint, LiftPoint

WIDTH, HEIGHT = 360, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 12, 44
Scale = Callable[[float], float]


def calibration_plot(points: Sequence[CalibrationPoint]) -> str:
    """Return what happened over what was said, with intervals; on the diagonal a probability is what it says."""
    most = _ceiling(max([point.said for point in points] + [point.happened.high for point in points]))
    across, up = _scales(most, most)
    parts = [_frame(most, most, "said: predicted probability", "happened: share that churned")]
    parts.append(_line([(0.0, 0.0), (most, most)], across, up, "ideal"))
    for point in points:
        x = across(point.said)
        low, high = up(point.happened.low), up(point.happened.high)
        parts.append(f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
    parts.append(_line([(p.said, p.happened.value) for p in points], across, up, "curve"))
    parts += [
        _dot(
            across(p.said), up(p.happened.value), f"said {p.said:.1%}, happened {p.happened.value:.1%}, {p.rows:,} rows"
        )
        for p in points
    ]
    return _svg("Calibration: what was said against what happened", parts)


def lift_plot(points: Sequence[LiftPoint], churn_rate: float) -> str:
    """Return the share of churned users found over the share of users contacted, riskiest first."""
    across, up = _scales(1.0, 1.0)
    parts = [_frame(1.0, 1.0, "share of users, riskiest first", "share of churned users among them")]
    parts.append(_line([(0.0, 0.0), (1.0, 1.0)], across, up, "ideal"))
    parts.append(_line([(0.0, 0.0), (churn_rate, 1.0), (1.0, 1.0)], across, up, "best"))
    parts.append(_line([(0.0, 0.0), *((p.share, p.found) for p in points)], across, up, "curve"))
    parts += [
        _dot(across(p.share), up(p.found), f"{p.share:.0%} of users hold {p.found:.1%} of churned, lift {p.lift:.1f}")
        for p in points
    ]
    return _svg("Lift: churned users found by contacting the riskiest", parts)


def _scales(most_x: float, most_y: float) -> tuple[Scale, Scale]:
    return (
        lambda x: LEFT + x / most_x * (WIDTH - LEFT - RIGHT),
        lambda y: HEIGHT - BOTTOM - y / most_y * (HEIGHT - TOP - BOTTOM),
    )


def _ceiling(value: float) -> float:
    """Return the next tenth above, at least 0.1.

    >>> _ceiling(0.43), _ceiling(0.0)
    (0.5, 0.1)
    """
    return min(1.0, max(1, int(value * 10 + 0.999)) / 10)


def _frame(most_x: float, most_y: float, below: str, beside: str) -> str:
    across, up = _scales(most_x, most_y)
    parts = []
    for step in range(6):
        x, y = most_x * step / 5, most_y * step / 5
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(y):.1f}" y2="{up(y):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{y:.0%}</text>')
        parts.append(f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:.0%}</text>')
    middle = (HEIGHT - BOTTOM + TOP) / 2
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(below)}</text>')
    turned = f'transform="rotate(-90 12 {middle})"'
    parts.append(f'<text x="12" y="{middle}" text-anchor="middle" {turned}>{escape(beside)}</text>')
    return "".join(parts)


def _line(points: Sequence[tuple[float, float]], across: Scale, up: Scale, kind: str) -> str:
    places = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
    return f'<polyline class="{kind}" points="{places}"/>'


def _dot(x: float, y: float, says: str) -> str:
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{escape(says)}</title></circle>'


def _svg(title: str, parts: Sequence[str]) -> str:
    head = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return f"{head}{''.join(parts)}</svg>"
