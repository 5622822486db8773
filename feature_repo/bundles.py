"""Model bundles on disk: `{models_dir}/{name}/{version}/model.json`, verified whenever one is loaded."""

import os
import tempfile
from pathlib import Path

from churn.errors import DataError
from churn.model import Model, Scorer, decode, encode, sha256
from churn.scores import Champion

MODEL_FILE = "model.json"


def save(models_dir: Path, model: Model, version: str) -> tuple[str, str]:
    """Write a bundle atomically; returns its folder below `models_dir` and the model's sha256."""
    bundle = f"{model.name}/{version}"
    folder = models_dir / bundle
    folder.mkdir(parents=True, exist_ok=True)
    data = encode(model)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh = Path(file.name)
    fresh.chmod(0o644)
    fresh.replace(folder / MODEL_FILE)
    return bundle, sha256(data)


def load(models_dir: Path, champion: Champion, feature_set_version: str) -> Scorer:
    """Load and verify the bundle that a champion record names.

    Raises:
        DataError: missing file, wrong hash, other feature set, or golden rows that differ.
    """
    root = models_dir.resolve()
    path = (root / champion.bundle / MODEL_FILE).resolve()
    if root not in path.parents:
        raise DataError(f"bundle {champion.bundle!r} lies outside {models_dir}; refuse it")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: the bundle of {champion.model} {champion.version} cannot be read: {error.strerror}"
        ) from error
    if sha256(data) != champion.sha256:
        raise DataError(
            f"{path}: sha256 {sha256(data)[:12]} is not the promoted {champion.sha256[:12]}; do not serve it"
        )
    model = decode(data, str(path))
    if model.feature_set_version != feature_set_version:
        seen = f"{model.feature_set_version}, this declaration is {feature_set_version}"
        raise DataError(f"{path}: the model reads feature set {seen}; train a model for this declaration")
    scorer = Scorer(model, champion.version)
    scorer.verify()
    return scorer
