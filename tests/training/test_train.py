"""One training end to end on a synthetic business, from archive files to a registered version."""

from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from churn.declaration import Declaration
from churn.errors import DataError
from churn.events import Event, decode
from feature_repo.bundles import load
from feature_repo.manifest import signature_of
from producers.synthetic.business import Scenario, SyntheticBusiness
from producers.synthetic.history import publish_history
from tests.training.archives import archive
from training.audit_log import AuditLog
from training.card_files import HTML_FILE, publish
from training.registry import Registry
from training.report import TrainingReport
from training.steward import Steward
from training.train import train

NOW = datetime(2026, 6, 1, tzinfo=UTC)
START = date(2026, 1, 5)


class Sink:
    """Keeps what is published, decoded."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, user_id: str, value: bytes) -> None:
        """Take one event."""
        self.events.append(decode(value))


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the archive and the truth of 400 users over 130 days, published without noise."""
    folder, sink = tmp_path_factory.mktemp("business"), Sink()
    scenario = Scenario(users=400, days=130, seed=3, start=START)
    publish_history(SyntheticBusiness(scenario), sink, folder / "truth")
    archive(folder / "archive", sink.events)
    return folder


@pytest.fixture(scope="module")
def registry(business: Path) -> Registry:
    """Return the registry of the module's trainings."""
    return Registry(f"sqlite:///{business / 'mlflow.db'}", "churn", business / "models", business / "mlartifacts")


@pytest.fixture(scope="module")
def report(business: Path, registry: Registry, elearning: Declaration) -> TrainingReport:
    """Return the report of a first training."""
    return train(
        archive_dir=business / "archive",
        registry=registry,
        declaration=elearning,
        now=NOW,
        truth_dir=business / "truth",
    )


def test_training_learns_from_the_past_and_is_judged_later(report: TrainingReport) -> None:
    assert report.train_as_ofs == ("2026-02-10", "2026-02-17", "2026-02-24", "2026-03-03")
    assert report.test_as_ofs == ("2026-04-07", "2026-04-14")
    assert (report.version, report.horizon_days, report.sampled_share) == ("1", 30, 1.0)


def test_oracle_is_judged_on_the_same_rows_and_wins(report: TrainingReport) -> None:
    oracle, beside = report.rivals.oracle, report.rivals.model_on_oracle_rows
    assert oracle is not None
    assert beside == report.evaluation
    assert oracle.rows == report.evaluation.rows
    assert oracle.log_loss < report.evaluation.log_loss


def test_the_ideal_observer_is_judged_on_the_same_rows_and_lies_below_the_oracle(report: TrainingReport) -> None:
    oracle, observer = report.rivals.oracle, report.rivals.observer
    assert oracle is not None
    assert observer is not None
    assert observer.rows == report.evaluation.rows
    assert oracle.log_loss < observer.log_loss < report.rivals.recency.log_loss


def test_every_candidate_is_judged_on_the_hold_out_and_swept(report: TrainingReport) -> None:
    assert {each.name for each in report.candidates} == {"logistic", "boosted", "online"}
    assert report.candidates[0].name == report.chosen
    assert report.candidates[0].evaluation == report.evaluation
    swept = {each.name: each.sweeps[0] for each in report.candidates}
    assert (swept["boosted"].feature, swept["boosted"].violations) == ("days_since_last_activity", 0)
    assert swept["boosted"].steps > 1000


def test_report_reads_as_text_and_as_json(report: TrainingReport) -> None:
    text = report.text()
    assert "recency alone" in text
    assert text.index("ideal observer of events") < text.index("oracle (hidden state)")
    assert f"{report.chosen} (this model)" in text
    assert "more silence lowers the risk" in text
    assert msgspec.json.decode(report.json())["evaluation"]["rows"] == report.evaluation.rows


def test_a_second_training_gives_the_same_model_and_meets_the_champion(
    report: TrainingReport, registry: Registry, business: Path, elearning: Declaration
) -> None:
    champion = registry.promote(report.version, "first", NOW)
    again = train(archive_dir=business / "archive", registry=registry, declaration=elearning, now=NOW)
    assert registry.model(again.version) == registry.model(report.version)
    assert again.rivals.champion == again.evaluation == report.evaluation
    assert load(business / "models", champion, elearning.feature_set_version, signature_of(elearning)).version == "1"


def test_a_version_has_a_card_that_tells_who_approved(
    report: TrainingReport, registry: Registry, business: Path
) -> None:
    steward = Steward(registry, AuditLog(business / "models"), "required", lambda champion: None)
    steward.judged(report.version, report.verdict, {}, NOW)
    steward.approve(report.version, "Ann", "read its card", NOW, override=True)
    publish(registry, steward.history(), report.version)
    page = registry.text(report.version, HTML_FILE)
    assert page is not None
    assert f"{report.evaluation.rows:,} rows" in page
    assert "Approved by Ann on 2026-06-01 00:00 UTC: read its card" in page


def test_snapshots_whose_labels_are_not_known_are_refused(
    registry: Registry, business: Path, elearning: Declaration
) -> None:
    with pytest.raises(DataError, match="the label of 2026-05-01 is not known yet"):
        train(
            archive_dir=business / "archive",
            registry=registry,
            declaration=elearning,
            now=NOW,
            as_ofs=[date(2026, 2, 10), date(2026, 5, 1)],
        )


def test_an_empty_archive_is_refused(registry: Registry, tmp_path: Path, elearning: Declaration) -> None:
    with pytest.raises(DataError, match="holds no events"):
        train(archive_dir=tmp_path, registry=registry, declaration=elearning, now=NOW)
