"""A campaign: faults drawn from a seed while events flow, and after each round the checker's word on everything."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .beats import Beats, Heard
from .catalogue import CATALOGUE, Fault, chosen
from .checker import Checker, Difference, Unsettled
from .feed import Feed
from .report import Injected, Report
from .scene import Scene
from .state_check import DAMAGED

Say = Callable[[str], None]

#: Faults between two looks of the checker.
_ROUND = 20
_CALM_SECONDS = 90.0
#: Where faults do not come about (no permission to mount a disk), a campaign ends all the same.
_MOST_TRIES = 4


@dataclass(frozen=True)
class Plan:
    """What to do. only: names of faults, none: all. calm: each fault begins when the one before is over for good."""

    seed: int
    faults: int
    brokers: int = 1
    only: Sequence[str] = ()
    mutations: Sequence[str] = ()
    calm: bool = False
    round: int = _ROUND
    rate: float = 120.0
    stop_at_difference: bool = False
    seconds: float = float("inf")

    def pool(self) -> list[Fault]:
        """The faults to draw from."""
        found = chosen({name: CATALOGUE[name] for name in self.only or CATALOGUE}, self.brokers)
        if not found:
            raise ValueError(f"none of {list(self.only)} can be brought about with {self.brokers} broker(s)")
        return found


class Campaign:
    """One run of a plan, in a directory of its own, where the logs of a run that found something are left."""

    def __init__(self, plan: Plan, directory: Path, say: Say) -> None:
        self.plan, self.directory, self._say = plan, directory, say
        self.report = Report(plan.seed, plan.brokers, 3, plan.mutations)
        self._began = time.monotonic()

    def run(self) -> Report:
        """Inject everything, check after each round, write the report."""
        plan, report = self.plan, self.report
        try:
            with Scene(self.directory, plan.seed, plan.brokers, plan.mutations) as scene:
                self._say(f"three workers on {plan.brokers} broker(s) run: {plan.faults} faults from seed {plan.seed}")
                checker, beats = Checker.of(scene.deployment), Beats(scene.deployment)
                try:
                    while not self._is_over():
                        self._round(scene, checker, beats)
                        report.write(self.directory)
                finally:
                    if not report.is_clean:
                        shutil.copytree(
                            self.directory / "workers",
                            self.directory / "logs",
                            ignore=lambda _, names: [name for name in names if not name.endswith(".log")],
                            dirs_exist_ok=True,
                        )
        finally:
            report.seconds = self._now()
            report.write(self.directory)
        return report

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _is_over(self) -> bool:
        report, plan = self.report, self.plan
        done = (
            report.injected >= plan.faults
            or len(report.faults) > _MOST_TRIES * plan.faults
            or self._now() > plan.seconds
        )
        return done or bool(report.unsettled) or (plan.stop_at_difference and not report.is_clean)

    def _round(self, scene: Scene, checker: Checker, beats: Beats) -> None:
        report = self.report
        began, settled = len(report.faults), True
        try:
            self._faults(scene, beats)
            healed = time.monotonic()
            checker.settle(scene.tend, scene.shown)
            report.settling.append(time.monotonic() - healed)
        except Unsettled as failure:
            report.unsettled.append(f"after {len(report.faults)} faults: {failure}")
            settled = False
        differences = checker.check(scene.stores()) if settled else checker.check(partial=True)
        found = [str(each) for each in differences if not self._is_planted(scene, each)] + scene.wrong
        if scene.hanging and not any(CATALOGUE[each.name].hits_brokers for each in report.faults[began:]):
            found += [f"left hanging, and no broker was touched: {each}" for each in scene.hanging]
        report.differences += [f"after {len(report.faults)} faults: {each}" for each in found]
        report.hanging += scene.hanging
        scene.wrong.clear()
        scene.hanging.clear()
        report.counts = checker.counts()
        report.seconds = self._now()
        self._say(f"{report.verdict()}; {report.counts}")

    @staticmethod
    def _is_planted(scene: Scene, difference: Difference) -> bool:
        """Whether it is a flipped bit that no worker has come upon yet."""
        flipped = {member.name for member in scene.members if member.flipped}
        return difference.kind == DAMAGED and difference.where.partition(",")[0] in flipped

    def _faults(self, scene: Scene, beats: Beats) -> None:
        """Inject a round of faults while events flow, and heal everything."""
        plan = self.plan
        left = min(plan.round, plan.faults - self.report.injected)
        with Feed(scene.deployment, scene.random.randrange(1 << 30), rate=plan.rate), beats.beating() as heard:
            self._until_calm(heard)
            while left > 0 and self._now() < plan.seconds:
                left -= 1
                self._inject(scene, heard)
                scene.wait(scene.between(0.1, 1.5))
            scene.heal()

    def _inject(self, scene: Scene, heard: Heard) -> None:
        pool = self.plan.pool()
        fault = scene.random.choices(pool, [each.weight for each in pool])[0]
        began = time.monotonic()
        at = self._now()
        try:
            what, took = fault.inject(scene)
        except AssertionError as failure:  # brokers that took too long to come back, say: the round goes on
            what, took = f"not brought about: {str(failure).splitlines()[0]}", False
        seconds = time.monotonic() - began
        if self.plan.calm:
            scene.heal()
            scene.wait(3.0)  # so that what the fault has stopped is missed by now
            self._until_calm(heard)
        silence = heard.longest_silence(began, time.monotonic())
        heard.forget(began)
        self.report.faults.append(Injected(fault.number, fault.name, what, took, at, seconds, silence))
        self._say(f"{self.report.injected:4d}  {fault.name}: {what} ({seconds:.1f} s)")

    @staticmethod
    def _until_calm(heard: Heard) -> None:
        """Wait until every partition has given a sign lately, for so long that nothing comes after."""
        end = time.monotonic() + _CALM_SECONDS
        while time.monotonic() < end:
            now = time.monotonic()
            if heard.longest_silence(now - 1.5, now) < 0.6:
                return
            time.sleep(0.05)
