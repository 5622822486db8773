"""Which code computes the data: the package's version, a hash of modules, the git commit."""

import hashlib
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGE = "churn-system"
ROOT = Path(__file__).resolve().parents[1]
COMPUTING = (
    "churn/days.py",
    "churn/declaration.py",
    "churn/features.py",
    "churn/labels.py",
    "churn/layout.py",
    "churn/rhythm.py",
    "training/dataset.py",
    "training/day_cache.py",
    "training/day_counts.py",
    "training/provenance.py",
    "training/quoting.py",
    "training/reduction.py",
)
"""The modules that turn events into vectors and labels."""


@cache
def code_version() -> str:
    """Return the package's version and 12 hex digits of the modules that compute the data."""
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        version = "0"
    return f"{version}+{code_hash(COMPUTING)[:12]}"


@cache
def commit() -> str:
    """Return the checked-out commit, empty outside of git."""
    if not (ROOT / ".git").exists():
        return ""
    asked = ["git", "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603  # our own words
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


@cache
def code_hash(names: tuple[str, ...]) -> str:
    """Return hex digits that follow from the text of these modules."""
    found = hashlib.sha256()
    for name in names:
        found.update((ROOT / name).read_bytes())
    return found.hexdigest()
