"""The card of a model that was just trained, from its report and the rows of the hold-out."""

import math

from churn.declaration import Declaration
from churn.model import Model, Scorer
from training.card import Card, Tried, build
from training.checks import Verdict
from training.examined import Examined
from training.material import Gathered
from training.report import Contender, TrainingReport
from training.segments import segments


def card_of(report: TrainingReport, declaration: Declaration, model: Model, test: Gathered, data_set: Examined) -> Card:
    """Return the card of a model by its rows of the hold-out."""
    scored = Scorer(model, "0").score(test.rows.matrix)
    kinds = segments(declaration, test.rows.matrix)
    return build(
        report, declaration, model.trained, test.users, test.rows.churned, scored, kinds,
        [tried(each, each.name == report.chosen) for each in report.candidates],
        [*sweeps_of(report), *checks_of(data_set)],
    )  # fmt: skip


def tried(each: Contender, chosen: bool) -> Tried:
    """Return a candidate's line."""
    found, fold_loss = each.evaluation, None if math.isnan(each.fold_loss) else each.fold_loss
    settings = ", ".join(f"{key} {value}" for key, value in each.settings.items())
    return Tried(each.name, chosen, fold_loss, found.log_loss, found.auc, found.ece, each.seconds, settings)


def sweeps_of(report: TrainingReport) -> list[str]:
    """Return whether more silence ever lowered the chosen model's risk, a sentence for each feature of silence."""
    swept = [sweep for each in report.candidates if each.name == report.chosen for sweep in each.sweeps]
    return [
        f"more days of {sweep.feature} lowered the risk in {sweep.violations:,} of {sweep.steps:,} steps, all else equal"
        + (f", by at most {sweep.worst:.3f} in log-odds" if sweep.violations else "")
        for sweep in swept
    ]


def checks_of(data_set: Examined) -> list[str]:
    """Return the data set's name and what was found in it, a sentence each."""
    checks = data_set.report.checks
    warned = [f"warned: {check.name}: {check.seen}" for check in checks if check.verdict is Verdict.WARNED]
    fine = sum(check.verdict is Verdict.PASSED for check in checks)
    return [data_set.fingerprint.text(), f"checks of the data: {fine} of {len(checks)} passed", *warned]
