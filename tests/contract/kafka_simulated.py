"""The bench on the simulated Kafka: a world in which nothing fails, on its virtual clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from llm_service.contract.record import Record
from llm_service.kafka.transaction import Undecided
from tests.contract.kafka_benches import LARGEST, PARTITIONS, PATIENCE_S, Member, Seat, Transactions
from tests.simulation.calls import Calls
from tests.simulation.cluster import Cluster
from tests.simulation.consumer import SimulatedConsumer
from tests.simulation.faults import Faults
from tests.simulation.group import SESSION_S
from tests.simulation.log import Topic
from tests.simulation.loop import ProcessLoop
from tests.simulation.producer import SimulatedPublisher, SimulatedTransactions
from tests.simulation.threads import SimulatedThreads
from tests.simulation.transactions import Fenced
from tests.simulation.world import Process, World

T = TypeVar("T")


class _HeldTransactions(SimulatedTransactions):
    """Stops before the end when it is told to."""

    hold = False
    _held: tuple[str, int] | None = None

    def _commit(self, writer: tuple[str, int]) -> None:
        if self.hold:
            self._held = writer
        else:
            super()._commit(writer)

    def finish(self) -> None:
        assert self._held is not None
        try:
            super()._commit(self._held)
        except Fenced as error:
            raise Undecided("fenced") from error

    def drop(self) -> None:
        assert self._held is not None
        self._abort(self._held, "dropped")


class _Called:
    """A port each of whose calls is made on a thread of its process."""

    def __init__(self, bench: SimulatedBench, threads: SimulatedThreads, port: object) -> None:
        vars(self).update(_on_thread=partial(bench.on_thread, threads), _port=port)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found
        return lambda *arguments: self._on_thread(lambda: found(*arguments))

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._port, name, value)


class SimulatedBench:
    """A world in which nothing fails."""

    name = "simulated"
    tasks, status = "tasks", "status"
    session_s = SESSION_S

    def __init__(self, protocol: str) -> None:
        self._world = World(1)
        topics = [Topic(self.tasks, PARTITIONS), Topic(self.status, 1, LARGEST)]
        self._cluster = Cluster(self._world, topics, [self.tasks], protocol)
        self._protocol = protocol
        self._processes: dict[Member, Process] = {}
        self._made: list[SimulatedThreads] = []
        self._loops: list[ProcessLoop] = []

    def now(self) -> float:
        return self._world.now

    def member(self, *, apart: bool = False) -> Member:
        process, calls = self._process()
        seat = Seat(SimulatedConsumer(self._cluster, calls, self._protocol), self.tasks)
        member = Member(
            lambda name, *arguments: self.on_thread(calls.threads, lambda: getattr(seat, name)(*arguments))
        )
        self._processes[member] = process
        return member

    def stop(self, member: Member, seconds: float) -> None:
        self._processes[member].pause(seconds)
        self._world.run(lambda: False, self._world.now + seconds)

    def idle(self, seconds: float) -> None:
        self._world.run(lambda: False, self._world.now + seconds)

    def transactions(self, name: str) -> Transactions:
        _, calls = self._process()
        port: Any = _Called(self, calls.threads, _HeldTransactions(self._cluster, calls, name))
        transactions: Transactions = port
        return transactions

    def stranger(self) -> bytes:
        # With KIP-848 a client gives itself its name before it asks anybody.
        return b"stranger\x00-1" if self._protocol == "consumer" else b"\x00-1"

    def send(self, partition: int, *values: bytes) -> None:
        for value in values:
            self._cluster.topics[self.tasks].partitions[partition].append(Record(None, value, ()), self.now())

    def publish(self, topic: str, value: bytes) -> None:
        process, calls = self._process()
        loop = ProcessLoop(process)
        self._loops.append(loop)
        publisher = SimulatedPublisher(self._cluster, calls)
        task = loop.create_task(publisher.publish(topic, Record(b"key", value, ())))
        self._world.run(task.done, self.now() + PATIENCE_S)
        task.result()

    def read(self, topic: str, isolation: str) -> list[tuple[int, bytes | None]]:
        self._world.run(lambda: False, self.now() + 1.0)  # a reader comes when the markers are written
        log = self._cluster.topics[topic].partitions[0]
        entries = log.visible() if isolation == "read_committed" else log.entries
        return [(entry.offset, entry.value) for entry in entries if not entry.is_marker]

    def on_thread(self, threads: SimulatedThreads, do: Callable[[], T]) -> T:
        """On a thread of that process, until it is done."""
        answers: list[tuple[T | None, Exception | None]] = []

        def run() -> None:
            try:
                answers.append((do(), None))
            except Exception as error:
                answers.append((None, error))

        threads.thread(run, "script").start()
        self._world.run(lambda: bool(answers), self.now() + PATIENCE_S)
        ((answer, error),) = answers
        if error is not None:
            raise error
        return answer  # type: ignore[return-value] # None where that is the answer

    def end(self) -> None:
        self._world.is_over = True
        for threads in self._made:
            threads.abandon()
        for loop in self._loops:
            loop.abandon()

    def _process(self) -> tuple[Process, Calls]:
        process = Process(self._world, f"p{len(self._made)}")
        threads = SimulatedThreads(process)
        self._made.append(threads)
        return process, Calls(process, threads, Faults(self._world), self._cluster)


@contextmanager
def simulated(protocol: str) -> Iterator[SimulatedBench]:
    bench = SimulatedBench(protocol)
    try:
        yield bench
    finally:
        bench.end()
