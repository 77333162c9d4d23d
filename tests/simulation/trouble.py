"""Bad days that come from outside a call: processes killed, stopped and started, leaders and clocks that move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.simulation.faults import EVENTS
from tests.simulation.group import SESSION_S
from tests.simulation.scenario import LETTERS, START_S, STATUS
from tests.simulation.worker import Worker

if TYPE_CHECKING:
    from tests.simulation.run import Run


class Trouble:
    """Plans the events of a seed; each finds its victim when it comes."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._world = run.world
        self._events: dict[str, Callable[[], bool]] = {
            "kill": self._kill,
            "pause longer than the session": lambda: self._pause(SESSION_S + 1.0, SESSION_S + 9.0),
            "short pause": lambda: self._pause(0.1, SESSION_S - 1.0),
            "graceful stop": self._stop,
            "new worker": self._start,
            "all killed together": self._kill_all,
            "leader moves": self._move_leader,
            "coordinator moves": self._move_coordinator,
            "clock jumps": self._jump,
            "event loop blocked": self._block,
            "topic denied": self._deny,
            "provider away": self._provider_away,
            "provider asks for rest": self._provider_busy,
            "ledger away": self._ledger_away,
        }

    def plan(self) -> None:
        rng = self._world.rng
        kinds = rng.sample([kind for kind in EVENTS if kind in self._events], rng.choice((0, 1, 3, 6, 14)))
        for kind in kinds:
            for _ in range(rng.choice((1, 1, 2, 4))):
                self._world.after(rng.random() * START_S, lambda kind=kind: self._happen(kind))  # type: ignore[misc]

    def _happen(self, kind: str) -> None:
        if not self._run.faults.calm and self._events[kind]():
            self._run.faults.hit(kind)

    def _victims(self) -> Sequence[Worker]:
        return [worker for worker in self._run.workers if worker.process.is_running]

    def _victim(self) -> Worker | None:
        victims = self._victims()
        return self._world.rng.choice(victims) if victims else None

    def _kill(self) -> bool:
        victim = self._victim()
        if victim is not None:
            victim.process.kill("SIGKILL")
            self._run.replace(victim)
        return victim is not None

    def _kill_all(self) -> bool:
        victims = self._victims()
        for victim in victims:
            victim.process.kill("SIGKILL")
            self._run.replace(victim)
        return bool(victims)

    def _pause(self, low: float, high: float) -> bool:
        victim = self._victim()
        if victim is not None:
            victim.process.pause(self._world.between(low, high))
        return victim is not None

    def _stop(self) -> bool:
        victim = self._victim()
        if victim is not None:
            victim.stop()
        return victim is not None

    def _start(self) -> bool:
        self._run.start_worker()
        return True

    def _move_leader(self) -> bool:
        topic = self._world.rng.choice(list(self._run.cluster.topics.values()))
        log = self._world.rng.choice(topic.partitions)
        seconds = self._world.between(0.1, 5.0)
        log.closed_until = self._world.now + seconds
        self._world.after(seconds, log.tell)
        return True

    def _move_coordinator(self) -> bool:
        self._run.cluster.coordinator_away_until = self._world.now + self._world.between(0.1, 8.0)
        return True

    def _jump(self) -> bool:
        victim = self._victim()
        if victim is not None:
            victim.clock.off += timedelta(seconds=self._world.between(-3600.0, 3600.0))
        return victim is not None

    def _block(self) -> bool:
        victim = self._victim()
        if victim is not None:
            victim.loop.blocked_s = self._world.between(0.2, 4.0)
        return victim is not None

    def _deny(self) -> bool:
        topic = self._run.cluster.topics[self._world.rng.choice((STATUS, LETTERS))]
        topic.denied_until = self._world.now + self._world.between(0.5, 8.0)
        return True

    def _provider_away(self) -> bool:
        self._run.provider.away_until = self._world.now + self._world.between(0.5, 10.0)
        return True

    def _ledger_away(self) -> bool:
        self._run.tables.away_until = self._world.now + self._world.between(0.5, 12.0)
        return "ledger" in self._run.scenario.features

    def _provider_busy(self) -> bool:
        self._run.provider.busy_until = self._world.now + self._world.between(0.2, 3.0)
        return True
