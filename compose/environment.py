"""Reading the settings from CHURN_* variables; an unknown one is an error that names the nearest known one."""

import difflib
from collections.abc import Mapping

from pydantic import ValidationError

from churn.errors import SettingsError
from churn.settings import Settings

PREFIX = "CHURN_"
OUTSIDE = frozenset({"CHURN_OULAD_FOLDER"})
"""Variables with our prefix that are not settings of a process: where the tests find a data set."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that these variables describe.

    Raises:
        SettingsError: a variable is unknown or has a value that cannot be used.

    >>> read_settings({"CHURN_PARTITIONS": "8"}).partitions
    8
    """
    values = {
        k.removeprefix(PREFIX).lower(): v for k, v in environment.items() if k.startswith(PREFIX) and k not in OUTSIDE
    }
    unknown = sorted(set(values) - set(Settings.model_fields))
    if unknown:
        raise SettingsError(_unknown(unknown[0]))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise SettingsError(f"{name}: {first['msg']} (got {first['input']!r}); see `churn settings`") from error


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f"; did you mean {PREFIX}{nearest[0].upper()}?" if nearest else ""
    return f"{PREFIX}{name.upper()} is not a setting{hint} (`churn settings` lists them)"


def settings_table() -> str:
    """Return the settings as a Markdown table."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if hasattr(field.default, "get_secret_value") else field.default
        shown = f"`{default}`" if str(default) else ""
        lines.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines)
