"""Daily scoring as the tests run it, here and in processes that are to be killed."""

import os
import resource
import signal
from datetime import date
from pathlib import Path

from churn.declaration import Declaration
from churn.fault_points import arm
from churn.layout import DAY_US
from churn.model import GoldenRow, LogisticModel, Scorer
from churn.scores import Challenger, Champion, Lineup, from_us
from feature_repo.champion import Serving
from feature_repo.declared import load
from training.batch import Manifest, score_snapshot
from training.day_snapshot import DaySnapshot, current
from training.score_rows import Bands

AS_OF = date(1970, 4, 11)
ELEARNING = Path(__file__).resolve().parents[2] / "feature_repo" / "declarations" / "elearning.yaml"


def scorer(declaration: Declaration, version: str = "7", weight: float = 1.0) -> Scorer:
    """Return a model in which only days of silence count: log-odds = weight log(1 + days) - 1."""
    names = list(declaration.feature_names)
    weights = [weight if name == "days_since_last_activity" else 0.0 for name in names]
    zeros, ones = [0.0] * len(names), [1.0] * len(names)
    golden = [GoldenRow([0.0] * len(names), 0.2689414213699951)]
    return Scorer(
        LogisticModel(
            "churn", declaration.feature_set_version, names, zeros, ones, weights, zeros, zeros, -1.0, golden, {}
        ),
        version,
    )


def snapshot(declaration: Declaration, root: Path, as_of: date = AS_OF) -> DaySnapshot:
    """Return the snapshot of the archive below `root`."""
    return current(as_of, archive_dir=root / "archive", snapshots_dir=root / "snapshots", declaration=declaration)


def serving(declaration: Declaration, model: Scorer, *challengers: tuple[Scorer, float]) -> Serving:
    """Return a champion, and challengers with their shares; the hash of a bundle ends in its version."""
    features, at = declaration.feature_set_version, from_us(DAY_US)
    champion = Champion("churn", model.version, "", _hash(model.version), features, at, "test")
    named = [Challenger(each.version, "", _hash(each.version), features, share) for each, share in challengers]
    if not named:
        return Serving(champion, model)
    scorers = [each for each, _ in challengers]
    return Serving(champion, model, Lineup("churn", named, at, "test"), tuple(zip(named, scorers, strict=True)))


def _hash(version: str) -> str:
    return version.rjust(64, "0")


def score(declaration: Declaration, root: Path, model: Scorer | Serving, found: DaySnapshot | None = None) -> Manifest:
    """Score everybody below `root`, by one model or by all that serve."""
    return score_snapshot(
        found or snapshot(declaration, root),
        predictions_dir=root / "predictions",
        declaration=declaration,
        serving=model if isinstance(model, Serving) else serving(declaration, model),
        bands=Bands(0.6, 0.9),
    )


def score_armed(root: Path, version: str, point: str = "", most_bytes: int = 0) -> None:
    """Score in a process of its own, killed at a fault point, or with no file allowed to be larger than `most_bytes`."""
    arm(point, lambda: os.kill(os.getpid(), signal.SIGKILL))
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
    declaration = load(ELEARNING)
    score(declaration, root, scorer(declaration, version))


def score_limited(root: Path, most_bytes: int) -> str:
    """Score with no file allowed to be larger than `most_bytes`; returns what was said."""
    try:
        score_armed(root, "8", most_bytes=most_bytes)
    except Exception as error:  # noqa: BLE001  the test judges kind and words
        return f"{type(error).__name__}: {error}"
    return ""


def folder(root: Path, kind: str = "predictions") -> Path:
    """Return where the day's files are."""
    return root / kind / f"as_of={AS_OF.isoformat()}"


def contents(path: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {found.name: found.read_bytes() for found in path.iterdir()}
