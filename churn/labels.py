"""What churn means, as pure functions of days.

All days are UTC day numbers and a snapshot stands at midnight: `as_of_day` D covers everything before day D. With a
horizon of H days a user is in the population when the last activity lies in [D - H, D), and has churned when no
activity lies in [D, D + H). The label of a user is known once all of [D, D + H) has been observed, for both classes:
learning from those who came back early would bias the model towards staying.
"""

import numpy as np
import numpy.typing as npt

from churn.layout import CODE_BITS, NEVER, Int32s, Int64s, Layout

Mask = npt.NDArray[np.bool_]


def in_population(last_activity_days: Int32s, as_of_day: int, horizon_days: int) -> Mask:
    """Tell who was active in the horizon before the snapshot; NEVER is nobody.

    >>> in_population(np.array([69, 70, 99, NEVER], np.int32), 100, 30).tolist()
    [False, True, True, False]
    """
    found: Mask = (
        (last_activity_days >= as_of_day - horizon_days)
        & (last_activity_days < as_of_day)
        & (last_activity_days != NEVER)
    )
    return found


def churned(next_activity_days: Int32s, as_of_day: int, horizon_days: int) -> Mask:
    """Tell who stays silent over the horizon, from the first activity at or after the snapshot (NEVER_YET: none).

    >>> churned(np.array([100, 129, 130], np.int32), 100, 30).tolist()
    [False, False, True]
    """
    return next_activity_days >= as_of_day + horizon_days


def label_known(observed_until_days: Int32s, as_of_day: int, horizon_days: int) -> Mask:
    """Tell whose whole horizon was observed; `observed_until_days` is the first day not wholly seen, per user.

    >>> label_known(np.array([129, 130], np.int32), 100, 30).tolist()
    [False, True]
    """
    return observed_until_days >= as_of_day + horizon_days


def excluded(layout: Layout, registers: Int64s) -> Mask:
    """Tell which users the declaration's `label.exclude` leaves out; `registers` is int64 [users, registers]."""
    found = np.zeros(len(registers), np.bool_)
    for name, value in layout.declaration.label.exclude.items():
        code = layout.declaration.registers[name].values.index(value) + 1
        found |= (registers[:, layout.register(name)] & ((1 << CODE_BITS) - 1)) == code
    return found
