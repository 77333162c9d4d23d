"""The transaction coordinator: epochs, fencing, decisions that are durable before their markers are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llm_service.contract.record import Record
from llm_service.kafka.tracker import Position
from tests.simulation.log import Entry, PartitionLog, Producer
from tests.simulation.offsets import Offsets
from tests.simulation.world import World

TIMEOUT_S = 10.0
# A broker looks every 10 s for transactions that are past their timeout.
SWEEP_S = 10.0
_MARKERS_S = 0.02


class Fenced(Exception):
    """A newer producer of the same id is there, or the broker has ended the transaction itself."""


@dataclass(slots=True)
class _Transaction:
    """What the coordinator knows of one transactional id."""

    epoch: int = -1
    state: str = "empty"
    began_at: float = 0.0
    number: int = 0
    written: dict[int, PartitionLog] = field(default_factory=dict)
    entries: list[tuple[str, int, Entry]] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)


class Transactions:
    """All transactional ids of the cluster."""

    def __init__(self, world: World, offsets: Offsets) -> None:
        self._world = world
        self._offsets = offsets
        self._known: dict[str, _Transaction] = {}
        self.watch: list[Watcher] = []

    def begin_anew(self, name: str) -> int | None:
        """``InitProducerId``: a new epoch, or None while the last transaction is being ended."""
        found = self._known.setdefault(name, _Transaction())
        if found.state == "ongoing":
            found.epoch += 1  # whoever began it is fenced from now on
            self._decide(name, found, (name, found.epoch - 1), commit=False)
        if found.state != "empty":
            return None
        found.epoch += 1
        return found.epoch

    def is_busy(self, writer: Producer) -> bool:
        """Whether the last transaction's markers are still being written: CONCURRENT_TRANSACTIONS."""
        return self._of(writer).state in {"commit", "abort"}

    def write(self, writer: Producer, topic: str, partition: int, log: PartitionLog, record: Record) -> None:
        found = self._begun(writer)
        found.written[id(log)] = log
        entry = log.append(record, self._world.now, writer)
        found.entries.append((topic, partition, entry))

    def send_offsets(self, writer: Producer, positions: Sequence[Position]) -> str | None:
        found = self._begun(writer)
        refused = self._offsets.add_pending(writer, positions)
        if refused is None:
            found.positions += positions
        return refused

    def end(self, writer: Producer, *, commit: bool) -> None:
        """``EndTxn``: decided when it returns. Asked again for the same end, it is answered in the same way."""
        found = self._of(writer)
        if found.state == "ongoing":
            self._decide(writer[0], found, writer, commit=commit)

    @property
    def is_quiet(self) -> bool:
        """Whether no transaction is under way: then a read_committed reader sees all there is."""
        return all(found.state == "empty" for found in self._known.values())

    def _of(self, writer: Producer) -> _Transaction:
        found = self._known[writer[0]]
        if found.epoch != writer[1]:
            raise Fenced
        return found

    def _begun(self, writer: Producer) -> _Transaction:
        found = self._of(writer)
        if found.state == "empty":
            found.state, found.began_at = "ongoing", self._world.now
            found.number += 1
            number = found.number
            sweep = TIMEOUT_S + self._world.rng.random() * SWEEP_S
            self._world.after(sweep, lambda: self._time_out(writer, number))
        return found

    def _time_out(self, writer: Producer, number: int) -> None:
        found = self._known[writer[0]]
        if found.state == "ongoing" and found.number == number:
            self._world.hits["transaction ended by its timeout"] += 1
            self._world.note("broker", f"{writer[0]}: transaction timed out")
            found.epoch += 1
            self._decide(writer[0], found, writer, commit=False)

    def _decide(self, name: str, found: _Transaction, writer: Producer, *, commit: bool) -> None:
        found.state = "commit" if commit else "abort"
        self._world.note("broker", f"{name}: {found.state} of {len(found.entries)} messages")
        entries, positions = found.entries, found.positions
        found.entries, found.positions = [], []
        if commit:
            for watcher in self.watch:
                watcher.decided(name, entries, positions)
        logs = list(found.written.values())
        found.written = {}
        left = len(logs) + 1

        def marked(log: PartitionLog | None) -> None:
            nonlocal left
            if log is None:
                self._offsets.decide(writer, commit=commit)
            else:
                log.decide(writer, commit=commit, now=self._world.now)
            left -= 1
            if left == 0:
                found.state = "empty"

        for log in [*logs, None]:
            self._world.after(self._world.rng.random() * _MARKERS_S, lambda log=log: marked(log))  # type: ignore[misc]


class Watcher:
    """Hears of each transaction at the moment in which it is decided to be committed."""

    def decided(
        self, name: str, entries: Sequence[tuple[str, int, Entry]], positions: Sequence[Position]
    ) -> None: ...
