import numpy as np
import pytest
from churn.declaration import Declaration
from churn.admission import Admission, Record
from churn.layout import DAY_US, layout_of
from churn.partition import Partition
from compose.bench.load import chosen_users, events
from compose.bench.stock_state import Counting, PlainFeatures, fresh
from churn.events import decode
from feature_repo.declared import load

NOW_US = 20_000 * DAY_US + 12 * 3_600_000_000
DECLARATIONS = ("elearning",)


def test_the_plain_features_of_the_stock_application_equal_those_of_the_stream() -> None:
    layout = layout_of(load("feature_repo/declarations/elearning.yaml"))
    made = list(events("skewed", 20, 400, NOW_US - 20 * DAY_US, NOW_US))
    partition = Partition(layout, 0)
    records = [Record(number, NOW_US, user.encode(), value) for number, (user, value) in enumerate(made)]
    list(partition.ingest(Admission(layout, 0).admit(records)[0], len(records)))
    everyone = partition.refresh()
    assert everyone is not None
    counting, plain, states = Counting(layout), PlainFeatures(layout), {}
    for user, value in made:
        counting.add(states.setdefault(user, fresh(layout)), decode(value))
    vectors = [plain.compute(states[user], NOW_US // DAY_US) for user in partition.names(everyone.slots)]
    np.testing.assert_array_equal(np.array(vectors, np.float32), everyone.matrix)
