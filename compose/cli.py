"""The command line: `churn COMMAND`. Commands import what they need when they run, so that help is quick."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from churn.errors import ChurnError, InputError, OutageError
from churn.settings import Settings
from compose import (
    contest_command,
    dataset_commands,
    keeper_commands,
    letter_commands,
    look_commands,
    model_commands,
    online_commands,
    oracle_command,
    past_commands,
    produce_commands,
    registry_commands,
    score_command,
)
from compose.bench.command import bench
from compose.chaos.command import chaos
from compose.environment import read_settings, settings_table
from compose.figures import json_option, write_figures
from compose.simulation.command import simulate

EXIT_INPUT, EXIT_DEFECT, EXIT_OUTAGE = 2, 1, 75


class Commands(click.Group):
    """Turns errors of the system into one sentence and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(context)
        except ChurnError as error:
            click.echo(f"churn: {error}", err=True)
            sys.exit(_exit_code(error))


def _exit_code(error: ChurnError) -> int:
    if isinstance(error, InputError):
        return EXIT_INPUT
    return EXIT_OUTAGE if isinstance(error, OutageError) else EXIT_DEFECT


@click.group(cls=Commands)
@click.pass_context
def main(context: click.Context) -> None:
    """Event-driven churn prediction. Settings are CHURN_* variables (`churn settings`)."""
    context.obj = read_settings(os.environ)


@main.command()
def settings() -> None:
    """Print every setting with its default and meaning."""
    click.echo(settings_table())


@main.command()
@click.pass_obj
def topics(settings: Settings) -> None:
    """Create the topics that are missing."""
    from compose.topic_admin import ensure_topics

    created = ensure_topics(settings)
    click.echo(f"created {', '.join(created)}" if created else "all topics exist")


@main.command()
@click.argument("name", type=click.Choice(["features", "scorer", "archive", "learner", "audit", "keeper"]))
@click.pass_obj
def worker(settings: Settings, name: str) -> None:
    """Run one stream worker until SIGTERM."""
    from compose.workers import run

    run(name, settings)


@main.command()
@click.pass_obj
def apply(settings: Settings) -> None:
    """Register entity, views and service with Feast."""
    from compose.seeding import apply_feast

    click.echo(apply_feast(settings))


@main.command()
@click.pass_context
def seed(context: click.Context) -> None:
    """Do what a new installation needs once: topics and Feast; safe to repeat."""
    context.invoke(topics)
    context.invoke(apply)


@main.command()
@click.option("--into", help="copy every event to topics of this prefix and of CHURN_PARTITIONS partitions instead")
@json_option
@click.pass_obj
def rebuild(settings: Settings, into: str | None, json_file: Path | None) -> None:
    """Build the state anew from the archive and the log, after the declaration or the number of partitions changed."""
    from compose.rebuilding import rebuild_all, rebuild_into

    figures = rebuild_into(settings, into, click.echo) if into else rebuild_all(settings, click.echo)
    write_figures(json_file, figures)


@main.command()
@click.pass_obj
def api(settings: Settings) -> None:
    """Serve the API and the live page until SIGTERM."""
    from api.serve import run
    from feature_repo.declared import load

    run(settings, load(settings.declaration))


@main.command()
@click.option("--out", type=click.Path(path_type=Path), help="write one file a topic to this folder")
def schemas(out: Path | None) -> None:
    """Print the JSON Schema of every public topic."""
    from churn.schemas import schemas_by_topic

    for name, schema in schemas_by_topic().items():
        text = json.dumps(schema, indent=2, sort_keys=True)
        if out is None:
            click.echo(text)
        else:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{name}.schema.json").write_text(text + "\n", encoding="utf-8")


@main.command()
@click.option("--users", default=20_000, show_default=True)
@click.option("--days", default=120, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--rate", default=200.0, show_default=True, help="extra live visits a second")
@click.option("--exit", "leave", is_flag=True, help="end by itself after a look at the live stream")
@click.option("--watch-seconds", default=15.0, show_default=True, help="how long to look")
@click.option("--oulad", type=click.Path(path_type=Path), help="run on the OULAD data set in this folder instead")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".local/demo"), show_default=True)
@json_option
def demo(folder: Path, oulad: Path | None, json_file: Path | None, **options: Any) -> None:
    """Run everything on this machine: history, stream, training, live scoring, addresses to try."""
    from compose import demo as synthetic
    from compose import oulad_demo

    plan = synthetic.Plan(**options)
    place = folder.absolute()
    figures = oulad_demo.run(place, oulad.absolute(), plan) if oulad else synthetic.run(place, plan)
    write_figures(json_file, figures)


main.add_command(produce_commands.produce)
main.add_command(produce_commands.import_command)
main.add_command(produce_commands.oulad)
main.add_command(dataset_commands.dataset)
main.add_command(model_commands.train)
main.add_command(keeper_commands.retrain)
main.add_command(keeper_commands.keeper)
main.add_command(oracle_command.oracle)
main.add_command(score_command.score)
registry_commands.models.add_command(contest_command.contest)
main.add_command(registry_commands.models)
registry_commands.models.add_command(online_commands.enroll_online)
main.add_command(look_commands.tail)
main.add_command(look_commands.lookup)
main.add_command(past_commands.features)
main.add_command(past_commands.audit)
main.add_command(letter_commands.dead_letters)
main.add_command(bench)
main.add_command(chaos)
main.add_command(simulate)
