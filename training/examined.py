"""The gate before learning: the archive and its labels are checked, and what may be learnt from gets its fingerprint."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from churn.declaration import Declaration
from training.day_counts import Progress
from training.fingerprint import Fingerprint, fingerprint_of
from training.profile import profile_of
from training.validation import ValidationReport, label_rates, validate


@dataclass(frozen=True)
class Examined:
    """A data set that passed, with its warnings and its name."""

    report: ValidationReport
    fingerprint: Fingerprint


def examined(
    declaration: Declaration,
    files: Sequence[Path],
    as_of_days: npt.NDArray[np.int32],
    churned: npt.NDArray[np.bool_],
    *,
    share: float = 1.0,
    user_ttl_days: int = 0,
    progress: Progress = lambda _: None,
    cache_dir: Path | None = None,
) -> Examined:
    """Check an archive with the labels of some rows of its snapshots, `share` of all.

    Raises:
        DataError: a check failed; the message is the report.
    """
    profile = profile_of(declaration, files, progress, cache_dir=cache_dir)
    report = validate(declaration, profile, label_rates(as_of_days, churned)).require()
    snapshots = np.unique(as_of_days).tolist()
    return Examined(report, fingerprint_of(declaration, profile, snapshots, share, user_ttl_days))
