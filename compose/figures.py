"""Figures that a command prints, also as a JSON file for programs."""

import json
from pathlib import Path
from typing import Any

import click

from churn.errors import InputError

json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="write the figures to this file"
)
"""What every command takes that prints figures; the file goes to `write_figures`."""


def write_figures(path: Path | None, figures: Any) -> None:
    """Write figures as JSON; does nothing without a path.

    Raises:
        InputError: the file cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(json.dumps(figures, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: the figures cannot be written ({error.strerror}); name another file") from error
