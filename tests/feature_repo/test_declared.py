"""The declarations that come with the system, and files that are none."""

from pathlib import Path

import pytest

from churn.errors import DeclarationError
from feature_repo.declared import load

FOLDER = Path(__file__).resolve().parents[2] / "feature_repo" / "declarations"


@pytest.mark.parametrize(("name", "features"), [("elearning", 75), ("purchases", 30), ("oulad", 103)])
def test_each_declaration_that_we_ship_is_accepted(name: str, features: int) -> None:
    declaration = load(FOLDER / f"{name}.yaml")
    assert (declaration.business, len(declaration.features)) == (name, features)


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"away\.yaml: .*set CHURN_DECLARATION to a readable YAML file"):
        load(tmp_path / "away.yaml")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"business: \xff")
    with pytest.raises(DeclarationError, match="not UTF-8 text"):
        load(tmp_path / "x.yaml")
