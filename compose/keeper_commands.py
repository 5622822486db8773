"""Commands about the keeper: ask it for a training, see what it knows and what is due; and how it starts a training."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from churn.settings import Settings
from compose.figures import json_option, write_figures
from compose.registry_commands import by_option, reason_option

if TYPE_CHECKING:
    from training.loop.runs import Order
    from training.loop.state import KeeperState
    from training.loop.triggers import Triggers
    from training.plan import Plan


ABSENT = "no keeper works just now: start it with `churn worker keeper`"


def training_command(plan: "Plan", order: "Order") -> list[str]:
    """Return the command line of a training: the same that a person would type, with the keeper's time and reason."""
    from training.loop.runs import TIMEOUT_SECONDS

    # A minute later than the keeper would end it, were it there.
    limit = ("--time-limit-seconds", str(int(TIMEOUT_SECONDS) + 60))
    how = (*plan.words, "--now", order.now.isoformat(), "--run", order.run, *limit)
    why = ("--by", order.who, "--reason", order.reason)
    return [sys.executable, "-m", "compose", "train", "--json", str(order.figures), *how, *why]


def keeper_dir(settings: Settings) -> Path:
    """Return the folder of the keeper's state, requests and runs."""
    return settings.models_dir / "keeper"


@click.command()
@by_option
@reason_option
@json_option
@click.pass_obj
def retrain(settings: Settings, who: str, reason: str, json_file: Path | None) -> None:
    """Ask the keeper for a training; it begins at once, or after the one that is going on."""
    from training.loop.presence import works
    from training.loop.requests import Request, ask
    from training.obstacles import refuse_for, unnamed

    refuse_for(unnamed(who, reason))
    key = ask(keeper_dir(settings) / "requests", Request(who, reason, datetime.now(UTC)))
    click.echo(
        f"asked for a training (request {key}); `churn keeper status` and `churn models log` tell what becomes of it"
    )
    if not works(keeper_dir(settings)):
        click.echo(f"{ABSENT}; the request waits for it", err=True)
    write_figures(json_file, {"request": key})


@click.group()
def keeper() -> None:
    """Show what looks after the models."""


@keeper.command()
@json_option
@click.pass_obj
def status(settings: Settings, json_file: Path | None) -> None:
    """Print what was seen, what is due, what cools down and what goes on."""
    import msgspec

    from training.loop.presence import works
    from training.loop.requests import asked

    folder, state = keeper_dir(settings), state_of(settings)
    waiting = [f"asked for by {cause.who}, and not taken yet: {cause.reason}" for cause in asked(folder / "requests")]
    absent = [] if works(folder) else [ABSENT]
    for line in (*lines(state), *waiting, *absent):
        click.echo(line)
    write_figures(json_file, msgspec.to_builtins(state))


def state_of(settings: Settings) -> "KeeperState":
    """Return what the keeper knew when it last saved its state."""
    from feature_repo.declared import load as load_declaration
    from training.loop.state import load

    return load(keeper_dir(settings), load_declaration(settings.declaration).feature_set_version)


def lines(state: "KeeperState") -> list[str]:
    """Say what was seen, what is due, what cools down and what goes on."""
    from training.loop.triggers import Triggers

    triggers = Triggers(state=state.triggers)
    if not state.clock_us:
        return ["the keeper has seen nothing yet"]
    seen = f"time {_time(state.clock_us)}; the last complete midnight is {_time(state.midnight * 86_400_000_000)}"
    return [seen, _champion(state, triggers), *_training(state, triggers), *_cooling(state, triggers)]


def _champion(state: "KeeperState", triggers: "Triggers") -> str:
    if state.served is None:
        return "no champion serves yet; the first model is trained by a person, with `churn train`"
    age, bound = triggers.age_days(state.served.since_us, state.clock_us), triggers.policy.due_days
    version = state.served.champion.version
    return (
        f"version {version} serves; {age:.1f} days since it began or was confirmed; trained anew from {bound:g} days on"
    )


def _training(state: "KeeperState", triggers: "Triggers") -> list[str]:
    told = triggers.state
    if told.attempt is not None:
        return [f"training {told.attempt.run} goes on since {_time(told.attempt.at_us)}: {told.attempt.cause.reason}"]
    since = state.served.since_us if state.served else None
    if told.chosen is not None:
        held = triggers.held(since, state.clock_us)
        when = (
            f"held back by broken data until {_time(told.held_until_us)}"
            if held
            else f"not before {_time(told.retry_us)}"
        )
        return [f"a training is due, {when} ({told.failures} attempts failed): {told.chosen.reason}"]
    return ["the last training was given up; the next trigger begins anew" if told.gave_up else "no training is due"]


def _cooling(state: "KeeperState", triggers: "Triggers") -> list[str]:
    told: dict[Any, int] = dict(triggers.state.fired_us)
    lines = []
    for why, fired in told.items():
        until = fired + int(timedelta(days=triggers.cooldown_days(why)) / timedelta(microseconds=1))
        cooling = f", again from {_time(until)} on" if until > state.clock_us else ""
        lines.append(f"last {why} trigger {_time(fired)}{cooling}")
    return [*lines, *(f"wanted, and waiting: {why}: {cause.reason}" for why, cause in triggers.state.wanted.items())]


def _time(us: int) -> str:
    from churn.scores import from_us

    return f"{from_us(us):%Y-%m-%d %H:%M}"
