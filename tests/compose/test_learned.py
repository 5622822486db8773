"""The learner's figures are read from its metrics page."""

from prometheus_client import generate_latest

from compose.learned import figures
from feature_repo.instruments import Instruments


def test_figures_are_those_that_the_learner_exports() -> None:
    instruments = Instruments("learner")
    instruments.count("churn_labels", 3, churned="true")
    instruments.count("churn_labels", 9, churned="false")
    instruments.set("churn_online_log_loss", 0.25, model="online")
    instruments.set("churn_online_log_loss", 0.26, model="champion")
    instruments.set("churn_online_auc", 0.9, model="online")
    instruments.set("churn_online_calibration_error", 0.01, model="online")
    assert figures(generate_latest(instruments.registry).decode()) == {
        "labels": 12,
        "churned": 3,
        "log_loss": {"online": 0.25, "champion": 0.26},
        "auc": {"online": 0.9},
        "calibration_error": {"online": 0.01},
    }
