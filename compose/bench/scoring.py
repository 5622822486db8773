"""Users per second of daily scoring: a snapshot of vectors in; Parquet, CSV and manifest out.

Scoring runs in a process of its own (`python -m compose.bench.scoring FOLDER`), so that its memory is that of the work.
"""

import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from churn.declaration import Declaration
from churn.model import Model
from churn.scores import Champion, encode
from churn.settings import Settings
from compose.bench.fitted import models
from compose.bench.plan import DECLARATION, Bench
from compose.bench.vectors import Vectors
from compose.local import ROOT
from feature_repo import bundles
from feature_repo.declared import load

AS_OF = "2026-01-01"
BLOCK_USERS = 50_000
MIB = 1 << 20


def measure(bench: Bench) -> dict[str, Any]:
    """Score a snapshot of synthetic vectors with a model of each kind."""
    folder, declaration = bench.stack.folder / "bench-batch", load(DECLARATION)
    bench.say(f"writing the vectors of {bench.sizes.batch_users:,} users")
    vectors = Vectors(declaration)
    _write(folder / "snapshot", declaration, vectors, bench.sizes.batch_users)
    return {kind: _scored(bench, folder, model) for kind, model in models(declaration, vectors).items()}


def _write(folder: Path, declaration: Declaration, vectors: Vectors, users: int) -> None:
    from training.day_snapshot import FILE, SnapshotFile, SnapshotManifest
    from training.published import publishing

    names = declaration.feature_names
    with publishing(folder) as draft:
        with SnapshotFile(draft, names) as file:
            for number, start in enumerate(range(0, users, BLOCK_USERS)):
                count = min(BLOCK_USERS, users - start)
                ids = [f"user-{start + place:09d}" for place in range(count)]
                file.add(ids, vectors.block(number, count), np.ones(count, np.bool_))
        name, digest = draft.place(FILE)
        manifest = SnapshotManifest(
            AS_OF, users, users, list(names), declaration.feature_set_version, AS_OF, AS_OF, 0, "", {name: digest}
        )
        draft.conclude(msgspec.json.encode(manifest), {name})


def _scored(bench: Bench, folder: Path, model: Model) -> dict[str, Any]:
    bundle, digest = bundles.save(folder / "models", model, "1")
    version = model.feature_set_version
    champion = Champion(model.name, "1", bundle, digest, version, datetime.now(UTC), "measured")
    (folder / "champion.json").write_bytes(encode(champion))
    argv = [sys.executable, "-m", "compose.bench.scoring", str(folder)]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, check=True)  # noqa: S603  this module itself
    found: dict[str, Any] = json.loads(done.stdout)
    bench.say(f"batch scoring: {found['users_per_second']:,} users/s")
    return found


def score(folder: Path) -> dict[str, Any]:
    """Score the snapshot below a folder by the model there; the time counts from opening one until the manifest is written."""
    from feature_repo.champion import Serving
    from training.batch import score_snapshot
    from training.day_snapshot import opened
    from training.score_rows import Bands

    declaration, settings = load(DECLARATION), Settings()
    champion = msgspec.json.decode((folder / "champion.json").read_bytes(), type=Champion)
    scorer = bundles.load(folder / "models", champion, declaration.feature_set_version)
    began, used = time.perf_counter(), time.process_time()
    manifest = score_snapshot(
        opened(folder / "snapshot"),
        predictions_dir=folder / "predictions",
        declaration=declaration,
        serving=Serving(champion, scorer),
        bands=Bands(settings.medium_risk, settings.high_risk),
    )
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - used
    written = folder / "predictions" / f"as_of={AS_OF}"
    return {
        "users": manifest.rows,
        "seconds": round(seconds, 2),
        "users_per_second": round(manifest.rows / seconds),
        "cpu_seconds": round(cpu_seconds, 2),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (MIB // 1024),
        "written_mib": round(sum(path.stat().st_size for path in written.iterdir()) / MIB, 3),
    }


if __name__ == "__main__":
    print(json.dumps(score(Path(sys.argv[1]))))
