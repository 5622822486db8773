"""Model versions in MLflow: runs, registered versions, and the aliases champion, previous and challenger.

MLflow keeps the record; what serves is the bundle that a promotion writes to the models folder, announced on the
models topic. MLflow is imported where it is used, because that takes 3 s.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from churn.errors import DataError, InputError
from churn.model import Model, Scorer
from churn.scores import Challenger, Champion, Lineup, decode_champion, decode_lineup, encode, to_us
from feature_repo.bundles import files_of, model_of, write
from feature_repo.manifest import Signature
from training.tracking import answering, client_of, with_driver

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
ABSENT, NO_VERSION = "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"
"""MLflow's words for what is not there, and for what cannot be the number of a version."""
BUNDLE = "bundle"
"""The folder of a run's artifacts that holds the bundle's files."""
ANCHOR_TAG = "audit_log_head"
LINEUP_TAG = "lineup"
FORMER_LINEUP, FORMER_PROMOTION = "lineup_", "promotion_"
"""Begin the tags, with their date in microseconds, of records that others replaced: the past is looked back at, and the
models topic is compacted. What is replaced is kept first, so that a crash in between leaves it twice and never lost."""
TICK = timedelta(microseconds=1)
"""Records are dated after those before them even where clocks disagree, as readers of scores go by that."""
RUN_TAG = "run_id"
"""Names the training that registered a version, where it was given a name."""


@dataclass(frozen=True)
class Version:
    """One registered version as people see it in a list."""

    version: str
    aliases: tuple[str, ...]
    created_at: datetime
    feature_set_version: str
    metrics: Mapping[str, float]
    reason: str
    gate: str = ""
    state: str = ""


