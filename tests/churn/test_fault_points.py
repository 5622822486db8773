"""Fault points: armed ones fall at the passing that was asked for, and every name in the code is on the list."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn.errors import DefectError, SettingsError
from churn.fault_points import POINTS, arm, passing

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fallen() -> Iterator[list[str]]:
    yield []
    arm("", lambda: None)


def test_a_point_falls_at_the_passing_that_was_asked_for(fallen: list[str]) -> None:
    arm("features.after_send:3", lambda: fallen.append("here"))
    seen = []
    for _ in range(5):
        passing("features.after_send")
        passing("features.after_apply")
        seen.append(len(fallen))
    assert seen == [0, 0, 1, 1, 1]


def test_nothing_falls_where_nothing_is_armed(fallen: list[str]) -> None:
    arm("", lambda: fallen.append("here"))
    passing("features.after_send")
    assert fallen == []


@pytest.mark.parametrize(
    "spec", ["features.after_lunch", "features.after_send:0", "features.after_send:x", "archive.after_file:-1"]
)
def test_a_spec_that_names_no_passing_is_refused(spec: str) -> None:
    with pytest.raises(SettingsError):
        arm(spec, lambda: None)


def test_a_passing_that_is_not_on_the_list_is_a_defect(fallen: list[str]) -> None:
    arm("features.after_send", lambda: None)
    with pytest.raises(DefectError, match="not in the list"):
        passing("features.elsewhere")


def test_the_list_names_what_the_code_passes() -> None:
    sources = [path for folder in ("stream_processors", "training") for path in (ROOT / folder).rglob("*.py")]
    found = {name for path in sources for name in re.findall(r'passing\("(.+?)"\)', path.read_text())}
    commits = {
        f"{role}.{when}_group_commit" for role in ("features", "archive", "scorer") for when in ("before", "after")
    }
    assert found | commits == set(POINTS)
