"""`churn chaos`: hurts a system of its own for a while and says what differs afterwards."""

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import click

from compose.figures import json_option, write_figures


@click.command()
@click.option("--faults", default=40, show_default=True, help="how many faults")
@click.option("--seed", default=1, show_default=True, help="which faults and events")
@click.option("--seconds", default=3600.0, show_default=True, help="begin no fault after so long")
@click.option(
    "--outage-seconds", default=10.0, show_default=True, help="how long Kafka, then Redis, is away at the end"
)
@click.option("--rate", default=200.0, show_default=True, help="events a second")
@click.option("--users", default=500, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".local/chaos"), show_default=True)
@json_option
@click.pass_context
def chaos(context: click.Context, /, folder: Path, json_file: Path | None, **options: Any) -> None:
    """Kill, freeze and starve a system of its own under load; exit code 1 when anything is not exact afterwards."""
    from compose.chaos.campaign import Plan, run
    from compose.chaos.report import figures, table
    from compose.chaos.stage import staged

    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr, flush=True)

    place = folder.absolute()
    shutil.rmtree(place, ignore_errors=True)
    with staged(place) as stage:
        result = run(stage, Plan(**options), say)
    shown = figures(result) | {"seconds": round(time.monotonic() - began, 1), "plan": options}
    for line in table(shown):
        click.echo(line)
    write_figures(json_file, shown)
    if result.count or shown["spinning"]:
        click.echo(f"churn: {result.count} differences; data and logs are in {place}", err=True)
        context.exit(1)
    shutil.rmtree(place / "kafka", ignore_errors=True)