class Registry:
    """Versions of one model. `artifacts_dir` holds MLflow's files unless the tracking server keeps its own."""

    def __init__(self, tracking_uri: str, name: str, models_dir: Path, artifacts_dir: Path) -> None:
        """Remember where things are; connects at the first call."""
        self.name = name
        self._uri = with_driver(tracking_uri)
        self._models_dir = models_dir
        self._artifacts_dir = artifacts_dir
        self._opened: Any = None

    @property
    def _client(self) -> Any:
        if self._opened is None:
            self._opened = client_of(self._uri)
        return self._opened

    def register(
        self,
        model: Model,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        texts: Mapping[str, str],
    ) -> str:
        """Log a run with the model's bundle and `texts` (file name to content), register it, return its version."""
        with answering(self._uri):
            run_id = self._log(model, params, metrics, tags, texts)
            self._create_name()
            source = f"{self._client.get_run(run_id).info.artifact_uri}/{BUNDLE}"
            facts = {"feature_set_version": model.feature_set_version} | dict(tags)
            version = self._client.create_model_version(self.name, source, run_id=run_id, tags=facts)
        return str(version.version)

    def _log(
        self,
        model: Model,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        texts: Mapping[str, str],
    ) -> str:
        client = self._client
        run = client.create_run(
            self._experiment(), tags={"feature_set_version": model.feature_set_version} | dict(tags)
        )
        run_id = str(run.info.run_id)
        self._note_figures(run_id, params, metrics)
        for file, data in files_of(model).items():
            client.log_text(run_id, data.decode(), f"{BUNDLE}/{file}")
        for file, content in texts.items():
            client.log_text(run_id, content, file)
        client.set_terminated(run_id)
        return run_id

    def _note_figures(self, run_id: str, params: Mapping[str, object], metrics: Mapping[str, float]) -> None:
        """Log all of them at once: one by one each is a transaction of its own, 15 ms on SQLite."""
        from mlflow.entities import Metric, Param

        at_ms = int(datetime.now(UTC).timestamp() * 1000)
        measured = [Metric(key, float(number), at_ms, 0) for key, number in metrics.items()]
        self._client.log_batch(run_id, measured, [Param(key, str(value)) for key, value in params.items()])

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.name)
        if found is not None:
            return str(found.experiment_id)
        own = urlsplit(self._uri).scheme not in ("http", "https")
        location = self._artifacts_dir.absolute().as_uri() if own else None
        return str(self._client.create_experiment(self.name, artifact_location=location))

    def _create_name(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def promote(self, version: str, reason: str, now: datetime) -> Champion:
        """Make a version the champion: write its bundle, move the aliases, return what must be announced.

        It is dated after what was announced before it even where clocks disagree, as readers of scores go by that.

        Raises:
            InputError: there is no such version.
            DataError: its artifact is damaged or does not score its golden rows; nothing is changed.
        """
        with answering(self._uri):
            model, bundle, digest = self._placed(version)
            at = self._next_date(now)
            record = Champion(self.name, version, bundle, digest, model.feature_set_version, at, reason)
            self._note(record)
            old = self._alias(CHAMPION)
            if old not in (None, version):
                self._client.set_registered_model_alias(self.name, PREVIOUS, old)
            self._client.set_registered_model_alias(self.name, CHAMPION, version)
            if self._alias(CHALLENGER) == version:
                self._client.delete_registered_model_alias(self.name, CHALLENGER)
        return record

    def _placed(self, version: str, expected: Signature | None = None) -> tuple[Model, str, str]:
        """Verify a version and write its bundle; returns its model, the bundle's folder and the hash of its manifest."""
        files = self._files(version)
        model = model_of(files, None, f"model {self.name} {version}", expected)
        Scorer(model, version).verify()
        return model, *write(self._models_dir, self.name, version, files)

    def _next_date(self, now: datetime) -> datetime:
        champion, lineup = self.champion(), self.lineup()
        dates = [champion.promoted_at] if champion is not None else []
        dates += [lineup.announced_at] if lineup is not None else []
        return max([now, *(date + TICK for date in dates)])

    def _note(self, record: Champion) -> None:
        """Note a promotion at its version, and keep the one before it: a rollback promotes a version again."""
        tags = self._client.get_model_version(self.name, record.version).tags
        if "promoted_at" in tags:
            former = self._record(record.version, tags)
            key, kept = f"{FORMER_PROMOTION}{to_us(former.promoted_at)}", encode(former).decode()
            self._client.set_model_version_tag(self.name, record.version, key, kept)
        for key in ("bundle", "sha256", "reason"):
            self._client.set_model_version_tag(self.name, record.version, key, getattr(record, key))
        self._client.set_model_version_tag(self.name, record.version, "promoted_at", record.promoted_at.isoformat())

    def rollback(self, reason: str, now: datetime) -> Champion:
        """Make the previous champion serve again; the present one becomes `previous`.

        Raises:
            InputError: there is no previous champion.
        """
        previous = self.previous
        champion = self.champion()
        # A promotion that was cut off may have left both names on one version.
        if previous is None or (champion is not None and champion.version == previous):
            raise InputError(f"model {self.name} has no previous champion to go back to; promote a version first")
        return self.promote(previous, reason, now)

    @property
    def previous(self) -> str | None:
        """Return the version that served before the champion."""
        with answering(self._uri):
            return self._alias(PREVIOUS)

    def champion(self) -> Champion | None:
        """Return the record of the current champion, to be announced again; None before the first promotion."""
        with answering(self._uri):
            version = self._alias(CHAMPION)
            if version is None:
                return None
            return self._record(version, self._client.get_model_version(self.name, version).tags)

    def promotions(self) -> list[Champion]:
        """Return every promotion of every version, the earliest first."""
        with answering(self._uri):
            found = self._client.search_model_versions(f"name = '{self.name}'", max_results=1000)
            served = [each for each in found if "promoted_at" in each.tags]
        last = {self._record(str(each.version), each.tags) for each in served}
        former = {
            decode_champion(kept)
            for each in served for key, kept in each.tags.items() if key.startswith(FORMER_PROMOTION)
        }  # fmt: skip
        return sorted(last | former, key=lambda record: record.promoted_at)

    def _record(self, version: str, tags: Mapping[str, str]) -> Champion:
        promoted_at = datetime.fromisoformat(tags["promoted_at"])
        return Champion(
            self.name, version, tags["bundle"], tags["sha256"], tags["feature_set_version"], promoted_at, tags["reason"]
        )

    def model(self, version: str) -> Model:
        """Return the model of a version from its artifact.

        Raises:
            InputError: there is no such version.
        """
        with answering(self._uri):
            return model_of(self._files(version), None, f"model {self.name} {version}")

    def _files(self, version: str) -> dict[str, bytes]:
        from mlflow.exceptions import MlflowException

        run_id = self._known(version).run_id
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = Path(self._client.download_artifacts(run_id, BUNDLE, folder))
            except (MlflowException, OSError) as error:
                raise DataError(f"model {self.name} {version}: its bundle cannot be read: {error}") from error
            return {each.name: each.read_bytes() for each in path.iterdir()}

    def _known(self, version: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version(self.name, version)
        except MlflowException as error:
            if error.error_code not in (ABSENT, NO_VERSION):
                raise
            raise InputError(
                f"model {self.name} has no version {version}: {error.message}; `churn models` lists them"
            ) from error

    def facts(self, version: str) -> Mapping[str, str]:
        """Return what is noted about a version: `gate`, `state`, where its data came from.

        Raises:
            InputError: there is no such version.
        """
        with answering(self._uri):
            return dict(self._known(version).tags)

    def of_run(self, run: str) -> str | None:
        """Return the version that a training of this name has registered; None when it has not."""
        with answering(self._uri):
            found = self._client.search_model_versions(f"name = '{self.name}' and tags.{RUN_TAG} = '{run}'")
        return str(found[0].version) if found else None

    def note(self, version: str, **facts: str) -> None:
        """Note facts about a version."""
        with answering(self._uri):
            for key, value in facts.items():
                self._client.set_model_version_tag(self.name, version, key, value)

    def challenge(self, version: str) -> None:
        """Name a version challenger, as the newest that passed the gate; `line_up` lets it challenge."""
        with answering(self._uri):
            self._client.set_registered_model_alias(self.name, CHALLENGER, version)

    def stand_down(self, version: str) -> None:
        """Take the alias challenger from a version, if it has it."""
        with answering(self._uri):
            if self._alias(CHALLENGER) == version:
                self._client.delete_registered_model_alias(self.name, CHALLENGER)

    def challenger(self, version: str, share: float, expected: Signature) -> Challenger:
        """Verify a version, write its bundle and return what names it beside the champion.

        Raises:
            InputError: there is no such version.
            DataError: its artifact is damaged, does not score its golden rows, or takes or gives other than expected.
        """
        with answering(self._uri):
            model, bundle, digest = self._placed(version, expected)
        return Challenger(version, bundle, digest, model.feature_set_version, share)

    def lineup(self) -> Lineup | None:
        """Return the challengers beside the champion, to be announced again; None before there was any."""
        kept = self._kept(LINEUP_TAG)
        return decode_lineup(kept) if kept else None

    def lineups(self) -> list[Lineup]:
        """Return every lineup that there was, the earliest first."""
        kept = {text for tag, text in self._tags().items() if tag == LINEUP_TAG or tag.startswith(FORMER_LINEUP)}
        return sorted(map(decode_lineup, kept), key=lambda lineup: lineup.announced_at)

    def line_up(self, challengers: Sequence[Challenger], reason: str, now: datetime) -> Lineup:
        """Let these versions challenge the champion, and no others; returns what must be announced."""
        with answering(self._uri):
            former = self.lineup()
            if former is not None:
                key = f"{FORMER_LINEUP}{to_us(former.announced_at)}"
                self._client.set_registered_model_tag(self.name, key, encode(former).decode())
            lineup = Lineup(self.name, list(challengers), self._next_date(now), reason)
            self._client.set_registered_model_tag(self.name, LINEUP_TAG, encode(lineup).decode())
        return lineup

    @property
    def anchor(self) -> str:
        """Return the hash of the audit log's last line, kept here as well so that a log cut short shows."""
        return self._kept(ANCHOR_TAG)

    def _kept(self, tag: str) -> str:
        """Return what is kept of the model as a whole; empty where nothing is."""
        return self._tags().get(tag, "")

    def _tags(self) -> Mapping[str, str]:
        from mlflow.exceptions import MlflowException

        with answering(self._uri):
            try:
                return dict(self._client.get_registered_model(self.name).tags)
            except MlflowException:  # no version was ever registered
                return {}

    def keep_anchor(self, digest: str) -> None:
        """Keep the hash of the audit log's last line."""
        with answering(self._uri):
            self._create_name()
            self._client.set_registered_model_tag(self.name, ANCHOR_TAG, digest)

    def attach(self, version: str, texts: Mapping[str, str]) -> None:
        """Add files (name to content) to a version's artifacts."""
        with answering(self._uri):
            run_id = self._known(version).run_id
            for file, content in texts.items():
                self._client.log_text(run_id, content, file)

    def text(self, version: str, file: str) -> str | None:
        """Return one of a version's artifacts; None when it has none of this name.

        Raises:
            InputError: there is no such version.
        """
        with answering(self._uri), tempfile.TemporaryDirectory() as folder:
            run_id = self._known(version).run_id
            if file not in {artifact.path for artifact in self._client.list_artifacts(run_id)}:
                return None
            return Path(self._client.download_artifacts(run_id, file, folder)).read_text(encoding="utf-8")

    def versions(self) -> list[Version]:
        """Return every version, newest first."""
        with answering(self._uri):
            found = self._client.search_model_versions(f"name = '{self.name}'", max_results=1000)
            listed = [self._version(entry) for entry in found]
        return sorted(listed, key=lambda version: int(version.version), reverse=True)

    def _version(self, entry: Any) -> Version:
        try:
            # A search result carries no aliases.
            whole = self._client.get_model_version(self.name, entry.version)
            metrics = self._client.get_run(entry.run_id).data.metrics
        except OSError as error:
            raise DataError(f"model {self.name} {entry.version}: its run cannot be read: {error}") from error
        created = datetime.fromtimestamp(entry.creation_timestamp / 1000, UTC)
        tags = whole.tags
        return Version(
            str(entry.version),
            tuple(sorted(whole.aliases)),
            created,
            tags.get("feature_set_version", ""),
            metrics,
            tags.get("reason", ""),
            tags.get("gate", ""),
            tags.get("state", ""),
        )

    def _alias(self, alias: str) -> str | None:
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_model_version_by_alias(self.name, alias).version)
        except MlflowException as error:
            if error.error_code in (ABSENT, NO_VERSION):
                return None
            raise
