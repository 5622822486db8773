"""Whether a new model may serve: it must beat what is simple and what serves now, on the same later users."""

from dataclasses import dataclass

from churn.evaluation import Evaluation


@dataclass(frozen=True)
class Verdict:
    """`promotes` and, for people, why."""

    promotes: bool
    why: tuple[str, ...]


def judge(candidate: Evaluation, floor: Evaluation, champion: Evaluation | None, champion_note: str) -> Verdict:
    """Compare a candidate with the recency-only floor and with the champion, if one can score the same rows.

    `champion_note` says which champion that is, or why there is none to compare with.
    """
    failed: list[str] = []
    passed: list[str] = []
    for name, good, seen in _conditions(candidate, floor, champion, champion_note):
        (passed if good else failed).append(f"{'passed' if good else 'FAILED'}: {name} ({seen})")
    if champion is None:
        passed.append(f"not compared with a champion: {champion_note}")
    return Verdict(not failed, tuple(failed + passed))


def _conditions(
    candidate: Evaluation, floor: Evaluation, champion: Evaluation | None, champion_note: str
) -> list[tuple[str, bool, str]]:
    against_floor = f"{candidate.log_loss:.4f} against {floor.log_loss:.4f}"
    ranks = f"{candidate.auc:.4f} against {floor.auc:.4f}"
    conditions = [
        ("log loss is below that of recency alone", candidate.log_loss < floor.log_loss, against_floor),
        ("AUC is not below that of recency alone", candidate.auc >= floor.auc, ranks),
    ]
    if champion is not None:
        seen = f"{candidate.log_loss:.4f} against {champion.log_loss:.4f}"
        better = candidate.log_loss <= champion.log_loss
        conditions.append((f"log loss is not above that of the champion, {champion_note}", better, seen))
    return conditions
