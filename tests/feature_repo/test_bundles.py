"""A bundle is served only when it is the promoted one, whole, and of this declaration."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from churn.errors import DataError
from churn.model import GoldenRow, LogisticModel, sha256
from churn.scores import Champion
from feature_repo.bundles import files_of, load, save, write
from feature_repo.manifest import OUTPUTS, Manifest, Signature

TRAINED: dict[str, str | float | int] = {"horizon_days": 30, "data_fingerprint": "f00d"}
GOLDEN = [GoldenRow([0.0], 0.5, [0.0])]
MODEL = LogisticModel("churn", "abc", ["a"], [0.0], [1.0], [1.0], [0.0], [0.0], 0.0, GOLDEN, TRAINED)
WANTED = Signature(["a"], "float32", list(OUTPUTS), 30)


def record(bundle: str, digest: str) -> Champion:
    return Champion("churn", "3", bundle, digest, "abc", datetime(2026, 3, 1, tzinfo=UTC), "test")


def promoted(folder: Path, model: LogisticModel = MODEL) -> Champion:
    return record(*save(folder, model, "3"))


def forged(folder: Path, **change: object) -> Champion:
    """Write a bundle whose manifest is changed, and return a record that names it as promoted."""
    files = files_of(MODEL)
    manifest = msgspec.structs.replace(msgspec.json.decode(files["manifest.json"], type=Manifest), **change)
    return record(*write(folder, "churn", "3", files | {"manifest.json": msgspec.json.encode(manifest)}))


def test_a_bundle_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    scorer = load(tmp_path, promoted(tmp_path), "abc", WANTED)
    assert (scorer.model, scorer.version) == (MODEL, "3")
    assert sorted(path.name for path in (tmp_path / "churn" / "3").iterdir()) == ["manifest.json", "model.json"]


def test_the_manifest_names_what_the_model_is(tmp_path: Path) -> None:
    promoted(tmp_path)
    manifest = msgspec.json.decode((tmp_path / "churn" / "3" / "manifest.json").read_bytes(), type=Manifest)
    assert (manifest.model, manifest.kind, manifest.data_fingerprint) == ("churn", "logistic", "f00d")
    assert manifest.signature == WANTED
    assert manifest.files == {"model.json": sha256((tmp_path / "churn" / "3" / "model.json").read_bytes())}
    assert {"numpy", "lightgbm"} <= set(manifest.libraries)


def test_writing_the_same_bundle_again_touches_nothing(tmp_path: Path) -> None:
    first = promoted(tmp_path)
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted((tmp_path / "churn" / "3").iterdir())]
    assert promoted(tmp_path) == first
    assert [(p.stat().st_ino, p.stat().st_mtime_ns) for p in sorted((tmp_path / "churn" / "3").iterdir())] == before
    assert [path.name for path in (tmp_path / "churn").iterdir()] == ["3"]


def test_a_damaged_bundle_is_made_whole_by_writing_it_again(tmp_path: Path) -> None:
    champion = promoted(tmp_path)
    (tmp_path / "churn" / "3" / "model.json").write_text("{}")
    (tmp_path / "churn" / "3" / "more.json").write_text("{}")
    promoted(tmp_path)
    assert load(tmp_path, champion, "abc").version == "3"


def test_changed_bytes_are_refused(tmp_path: Path) -> None:
    champion = promoted(tmp_path)
    path = tmp_path / "churn" / "3" / "model.json"
    path.write_text(path.read_text().replace('"intercept": 0.0', '"intercept": 9.0'))
    with pytest.raises(DataError, match=r"model\.json: sha256 .* is not the manifest's .* do not serve it"):
        load(tmp_path, champion, "abc")


def test_another_manifest_than_the_promoted_one_is_refused(tmp_path: Path) -> None:
    champion = msgspec.structs.replace(promoted(tmp_path), sha256="0" * 64)
    with pytest.raises(DataError, match=r"is not the promoted 000000000000; do not serve it"):
        load(tmp_path, champion, "abc")


def test_an_unlisted_file_is_refused(tmp_path: Path) -> None:
    champion = promoted(tmp_path)
    (tmp_path / "churn" / "3" / "model.pkl").write_bytes(b"")
    with pytest.raises(DataError, match=r"model\.pkl is not in the manifest"):
        load(tmp_path, champion, "abc")


def test_a_file_that_is_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    champion = promoted(tmp_path)
    path = tmp_path / "churn" / "3" / "model.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(DataError, match=r"sha256 .* is not the manifest's"):
        load(tmp_path, champion, "abc")


@pytest.mark.parametrize(("change", "why"), [
    ({"files": {}}, r"model\.json is not in the manifest"),
    ({"files": {"../model.json": "0"}}, r"\.\./model\.json, which cannot be read"),
    ({"format": 2}, "format 2 of bundles is not known"),
    ({"signature": Signature(["b"], "float32", list(OUTPUTS), 30)}, "signature is not that of the model"),
    ({"signature": Signature(["a"], "float64", list(OUTPUTS), 30)}, "signature is not that of the model"),
    ({"feature_set_version": "def"}, "signature is not that of the model"),
])  # fmt: skip
def test_a_manifest_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, object], why: str) -> None:
    with pytest.raises(DataError, match=why):
        load(tmp_path, forged(tmp_path, **change), "abc", WANTED)


def test_a_model_of_another_horizon_is_refused(tmp_path: Path) -> None:
    week = msgspec.structs.replace(WANTED, horizon_days=7)
    with pytest.raises(DataError, match="the model looks 30 days ahead, the declaration's label 7"):
        load(tmp_path, promoted(tmp_path), "abc", week)


def test_a_folder_outside_the_models_is_refused(tmp_path: Path) -> None:
    champion = msgspec.structs.replace(promoted(tmp_path / "other"), bundle="../other/churn/3")
    with pytest.raises(DataError, match="lies outside"):
        load(tmp_path / "models", champion, "abc")


def test_a_model_of_another_feature_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the model reads feature set abc, this declaration is def"):
        load(tmp_path, promoted(tmp_path), "def")


@pytest.mark.parametrize("golden", [GoldenRow([0.0], 0.6, [0.0]), GoldenRow([0.0], 0.5, [0.1])])
def test_golden_rows_that_differ_are_refused(tmp_path: Path, golden: GoldenRow) -> None:
    wrong = msgspec.structs.replace(MODEL, golden=[golden])
    with pytest.raises(DataError, match=r"golden row.* differ by 0\.1"):
        load(tmp_path, promoted(tmp_path, wrong), "abc")


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    champion = msgspec.structs.replace(promoted(tmp_path), bundle="churn/9")
    with pytest.raises(DataError, match=r"churn/9: the bundle of version 3 cannot be read"):
        load(tmp_path, champion, "abc")


def test_a_bundle_of_a_single_file_says_that_it_is_old(tmp_path: Path) -> None:
    champion = promoted(tmp_path)
    (tmp_path / "churn" / "3" / "manifest.json").unlink()
    with pytest.raises(DataError, match="of an older program: train anew"):
        load(tmp_path, champion, "abc")
