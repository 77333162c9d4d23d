"""One seed from its beginning to its verdict."""

from __future__ import annotations

import gc
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.simulation.cluster import Cluster
from tests.simulation.database import Tables
from tests.simulation.faults import Faults
from tests.simulation.judge import Watch
from tests.simulation.ledger_judge import LEDGER_TROUBLE, answered, disagreements
from tests.simulation.log import Topic
from tests.simulation.outside import ProviderLog, SimulatedStore
from tests.simulation.scenario import DROPS, LETTERS, RETRY, START_S, STATUS, TASKS, Expected, Scenario, draw
from tests.simulation.transactions import SWEEP_S, TIMEOUT_S
from tests.simulation.trouble import Trouble
from tests.simulation.verdict import Verdict
from tests.simulation.worker import SHUTDOWN_S, STATUS_BYTES, Surroundings, Worker
from tests.simulation.world import World

TASKS_A_SEED = 100
# After the last fault: what a dead member left open is ended, its session too, and then a minute for the backlog.
_HEALED_S = TIMEOUT_S + SWEEP_S + 70.0
# A lease of the fold that nobody gives back, and then two looks at the topic.
_FOLDED_S = 40.0
# The drain, leaving and closing, each with its own limit, and a last call over a slow network.
_EXIT_S = SHUTDOWN_S + 12.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be run, where the seed is not to decide alone."""

    tasks: int = TASKS_A_SEED
    mode: str | None = None
    protocol: str | None = None
    features: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """What came of one seed."""

    seed: int
    failures: list[str]
    hits: Counter[str]
    trace: str
    seconds: float
    """Of virtual time."""
    cpu_s: float = 0.0
    """Of the processor's: what it costs on a machine that has nothing else to do."""
    scenario: str = ""
    shown: list[str] = field(default_factory=list)


