"""Two features never share a field."""

import subprocess
import sys
from pathlib import Path

import pytest

from churn.errors import DeclarationError
from feature_repo.encoding import field_hash
from feature_repo.layout import SCORE_FIELDS, USER_FEATURES, fields_by_view, refuse_collisions

ROOT = Path(__file__).resolve().parents[2]
# Found by trying feature_0, feature_1, ...: both hash to e2bfb02d.
FIRST, SECOND = "feature_19831", "feature_82479"


def test_the_two_names_really_collide() -> None:
    assert field_hash(USER_FEATURES, FIRST) == field_hash(USER_FEATURES, SECOND)


def test_collision_is_refused_naming_both() -> None:
    with pytest.raises(DeclarationError, match=rf"user_features:{FIRST} and user_features:{SECOND}"):
        refuse_collisions(fields_by_view([FIRST, "other", SECOND]))


def test_names_without_collision_pass() -> None:
    views = fields_by_view([FIRST, "other"])
    refuse_collisions(views)
    assert len({field_hash(view, name) for view, names in views.items() for name in names}) == 2 + len(SCORE_FIELDS)


def test_reading_and_writing_rows_does_without_feast() -> None:
    # Importing Feast takes seconds; a worker or the API must not pay for it.
    code = "import sys, feature_repo.online, feature_repo.reader; print('feast' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert run.stdout == "False\n"
