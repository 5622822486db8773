"""Model bundles on disk: `{models_dir}/{name}/{version}/` with a manifest, verified whole whenever one is loaded.

Everything is JSON: nothing that is loaded can run code.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from churn.errors import DataError
from churn.model import Model, Scorer, decode, sha256
from churn.scores import Challenger, Champion
from feature_repo.manifest import MANIFEST_FILE, MODEL_FILE, Signature, check_files, check_signature, files_of, read

__all__ = ["MANIFEST_FILE", "MODEL_FILE", "files_of", "load", "model_of", "save", "write"]

Named = Champion | Challenger


def save(models_dir: Path, model: Model, version: str) -> tuple[str, str]:
    """Write a model's bundle; returns its folder below `models_dir` and the sha256 of its manifest."""
    return write(models_dir, model.name, version, files_of(model))


def write(models_dir: Path, name: str, version: str, files: Mapping[str, bytes]) -> tuple[str, str]:
    """Write a bundle's files as a whole or not at all; returns its folder and the sha256 of its manifest.

    A bundle that is there already, byte for byte, is left alone: others may be reading it.
    """
    bundle = f"{name}/{version}"
    target = models_dir / bundle
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (target.is_dir() and _present(target) == dict(files)):
        _place(target, files)
    return bundle, sha256(files[MANIFEST_FILE])


def _place(target: Path, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".writing-") as name:
        fresh, old = Path(name) / "new", Path(name) / "old"
        fresh.mkdir(mode=0o755)
        for file, data in files.items():
            _write_through(fresh / file, data)
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _write_through(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o644)


def _present(folder: Path) -> dict[str, bytes]:
    """Return the regular files of a folder; anything else counts as an empty file, which no manifest names."""
    return {
        path.name: path.read_bytes() if path.is_file() and not path.is_symlink() else b"" for path in folder.iterdir()
    }


def load(models_dir: Path, named: Named, feature_set_version: str, expected: Signature | None = None) -> Scorer:
    """Load and verify the bundle that a record names; `expected` is what a declaration asks of a model.

    Raises:
        DataError: a missing, changed or unlisted file, another manifest than the promoted one, other features or horizon,
            or golden rows that differ.
    """
    root = models_dir.resolve()
    folder = (root / named.bundle).resolve()
    if root not in folder.parents:
        raise DataError(f"bundle {named.bundle!r} lies outside {models_dir}; refuse it")
    model = model_of(_read(folder, named), named.sha256, str(folder), expected)
    if model.feature_set_version != feature_set_version:
        seen = f"{model.feature_set_version}, this declaration is {feature_set_version}"
        raise DataError(f"{folder}: the model reads feature set {seen}; train a model for this declaration")
    scorer = Scorer(model, named.version)
    scorer.verify()
    return scorer


def _read(folder: Path, named: Named) -> dict[str, bytes]:
    try:
        files = _present(folder)
    except OSError as error:
        raise DataError(f"{folder}: the bundle of version {named.version} cannot be read: {error.strerror}") from error
    if MANIFEST_FILE not in files:
        hint = "it is of an older program: train anew" if MODEL_FILE in files else "the file is not there"
        raise DataError(f"{folder / MANIFEST_FILE}: the bundle of version {named.version} cannot be read: {hint}")
    return files


def model_of(files: Mapping[str, bytes], digest: str | None, where: str, expected: Signature | None = None) -> Model:
    """Return the model of a bundle's files after checking all of them; `digest` is the hash of the promoted manifest.

    Raises:
        DataError: as in `load`, but for golden rows, which a scorer checks.
    """
    if MANIFEST_FILE not in files:
        raise DataError(f"{where}: a bundle without {MANIFEST_FILE} is of an older program; train anew")
    seen = sha256(files[MANIFEST_FILE])
    if digest is not None and seen != digest:
        raise DataError(f"{where}: sha256 {seen[:12]} is not the promoted {digest[:12]}; do not serve it")
    manifest = read(files[MANIFEST_FILE], f"{where}/{MANIFEST_FILE}")
    check_files(manifest, files, where)
    if MODEL_FILE not in files:
        raise DataError(f"{where}: the manifest names no {MODEL_FILE}; do not serve it")
    model = decode(files[MODEL_FILE], f"{where}/{MODEL_FILE}")
    check_signature(manifest, model, expected, where)
    return model
