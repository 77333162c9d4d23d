"""A settling loop on a clock that the test moves, with numbers that add up exactly, and a flag that tells who waited."""

from __future__ import annotations

from llm_service import events
from llm_service.kafka.grouping import Waiting
from llm_service.kafka.membership import Membership
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.settling_loop import SettlingLoop, SettlingPolicy, Told
from llm_service.kafka.tracker import PartitionTracker
from llm_service.resilience.threads import SystemThreads
from tests.unit.kafka.fake_transactions import TOPIC, FakeTransactions, waiting

POLICY = SettlingPolicy(
    owner="group-me",
    moved_interval_s=0.25,
    refused_s=0.5,
    idle_s=2.0,
    slow_s=5.0,
    first_delay_s=0.5,
    last_delay_s=3.0,
    rebuilds=2,
    rebuilds_within_s=8.0,
)


class Flag:
    """Waits for nobody: says at once whether it was set, and keeps how long it was to be waited for."""

    def __init__(self) -> None:
        self.is_up = False
        self.waits: list[float | None] = []

    def set(self) -> None:
        self.is_up = True

    def clear(self) -> None:
        self.is_up = False

    def is_set(self) -> bool:
        return self.is_up

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return self.is_up


class _Threads(SystemThreads):
    def __init__(self, flag: Flag) -> None:
        self._flag = flag

    def flag(self) -> Flag:
        return self._flag


class Rig:
    """A member that holds partition 0, ten messages of it taken."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now
        self.port = FakeTransactions()
        self.flag = Flag()
        self.seen: list[events.Event] = []
        self.settled_calls = 0
        self.loop = SettlingLoop(
            self.port, POLICY, self._tell, self._settled, lambda: self.now, _Threads(self.flag)
        )
        self.trackers: dict[TopicPartition, PartitionTracker] = {}
        self.hold(0)

    def _tell(self, told: Told) -> None:
        for one, error in told.answers:
            one.answer(error)
        self.seen += told.events

    def _settled(self) -> None:
        self.settled_calls += 1

    def hold(self, partition: int, taken: int = 10) -> PartitionTracker:
        tracker = PartitionTracker(TOPIC, partition, 1, start=0)
        for offset in range(taken):
            tracker.take(offset)
        self.trackers[TopicPartition(TOPIC, partition)] = tracker
        self.member()
        return tracker

    def member(self, metadata: bytes | None = b"generation 1") -> None:
        self.loop.hand_over(Membership(metadata, dict(self.trackers)))

    def settle(self, offset: int, partition: int = 0, *, size: int = 10) -> Waiting:
        one = waiting(offset, partition, size=size)
        self.loop.add(one)
        return one

    def step(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.loop.step()
