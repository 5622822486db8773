"""What the learner has learned and how well it foretold, read from its metrics page."""

import urllib.request
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_SECONDS = 5.0
JUDGED = ("churn_online_log_loss", "churn_online_auc", "churn_online_calibration_error")


def learned(address: str) -> dict[str, Any]:
    """Return the labels learned since the learner's start, and each model's figures on the last of them, all on the same."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  our own http url
        return figures(answer.read().decode())


def figures(text: str) -> dict[str, Any]:
    """Return the figures of a metrics page; a model that was not judged yet is left out."""
    found: dict[str, Any] = {"labels": 0, "churned": 0, "log_loss": {}, "auc": {}, "calibration_error": {}}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "churn_labels_total":
                found["labels"] += int(sample.value)
                found["churned"] += int(sample.value) if sample.labels["churned"] == "true" else 0
            elif sample.name in JUDGED:
                found[sample.name.removeprefix("churn_online_")][sample.labels["model"]] = round(sample.value, 4)
    return found


def sentence(found: dict[str, Any]) -> str:
    """Say it in one line.

    >>> sentence({"labels": 1200, "churned": 300, "log_loss": {"online": 0.25}, "auc": {"online": 0.9}})
    '1,200 matured labels learned, 25.0% churned; log loss on the last of them: online 0.2500'
    """
    share = f", {found['churned'] / found['labels']:.1%} churned" if found["labels"] else ""
    judged = ", ".join(f"{model} {loss:.4f}" for model, loss in sorted(found["log_loss"].items(), reverse=True))
    tail = f"; log loss on the last of them: {judged}" if judged else ""
    return f"{found['labels']:,} matured labels learned{share}{tail}"