class Run:
    """The state of one seed's run."""

    def __init__(self, seed: int, wish: Wish = Wish()) -> None:
        self.world = World(seed)
        self.scenario: Scenario = draw(self.world.rng, wish.tasks, wish.mode, wish.protocol, wish.features)
        rng = self.world.rng
        topics = [
            Topic(TASKS, self.scenario.partitions),
            # A topic that takes less than it said at the start, in some runs.
            Topic(STATUS, 3, STATUS_BYTES if rng.random() < 0.8 else STATUS_BYTES - 1_000),
            Topic(LETTERS, 1, 30_000),
            Topic(RETRY, 2, 30_000),
            Topic(DROPS, 1),
        ]
        self.cluster = Cluster(self.world, topics, list(self.scenario.consumed), self.scenario.protocol)
        self.faults = Faults(self.world)
        self.faults.on_crash = lambda process: self._replace_named(process.name)
        self.provider = ProviderLog()
        self.watch = Watch(self.cluster, exactly=self.scenario.mode == "exactly_once")
        self.provider.on_call = self.watch.asked
        self.workers: list[Worker] = []
        self.tables = Tables(self.world)
        self._around = Surroundings(
            self.cluster, self.faults, self.scenario, self.provider, SimulatedStore(), self.tables
        )
        self._to_send = len(self.scenario.sent)
        self._lives: Counter[int] = Counter()
        self._number: dict[str, int] = {}
        self._finishing = False
        self.failures: list[str] = []

    # --- workers --------------------------------------------------------------------------------

    def start_worker(self, number: int | None = None) -> None:
        if self._finishing:
            return
        if number is None:
            number = len(self._lives)
        self._lives[number] += 1
        name = f"w{number}.{self._lives[number]}"
        same = f"group-{number}"
        transactional_id = same if self.scenario.same_ids else f"group-{name}"
        self._number[name] = number
        self.world.note(name, "starts")
        self.workers.append(Worker(self._around, name, transactional_id, self._on_exit))

    def replace(self, worker: Worker) -> None:
        self._replace_named(worker.process.name)

    def _replace_named(self, name: str) -> None:
        number = self._number[name]
        self.world.after(self.world.between(0.05, 3.0), lambda: self.start_worker(number))

    def _on_exit(self, worker: Worker) -> None:
        self._judge_exit(worker)
        self.replace(worker)

    def _judge_exit(self, worker: Worker) -> None:
        if worker.stopping_since is not None and self._finishing:
            took = self.world.now - worker.stopping_since
            if took > _EXIT_S and not worker.process.was_paused:
                self.failures.append(f"I10: {worker.process.name} took {took:.1f} s to stop")

    # --- the run --------------------------------------------------------------------------------

    def go(self) -> None:
        for at, expected in self.scenario.sent:
            self.world.after(at, lambda expected=expected: self._send(expected))  # type: ignore[misc]
        for number in range(self.scenario.workers):
            self.world.after(self.world.rng.random(), lambda number=number: self.start_worker(number))  # type: ignore[misc]
        self.faults.draw()
        Trouble(self).plan()
        self.world.run(self._is_done, START_S)
        self._heal()
        work = len(self.scenario.sent) * self.scenario.slowest_s * 2
        self.world.run(self._is_done, self.world.now + _HEALED_S + work)
        # One that stood still has perhaps gone on just now, and says again what another has said since.
        self.world.run(lambda: False, self.world.now + 1.0)
        if not self.world.run(self._is_done, self.world.now + _HEALED_S + work):
            self.failures.append(
                f"I8: {len(self.watch.left())} messages have no outcome and {len(self.watch.owed)} no dead letter "
                f"{_HEALED_S + work:.0f} s after"
            )
        self._finish()
        self.failures += self.cluster.complaints
        self.failures += self._verdict().broken()
        if "ledger" in self.scenario.features:
            is_well = not any(self.world.hits[kind] for kind in LEDGER_TROUBLE)
            exactly = self.scenario.mode == "exactly_once"
            status = self.cluster.topics[STATUS]
            self.failures += disagreements(status, self.tables, is_well=is_well, exactly=exactly)
        for worker in self.workers:
            self.failures += [f"{worker.process.name}: {failure}" for failure in worker.loop.failures]

    def _verdict(self) -> Verdict:
        kills = self.world.hits["a task kills its process"]
        return Verdict(self.cluster, self.watch, self.provider, self.scenario, kills)

    def _send(self, expected: Expected) -> None:
        topic = self.cluster.topics[expected.topic]
        number = topic.partition_of(expected.key)
        if self.scenario.gaps and self.world.rng.random() < self.scenario.gaps:
            topic.partitions[number].skip(self.world.rng.randrange(1, 5))
        offset = topic.partitions[number].end
        place = self.cluster.append(expected.topic, expected.record)
        self.watch.note_sent(place, offset, expected)
        self._to_send -= 1

    def _is_done(self) -> bool:
        if self.watch.failures:
            return True
        is_all_there = all(worker.process.dead or worker.process.is_running for worker in self.workers)
        return self._to_send == 0 and self.watch.is_done and is_all_there

    def _heal(self) -> None:
        """From here on nothing goes wrong; what is broken by then still is."""
        self.faults.calm = True
        self.world.note("world", "healed")

    def _finish(self) -> None:
        """Stop all that are left, as an operator does."""
        self._finishing = True
        self.faults.calm = True
        self.world.run(lambda: self.cluster.transactions.is_quiet, self.world.now + TIMEOUT_S + SWEEP_S)
        if "ledger" in self.scenario.features:
            awaited = set(answered(self.cluster.topics[STATUS]))
            self.world.run(lambda: awaited <= self.tables.rows.keys(), self.world.now + _FOLDED_S)
        for worker in self.workers:
            worker.stop()
        self.world.run(lambda: all(worker.process.dead for worker in self.workers), self.world.now + 60.0)
        for worker in self.workers:
            if not worker.process.dead:
                self.failures.append(f"I10: {worker.process.name} does not stop")

    def abandon(self) -> None:
        self.world.is_over = True
        for worker in self.workers:
            worker.abandon()
        self.workers.clear()


def run_seed(seed: int, wish: Wish = Wish()) -> Report:
    """Run it and judge it; an error on the way is a failure of the seed."""
    began = time.process_time()
    with _swept():
        # By a function of its own: what it made is garbage when the sweep begins.
        report = _judged(seed, wish)
    report.cpu_s = time.process_time() - began
    return report


def _judged(seed: int, wish: Wish) -> Report:
    run = Run(seed, wish)
    try:
        run.go()
    except AssertionError as broken:
        run.failures.append(str(broken))
    except Exception as error:
        frames = "".join(traceback.format_tb(error.__traceback__)[-6:])
        run.failures.append(f"the simulation failed: {type(error).__name__}: {error}\n{frames}")
    run.abandon()
    scenario = run.scenario
    return Report(
        seed,
        run.failures,
        run.world.hits,
        run.world.trace,
        run.world.now,
        scenario=f"{scenario.mode}, {scenario.protocol}, {scenario.workers} workers of {scenario.pool}, "
        f"{scenario.partitions} partitions, {len(scenario.sent)} messages",
        shown=list(run.world.shown) if run.failures else [],
    )


@contextmanager
def _swept() -> Iterator[None]:
    """Nothing is collected while it runs, and what killed processes left is swept away without a word."""
    was_enabled, hook = gc.isenabled(), sys.unraisablehook
    gc.disable()
    # The sweep at the end looks at what this run made, not at every module and test there is.
    gc.freeze()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
            sys.unraisablehook = lambda _: None
            gc.collect()
    finally:
        sys.unraisablehook = hook
        gc.unfreeze()
        if was_enabled:
            gc.enable()
