"""`churn models contest`: who foretells matured labels best, from the outcomes topic."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from churn.errors import InputError
from churn.settings import Settings
from compose.figures import json_option, write_figures

if TYPE_CHECKING:
    from training.bootstrap import Interval, Measured
    from training.loop.contest import Contest
    from training.loop.matured import Contestant
    from training.registry import Registry


@click.command()
@json_option
@click.pass_obj
def contest(settings: Settings, json_file: Path | None) -> None:
    """Compare champion, previous, challengers and online learner on the labels that matured in the last 31 days."""
    from compose.registry_commands import registry_of
    from training.loop.standings import split, standings

    registry = registry_of(settings)
    serving = registry.champion()
    if serving is None:
        raise InputError("no model has been promoted yet; run `churn train`")
    gathered = _gathered(settings)
    champion = _contestant(registry, serving.version)
    table = [_row(each) for each in standings(gathered, champion, _others(registry))]
    lineup = registry.lineup()
    shares = [_arm(each) for each in split(gathered, champion, lineup)] if lineup is not None and lineup.split else []
    for row in (*table, *shares):
        click.echo(row["says"])
    if not table:
        click.echo(
            "no matured label that the champion did not learn from yet; the learner publishes them as they mature"
        )
    write_figures(json_file, {"standings": table, "arms": shares})


def _gathered(settings: Settings) -> "Contest":
    from churn.blocks import decode_outcomes
    from churn.topics import OUTCOMES
    from compose.look_commands import kafka_answers, read_to_end
    from training.loop.contest import Contest

    kafka_answers(settings)
    found = Contest()
    for value in read_to_end(settings, OUTCOMES):
        block = decode_outcomes(value)
        if block.users:
            found.take(block)
    return found


def _others(registry: "Registry") -> "dict[str, Contestant]":
    from training.loop.matured import Contestant

    previous, lineup = registry.previous, registry.lineup()
    found = {"previous": _contestant(registry, previous)} if previous is not None else {}
    for each in lineup.challengers if lineup is not None else []:
        found[f"challenger {each.version}"] = _contestant(registry, each.version)
    return found | {"online": Contestant("online", -1, -1)}


def _contestant(registry: "Registry", version: str) -> "Contestant":
    from training.loop.matured import contestant

    return contestant(registry.model(version), version, 0)


def _row(each: Any) -> dict[str, Any]:
    figures = {"role": each.role, "version": each.version, "rows": each.rows, **_measures(each.measures)}
    beside = f"; log loss beside the champion's {each.beside}" if each.beside is not None else ""
    says = f"{each.role:12} version {each.version:>4}  {each.rows:>8,} labels  {_says(each.measures)}{beside}"
    return figures | {"beside": _interval(each.beside) if each.beside is not None else None, "says": says}


def _arm(each: Any) -> dict[str, Any]:
    measures = _measures(each.measures) if each.measures is not None else {}
    told = _says(each.measures) if each.measures is not None else "one class only"
    gone = f"{each.gone.value:.1%} gone [{each.gone.low:.1%}, {each.gone.high:.1%}]"
    says = f"served by    version {each.version:>4}  {each.rows:>8,} labels  {gone}  {told}"
    return {"version": each.version, "rows": each.rows, "gone": _interval(each.gone), **measures, "says": says}


def _says(found: "Measured") -> str:
    named = (("log loss", found.log_loss), ("AUC", found.auc), ("calibration error", found.ece))
    return "  ".join(f"{name} {each.value:.4f} [{each.low:.4f}, {each.high:.4f}]" for name, each in named)


def _measures(found: "Measured") -> dict[str, Any]:
    return {name: _interval(getattr(found, name)) for name in ("log_loss", "auc", "ece")}


def _interval(found: "Interval") -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}
