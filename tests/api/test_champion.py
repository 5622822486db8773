from pathlib import Path

import msgspec
import pytest

from api.champion import ChampionHolder
from churn.scores import Champion
from feature_repo import bundles
from feature_repo.bundles import MODEL_FILE
from tests.api.building import DECLARATION, champion, model


@pytest.fixture
def holder(tmp_path: Path) -> ChampionHolder:
    version = DECLARATION.feature_set_version
    return ChampionHolder(lambda named: bundles.load(tmp_path, named, version), DECLARATION.feature_names)


def served(holder: ChampionHolder) -> str | None:
    return holder.serving.champion.version if holder.serving else None


def test_a_good_bundle_serves(holder: ChampionHolder, tmp_path: Path) -> None:
    holder.follow(champion(tmp_path, "1"))
    assert (served(holder), holder.refusal) == ("1", None)


def test_a_second_champion_takes_over(holder: ChampionHolder, tmp_path: Path) -> None:
    holder.follow(champion(tmp_path, "1"))
    holder.follow(champion(tmp_path, "2", model(intercept=-2.0)))
    assert holder.serving is not None
    assert (served(holder), holder.serving.scorer.model.intercept) == ("2", -2.0)


def bad_bundles(folder: Path) -> dict[str, Champion]:
    good = champion(folder, "2")
    lying = model()
    golden = [msgspec.structs.replace(row, probability=0.123) for row in lying.golden]
    return {
        "sha256": msgspec.structs.replace(good, sha256="0" * 64),
        "cannot be read": msgspec.structs.replace(good, bundle="churn/none"),
        "lies outside": msgspec.structs.replace(good, bundle="../elsewhere"),
        "golden rows differ": champion(folder, "3", msgspec.structs.replace(lying, golden=golden)),
        "feature set": champion(folder, "4", msgspec.structs.replace(lying, feature_set_version="other")),
        "other features": champion(folder, "5", msgspec.structs.replace(lying, features=lying.features[::-1])),
        "weights and features": champion(folder, "6", msgspec.structs.replace(lying, weight=[1.0])),
    }


@pytest.mark.parametrize("reason", [
    "sha256", "cannot be read", "lies outside", "golden rows differ", "feature set", "other features", "weights and features",
])  # fmt: skip
def test_a_bad_bundle_leaves_the_old_one_serving(holder: ChampionHolder, tmp_path: Path, reason: str) -> None:
    holder.follow(champion(tmp_path, "1"))
    holder.follow(bad_bundles(tmp_path)[reason])
    assert served(holder) == "1"
    assert holder.refusal is not None
    assert reason in holder.refusal.reason


def test_a_bad_first_bundle_serves_nothing(holder: ChampionHolder, tmp_path: Path) -> None:
    holder.follow(bad_bundles(tmp_path)["sha256"])
    assert served(holder) is None
    assert holder.refusals == 1


def test_a_bundle_that_arrives_late_is_taken_on_retry(holder: ChampionHolder, tmp_path: Path) -> None:
    named = champion(tmp_path, "1")
    path = tmp_path / named.bundle / MODEL_FILE
    data = path.read_bytes()
    path.unlink()
    holder.follow(named)
    assert served(holder) is None
    path.write_bytes(data)
    holder.retry()
    assert (served(holder), holder.refusal) == ("1", None)


def test_a_refusal_ends_with_the_next_good_champion(holder: ChampionHolder, tmp_path: Path) -> None:
    holder.follow(bad_bundles(tmp_path)["sha256"])
    holder.follow(champion(tmp_path, "7"))
    assert (served(holder), holder.refusal) == ("7", None)
