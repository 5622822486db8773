"""`churn oracle`: how far the models come on a synthetic business that they have not seen."""

from pathlib import Path

import click

from churn.settings import Settings
from compose.figures import json_option, write_figures
from compose.progress import Progress


@click.command()
@click.option("--users", default=20_000, show_default=True, help="users of each business")
@click.option("--days", default=210, show_default=True, help="days of each business, at least 130")
@click.option("--train-seed", default=1, show_default=True, help="the business to learn from")
@click.option("--test-seed", default=2, show_default=True, help="the business to be judged by, on later days")
@json_option
@click.pass_obj
def oracle(settings: Settings, json_file: Path | None, users: int, days: int, train_seed: int, test_seed: int) -> None:
    """Train on one synthetic business, judge on later days of another: the way from recency to what can be known."""
    from compose.bench.ways import Trial, lines, measure
    from feature_repo.declared import load

    trial = Trial(users, days, train_seed, test_seed)
    figures = measure(trial, load(settings.declaration), Progress("oracle").show)
    for line in lines(figures):
        click.echo(line)
    write_figures(json_file, figures)
