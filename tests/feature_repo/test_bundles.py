"""A bundle is served only when it is the promoted one, whole, and of this declaration."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from churn.errors import DataError
from churn.model import GoldenRow, LogisticModel
from churn.scores import Champion
from feature_repo.bundles import load, save

MODEL = LogisticModel("churn", "abc", ["a"], [0.0], [1.0], [1.0], [0.0], [0.0], 0.0, [GoldenRow([0.0], 0.5)], {})


def promoted(folder: Path, model: LogisticModel = MODEL) -> Champion:
    bundle, digest = save(folder, model, "3")
    return Champion("churn", "3", bundle, digest, "abc", datetime(2026, 3, 1, tzinfo=UTC), "test")


def test_a_bundle_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    scorer = load(tmp_path, promoted(tmp_path), "abc")
    assert (scorer.model, scorer.version) == (MODEL, "3")
    assert [path.name for path in (tmp_path / "churn" / "3").iterdir()] == ["model.json"]


def test_changed_bytes_are_refused(tmp_path: Path) -> None:
    record = promoted(tmp_path)
    path = tmp_path / "churn" / "3" / "model.json"
    path.write_text(path.read_text().replace('"intercept": 0.0', '"intercept": 9.0'))
    with pytest.raises(DataError, match=r"is not the promoted .* do not serve it"):
        load(tmp_path, record, "abc")


def test_a_folder_outside_the_models_is_refused(tmp_path: Path) -> None:
    record = msgspec.structs.replace(promoted(tmp_path / "other"), bundle="../other/churn/3")
    with pytest.raises(DataError, match="lies outside"):
        load(tmp_path / "models", record, "abc")


def test_a_model_of_another_feature_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the model reads feature set abc, this declaration is def"):
        load(tmp_path, promoted(tmp_path), "def")


def test_golden_rows_that_differ_are_refused(tmp_path: Path) -> None:
    wrong = msgspec.structs.replace(MODEL, golden=[GoldenRow([0.0], 0.6)])
    with pytest.raises(DataError, match="golden rows differ"):
        load(tmp_path, promoted(tmp_path, wrong), "abc")


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    record = msgspec.structs.replace(promoted(tmp_path), bundle="churn/9")
    with pytest.raises(DataError, match=r"churn/9/model\.json: the bundle of churn 3 cannot be read"):
        load(tmp_path, record, "abc")
