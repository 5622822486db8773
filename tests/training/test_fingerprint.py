"""A data set's name: the same for the same data, another for any other."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from churn.declaration import Declaration
from training.fingerprint import Fingerprint, fingerprint_of
from training.profile import Profile
from training.provenance import COMPUTING, ROOT, code_version


@pytest.fixture
def profile() -> Profile:
    """Return what was seen in an archive of three events."""
    days = Counter({("session_started", 19_000): 2, ("session_started", 19_100): 1})
    return Profile(by_type_and_day=days, by_type=Counter({"session_started": 3}), users=2, content="ab" * 32)


def test_a_fingerprint_says_what_it_is_of(elearning: Declaration, profile: Profile) -> None:
    found = fingerprint_of(elearning, profile, [19_050, 19_057], 0.5, 400)
    assert (found.archive_from, found.archive_until, found.snapshots) == (
        "2022-01-08", "2022-04-18", ("2022-02-27", "2022-03-06"),
    )  # fmt: skip
    assert (found.events, found.users, found.share, found.horizon_days) == (3, 2, 0.5, 30)
    assert found.feature_set_version == elearning.feature_set_version
    assert len(found.id) == 12
    assert int(found.id, 16) > 0
    assert f"data set {found.id}: 3 events of 2 users" in found.text()


def test_the_same_facts_have_the_same_id_and_others_another(elearning: Declaration, profile: Profile) -> None:
    def ident(declaration: Declaration, found: Profile, *rest: object) -> str:
        return fingerprint_of(declaration, found, *rest).id  # type: ignore[arg-type]  # days and a share, as given below

    ids = [
        ident(elearning, profile, [19_050]),
        ident(elearning, profile, [19_051]),
        ident(elearning, profile, [19_050], 0.5),
        ident(elearning.with_horizon(7), profile, [19_050]),
        ident(replace(elearning, features=elearning.features[:-1]), profile, [19_050]),
        ident(elearning, replace(profile, content="cd" * 32), [19_050]),
    ]
    assert len(set(ids)) == len(ids)
    assert ident(elearning, profile, [19_050]) == ids[0]


def test_the_commit_is_a_hint_and_not_part_of_the_id(elearning: Declaration, profile: Profile) -> None:
    found = fingerprint_of(elearning, profile)
    other = Fingerprint(**{name: getattr(found, name) for name in found.__struct_fields__} | {"commit": "0" * 40})
    assert other.id == found.id


def test_the_code_is_that_of_every_module_that_computes_data() -> None:
    # What the data set imports of ours computes it; a module that is split must not drop out of the hash.
    assert all((ROOT / name).is_file() for name in COMPUTING)
    imported = {
        f"{line.split()[1].replace('.', '/')}.py"
        for name in COMPUTING
        for line in (ROOT / name).read_text().splitlines()
        if line.startswith(("from churn.", "from training."))
    }
    harmless = {"churn/errors.py", "churn/reading.py", "churn/slab.py"}
    assert imported - harmless <= set(COMPUTING)
    assert code_version().count("+") == 1


def test_sources_are_found_where_the_package_lies() -> None:
    assert Path(ROOT, "training", "fingerprint.py").samefile(Path(__file__).parents[2] / "training" / "fingerprint.py")
