"""Folds: later days, other users, both classes on both sides."""

import numpy as np

from training.rows import Rows, folds_of, hashes_of


def rows(days: int, users: int) -> Rows:
    """Return one row a user and week; every third user churns."""
    at = np.repeat(np.arange(days, dtype=np.int32) * 7, users)
    who = np.tile(np.arange(users), days)
    hashes = hashes_of([f"u{n}" for n in who.tolist()])
    return Rows(who[:, None].astype(np.float32), who % 3 == 0, at, hashes)


def test_time_ordered_folds_keep_the_labels_of_the_past_before_the_future() -> None:
    folds = [fold for fold in folds_of(rows(10, 30), 14) if fold.kind == "later days"]
    assert [(int(f.early.days.max()), int(f.late.days.min())) for f in folds] == [(28, 42), (42, 56)]


def test_halves_of_users_share_nobody_and_miss_nobody() -> None:
    data = rows(10, 30)
    first, second = [fold for fold in folds_of(data, 14) if fold.kind == "other users"]
    assert not set(first.early.users.tolist()) & set(first.late.users.tolist())
    assert len(first.early) + len(first.late) == len(data)
    assert first.early.users.tolist() == second.late.users.tolist()


def test_rows_of_unknown_users_are_split_by_time_only() -> None:
    data = rows(10, 30)
    plain = Rows(data.matrix, data.churned, data.days)
    assert {fold.kind for fold in folds_of(plain, 14)} == {"later days"}


def test_cohorts_that_age_together_are_asked_for_other_users_only() -> None:
    assert {fold.kind for fold in folds_of(rows(10, 30), 14, cohorts=True)} == {"other users"}


def test_a_fold_knows_which_share_of_all_rows_it_learns_from() -> None:
    data = rows(10, 30)
    folds = folds_of(data, 14, most=50)
    assert {round(fold.share, 4) for fold in folds} == {round(50 / len(data), 4)}


def test_folds_of_one_class_are_left_out() -> None:
    data = rows(10, 30)
    assert folds_of(Rows(data.matrix, np.zeros(len(data), np.bool_), data.days, data.users), 14) == []


def test_large_sets_are_thinned_by_a_fixed_draw_in_their_order() -> None:
    data = rows(10, 30)
    thin = data.thinned(50)
    assert len(thin) == 50
    assert (np.diff(thin.days) >= 0).all()
    assert thin.users.tolist() == data.thinned(50).users.tolist()
    assert data.thinned(300) is data
