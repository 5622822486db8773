from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from churn.arms import arms
from churn.model import LogisticModel
from churn.scores import Challenger, Champion
from feature_repo.bundles import MODEL_FILE
from feature_repo.champion import ServingModel
from feature_repo.instruments import Instruments
from tests.api.building import AS_OF, DECLARATION, challenger, champion, lineup, model


@pytest.fixture
def instruments() -> Instruments:
    return Instruments("scorer")


@pytest.fixture
def holder(tmp_path: Path, instruments: Instruments) -> ServingModel:
    return ServingModel(tmp_path, DECLARATION, instruments)


def told(instruments: Instruments) -> dict[str, float]:
    """Return the process' samples by name and label values."""
    samples = [sample for metric in instruments.registry.collect() for sample in metric.samples]
    return {" ".join([sample.name, *sample.labels.values()]): sample.value for sample in samples}


def served(holder: ServingModel) -> str | None:
    return holder.serving.champion.version if holder.serving else None


def test_a_good_bundle_serves(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([champion(tmp_path, "1")])
    assert (served(holder), holder.refusal) == ("1", None)


def test_a_second_champion_takes_over(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([champion(tmp_path, "1")])
    holder.follow([champion(tmp_path, "2", model(intercept=-2.0))])
    assert holder.serving is not None
    assert isinstance(holder.serving.scorer.model, LogisticModel)
    assert (served(holder), holder.serving.scorer.model.intercept) == ("2", -2.0)


def bad_bundles(folder: Path) -> dict[str, Champion]:
    good = champion(folder, "2")
    lying = model()
    golden = [msgspec.structs.replace(row, probability=0.123) for row in lying.golden]
    unlisted = champion(folder, "7")
    (folder / unlisted.bundle / "model.pkl").write_bytes(b"")
    week = msgspec.structs.replace(lying, trained={"horizon_days": 7})
    return {
        "not in the manifest": unlisted,
        "7 days ahead": champion(folder, "8", week),
        "sha256": msgspec.structs.replace(good, sha256="0" * 64),
        "cannot be read": msgspec.structs.replace(good, bundle="churn/none"),
        "lies outside": msgspec.structs.replace(good, bundle="../elsewhere"),
        "golden rows differ": champion(folder, "3", msgspec.structs.replace(lying, golden=golden)),
        "feature set": champion(folder, "4", msgspec.structs.replace(lying, feature_set_version="other")),
        "other features": champion(folder, "5", msgspec.structs.replace(lying, features=lying.features[::-1])),
        "weights and features": champion(folder, "6", msgspec.structs.replace(lying, weight=[1.0])),
    }


@pytest.mark.parametrize("reason", [
    "not in the manifest", "7 days ahead", "sha256", "cannot be read", "lies outside", "golden rows differ", "feature set", "other features", "weights and features",
])  # fmt: skip
def test_a_bad_bundle_leaves_the_old_one_serving(holder: ServingModel, tmp_path: Path, reason: str) -> None:
    holder.follow([champion(tmp_path, "1")])
    holder.follow([bad_bundles(tmp_path)[reason]])
    assert served(holder) == "1"
    assert holder.refusal is not None
    assert reason in holder.refusal.reason


def test_a_bad_first_bundle_serves_nothing(holder: ServingModel, instruments: Instruments, tmp_path: Path) -> None:
    holder.follow([bad_bundles(tmp_path)["sha256"]])
    holder.retry()
    assert served(holder) is None
    assert told(instruments)["churn_refused_models_total"] == 1.0


def test_metrics_name_the_version_that_serves_and_no_other(
    holder: ServingModel, instruments: Instruments, tmp_path: Path
) -> None:
    holder.follow([champion(tmp_path, "1")])
    holder.follow([champion(tmp_path, "2")])
    holder.follow([bad_bundles(tmp_path)["sha256"]])
    info = {name: value for name, value in told(instruments).items() if name.startswith("churn_champion_")}
    assert info == {"churn_champion_info 2": 1.0, "churn_champion_promoted_seconds": AS_OF.timestamp()}


def test_of_several_records_the_last_serves_and_all_are_heard_of(holder: ServingModel, tmp_path: Path) -> None:
    gone = msgspec.structs.replace(champion(tmp_path, "1"), bundle="churn/deleted")
    holder.follow([gone, champion(tmp_path, "2")])
    assert (served(holder), holder.refusal) == ("2", None)
    records = [gone, champion(tmp_path, "2"), champion(tmp_path, "3")]
    assert [holder.heard_of(record.promotion) for record in records] == [True, True, False]


def test_a_rollback_is_not_heard_of_because_its_version_is(holder: ServingModel, tmp_path: Path) -> None:
    first = champion(tmp_path, "1")
    back = msgspec.structs.replace(first, promoted_at=AS_OF + timedelta(seconds=1))
    holder.follow([first])
    assert [holder.heard_of(record.promotion) for record in (first, back)] == [True, False]
    holder.follow([back])
    assert holder.heard_of(back.promotion)


def test_a_version_that_nobody_names_any_more_is_waited_for_once(holder: ServingModel) -> None:
    assert not holder.wait_for("1", timeout_seconds=0.01)
    holder.pass_over("1")
    assert holder.heard_of("1")


def test_a_bundle_that_comes_late_ends_the_waiting(holder: ServingModel, tmp_path: Path) -> None:
    states = [holder.awaited]
    named = champion(tmp_path, "1")
    (tmp_path / named.bundle / MODEL_FILE).rename(tmp_path / "elsewhere")
    holder.follow([named])
    states.append(holder.awaited)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(holder.wait_serving, 30.0)
        (tmp_path / "elsewhere").rename(tmp_path / named.bundle / MODEL_FILE)
        holder.retry()
        assert waiting.result()
    assert [*states, holder.awaited] == [False, True, False]


def test_a_version_is_waited_for_until_it_serves(holder: ServingModel, tmp_path: Path) -> None:
    named = champion(tmp_path, "1")
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(holder.wait_for, named.promotion, 20.0)
        holder.follow([named])
        assert waiting.result()
    assert served(holder) == "1"


def test_a_bundle_that_arrives_late_is_taken_on_retry(holder: ServingModel, tmp_path: Path) -> None:
    named = champion(tmp_path, "1")
    path = tmp_path / named.bundle / MODEL_FILE
    data = path.read_bytes()
    path.unlink()
    holder.follow([named])
    assert served(holder) is None
    path.write_bytes(data)
    holder.retry()
    assert (served(holder), holder.refusal) == ("1", None)


def test_a_refusal_ends_with_the_next_good_champion(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([bad_bundles(tmp_path)["sha256"]])
    holder.follow([champion(tmp_path, "7")])
    assert (served(holder), holder.refusal) == ("7", None)


def challenged(holder: ServingModel) -> list[tuple[str, float]]:
    assert holder.serving is not None
    return [(named.version, named.share) for named, _ in holder.serving.challengers]


def test_challengers_stand_beside_the_champion_and_date_what_is_served(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([champion(tmp_path, "1")])
    named = lineup(challenger(tmp_path, "2", 0.25, model(intercept=2.0)), challenger(tmp_path, "3"))
    holder.follow([named])
    assert holder.serving is not None
    assert (challenged(holder), holder.serving.since) == ([("2", 0.25), ("3", 0.0)], AS_OF + timedelta(seconds=1))
    assert holder.heard_of(named.announcement)
    answering = [holder.serving.answering(user) for user in ("u1", "u2", "user-1")]
    places = arms(["u1", "u2", "user-1"], [0.25, 0.0]).tolist()
    assert [each.version for each in answering] == ["2" if place == 0 else "1" for place in places]


@pytest.mark.parametrize("reason", ["sha256", "golden rows differ", "feature set"])
def test_a_bad_challenger_is_left_out_and_its_users_stay_with_the_champion(
    holder: ServingModel, instruments: Instruments, tmp_path: Path, reason: str
) -> None:
    bad = bad_bundles(tmp_path)[reason]
    broken = Challenger(bad.version, bad.bundle, bad.sha256, bad.feature_set_version, 0.5)
    holder.follow([champion(tmp_path, "1"), lineup(broken, challenger(tmp_path, "9", 0.5))])
    holder.retry()
    assert (served(holder), challenged(holder), told(instruments)["churn_refused_models_total"]) == (
        "1",
        [("9", 0.5)],
        1.0,
    )
    assert reason in "".join(holder.not_ready())
    assert holder.serving is not None
    found = {(e.version, e.since) for e, _ in holder.serving.parts([f"u{number}" for number in range(50)])}
    assert found == {("1", AS_OF), ("9", AS_OF + timedelta(seconds=1))}


def test_a_challenger_whose_bundle_arrives_late_is_taken_on_retry(holder: ServingModel, tmp_path: Path) -> None:
    late = challenger(tmp_path, "2", 0.5)
    (tmp_path / late.bundle).rename(tmp_path / "on its way")
    holder.follow([champion(tmp_path, "1"), lineup(late)])
    states = [challenged(holder)]
    (tmp_path / "on its way").rename(tmp_path / late.bundle)
    holder.retry()
    assert [*states, challenged(holder)] == [[], [("2", 0.5)]]
    assert holder.not_ready() == []


def test_a_challenger_that_became_champion_challenges_no_more(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([champion(tmp_path, "1"), lineup(challenger(tmp_path, "2", 0.5), challenger(tmp_path, "3"))])
    holder.follow([champion(tmp_path, "2")])
    assert (served(holder), challenged(holder), holder.not_ready()) == ("2", [("3", 0.0)], [])
    assert holder.serving is not None
    found = {(each.version, each.since) for each, _ in holder.serving.parts(["u1", "u2"])}
    assert found == {("2", AS_OF + timedelta(seconds=1))}


def test_challengers_of_a_refused_champion_wait_until_one_serves(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([champion(tmp_path, "1")])
    holder.follow([bad_bundles(tmp_path)["sha256"], lineup(challenger(tmp_path, "3", 0.5))])
    assert holder.serving is not None
    assert (served(holder), challenged(holder), holder.serving.since) == ("1", [], AS_OF)
    holder.follow([champion(tmp_path, "4")])
    assert (served(holder), challenged(holder)) == ("4", [("3", 0.5)])


def test_challengers_without_a_champion_serve_nobody(holder: ServingModel, tmp_path: Path) -> None:
    holder.follow([lineup(challenger(tmp_path, "2", 1.0))])
    assert served(holder) is None
    holder.follow([champion(tmp_path, "1")])
    assert (served(holder), challenged(holder)) == ("1", [("2", 1.0)])


def test_a_change_of_shares_loads_no_bundle_again(holder: ServingModel, tmp_path: Path) -> None:
    named = challenger(tmp_path, "2", 0.1)
    holder.follow([champion(tmp_path, "1"), lineup(named)])
    (tmp_path / named.bundle).rename(tmp_path / "gone")
    holder.follow([lineup(msgspec.structs.replace(named, share=0.2), seconds=2)])
    assert (challenged(holder), holder.left_out) == ([("2", 0.2)], ())
