"""One simulated year through the real components: publish a day, wait until all have dealt with it, judge what was said."""

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from churn.errors import DefectError
from compose.demo import stack_of
from compose.produce_commands import publisher
from compose.progress import Progress
from compose.simulation.judging import Judged, Mask, Midnight
from compose.simulation.sayings import Sayings
from compose.simulation.schedule import Plan
from compose.simulation.stage import DECLARATION, FIRST, Stage, variables
from compose.simulation.timeline import Diary, Happening, champion_after
from producers.publisher import Publisher
from producers.synthetic.business import Day, SyntheticBusiness, Truth
from producers.synthetic.emission import DAY_US
from producers.synthetic.history import Outlet, midnight_us
from producers.synthetic.oracle import HORIZON_DAYS

Say = Callable[[str], None]


@dataclass
class Told:
    """What a year told: every judged midnight, everything that the loop did, how long it took."""

    plan: Plan
    judged: list[Judged] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    seconds: float = 0.0
    warm_up_seconds: float = 0.0
    day_seconds: list[float] = field(default_factory=list)

    @property
    def training_days(self) -> set[int]:
        """Return the days on which the keeper had a training."""
        return {
            each.day for each in self.happenings if each.day >= 0 and each.step in ("registered", "training_failed")
        }

    @property
    def whole(self) -> bool:
        """Tell whether every day was lived through."""
        return len(self.judged) == self.plan.days


def run(plan: Plan, folder: Path, today: date, say: Say) -> Told:
    """Live through a plan, in a folder of its name; every process of it has ended when this returns or raises.

    In one folder for all a second year would fail: MLflow holds connections by the address of a database, also when another
    file has taken its place.
    """
    began = time.monotonic()
    with stack_of(folder / plan.name, DECLARATION, variables()) as demo, publisher(demo.settings) as sink:
        year = Year(plan, Stage(demo), SyntheticBusiness(plan.scenario(today)), sink, Diary(demo.settings.models_dir))
        say(f"{plan.name}: {year.warm_up()}")
        year.told.warm_up_seconds = time.monotonic() - began
        # Ctrl-C ends the year early; what was told until then is worth reading.
        with closing(Sayings(demo.settings, FIRST)) as sayings, contextlib.suppress(KeyboardInterrupt):
            year.live(sayings, Progress(plan.name))
    year.told.seconds = time.monotonic() - began
    return year.told


class Year:
    """The days still to come, and what was told of those that went."""

    def __init__(self, plan: Plan, stage: Stage, business: SyntheticBusiness, sink: Publisher, diary: Diary) -> None:
        self._plan, self._stage, self._sink, self._diary = plan, stage, sink, diary
        self._days: Iterator[Day] = (day for day, _ in business.days_with_people(0, observed=False))
        self._outlet = Outlet(business, sink)
        self._unripe: deque[Midnight] = deque()
        self._champion, self._in_shadow = FIRST, False
        self.told = Told(plan)

    def warm_up(self) -> str:
        """Publish the history in one go and train the first champion; returns the training's report."""
        self._stage.prepare()
        for day in self._days:
            self._publish(day)
            if day.number + 1 == self._plan.warm_up:
                break
        self._sink.flush()
        report = self._stage.train_first(day.midnight, day.midnight + timedelta(days=1))
        self.told.happenings += self._diary.turn(-1)
        return report

    def live(self, sayings: Sayings, progress: Progress) -> None:
        """Live through the year, one day after the other."""
        for day in itertools.islice(self._days, self._plan.days):
            began = time.monotonic()
            self._live_through(day, sayings)
            self.told.day_seconds.append(time.monotonic() - began)
            progress.days(len(self.told.judged), self._plan.days, self._outlet.events)

    def _live_through(self, day: Day, sayings: Sayings) -> None:
        """Publish a day, whose first event lets its first midnight come; judge what was said of that."""
        number, truth = day.number - self._plan.warm_up, known(day)
        sayings.turn_to(day.midnight)
        self._publish(day)
        self._sink.flush()
        users = np.flatnonzero(truth.active_last_30d)
        sayings.wait_complete(users, self._stage.check)
        live, never = sayings.live(users), self._never(users, sayings)
        self._stage.wait_dealt_with(day.midnight)
        self.told.happenings += (new := self._diary.turn(number))
        self._meet(champion_after(self._champion, new), day.midnight + timedelta(days=1))
        self._judge(Midnight(number, users, truth.churn_probability[users], live, never), truth.active_last_30d)

    def _never(self, users: NDArray[np.int64], sayings: Sayings) -> NDArray[np.float64]:
        """Return what the first champion says: in shadow, unless it is the one that serves."""
        if self._champion == FIRST:
            return sayings.live(users)
        sayings.wait_shadow(users)
        return sayings.shadow(users)

    def _meet(self, champion: str, now: datetime) -> None:
        """When another version serves for the first time, the first champion becomes its challenger, for good."""
        self._champion = champion
        if champion != FIRST and not self._in_shadow:
            self._stage.challenge_with_first(now)
            self._in_shadow = True

    def _judge(self, midnight: Midnight, active: Mask) -> None:
        self.told.judged.append(midnight.judged())
        self._unripe.append(midnight)
        if midnight.day >= HORIZON_DAYS:
            ripe = self._unripe.popleft()
            self.told.judged[ripe.day] = ripe.judged(active)

    def _publish(self, day: Day) -> None:
        self._outlet.publish(day, day.events, 0, midnight_us(day) + DAY_US)


def known(day: Day) -> Truth:
    """Return the truth of a day.

    Raises:
        DefectError: it was made without.
    """
    if day.truth is None:
        raise DefectError(f"day {day.number} comes without its truth; simulate it with the oracle")
    return day.truth
