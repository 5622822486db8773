"""`churn simulate`: a year of the synthetic business, once quiet and once with changes, through the real components."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from compose.figures import json_option, write_figures


@click.command()
@click.option("--users", default=5000, show_default=True, help="users who have joined by the end of the year")
@click.option("--days", default=365, show_default=True, help="days that are lived through one by one")
@click.option("--warm-up", default=120, show_default=True, help="days of history before them, published in one go")
@click.option("--seed", default=1, show_default=True, help="same seed, same business")
@click.option("--quiet", is_flag=True, help="only the year in which nothing changes")
@click.option(
    "--drift",
    "drifts",
    multiple=True,
    help="KIND:DAY, e.g. price-rise:120 (repeatable): only a year with these changes",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(".local/simulated"), show_default=True,
    help="gets timeline and plot of each year",
)  # fmt: skip
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".local/simulate"), show_default=True)
@json_option
def simulate(folder: Path, out: Path, json_file: Path | None, **options: Any) -> None:
    """Prove the loop: simulate a year, watch alarms, trainings, promotions and rollbacks, judge what was served.

    Without --quiet and --drift two years are simulated, one after the other: a quiet one, and one with a payment
    outage, a wave of bots, a price rise and a new type of lesson.
    """
    from compose.simulation.plot import draw
    from compose.simulation.report import EXPLAINED, figures, summary, timeline
    from compose.simulation.year import run

    out.mkdir(parents=True, exist_ok=True)
    found, lines = {}, [EXPLAINED]
    for plan in plans(**options):
        told = run(plan, folder.absolute(), datetime.now(UTC).date(), click.echo)
        drawn = out / f"{plan.name}.svg"
        draw(told, drawn)
        (out / f"{plan.name}.txt").write_text("\n".join([*timeline(told), *summary(told)]) + "\n", encoding="utf-8")
        click.echo("\n".join(timeline(told)))
        lines += [*summary(told), f"plot: {drawn}"]
        found[plan.name] = figures(told)
        if not told.whole:
            lines.append(f"{plan.name}: ended by Ctrl-C after {len(told.judged)} days; the bars speak of those alone")
            break
    click.echo("\n".join(lines))
    write_figures(json_file, found)


def plans(users: int, days: int, warm_up: int, seed: int, quiet: bool, drifts: tuple[str, ...]) -> Any:
    """Return the years that the options ask for; of so few days that no change falls on them only the quiet one."""
    from compose.simulation.schedule import Plan, episodes_of

    quietly, changing = Plan(users, days, warm_up, seed), Plan(users, days, warm_up, seed, episodes_of(drifts, days))
    if quiet or not changing.episodes:
        return [quietly]
    return [changing] if drifts else [quietly, changing]
