"""Settings come from CHURN_* variables, and the README says which."""

from pathlib import Path

import pytest

from churn.errors import SettingsError
from compose.environment import read_settings, settings_table

README = Path(__file__).resolve().parents[2] / "README.md"


def test_an_unknown_variable_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="did you mean CHURN_PARTITIONS"):
        read_settings({"CHURN_PARTITION": "4"})


def test_a_bad_value_names_its_variable() -> None:
    with pytest.raises(SettingsError, match="CHURN_API_PORT"):
        read_settings({"CHURN_API_PORT": "many"})


def test_the_readme_lists_exactly_the_settings() -> None:
    assert settings_table() in README.read_text(encoding="utf-8")
