"""The producers over the simulated Kafka: the plain one, the transactional one, and who ends a dead member's transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from llm_service.contract.record import Record
from llm_service.errors import DependencyUnavailable, MessageTooLarge, PublishFailed, TopicNotWritable
from llm_service.kafka.offset_map import OffsetMapInvalid, read
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import Position
from llm_service.kafka.transaction import (
    Aborted,
    MembershipRefused,
    MessagesRefused,
    Outgoing,
    Undecided,
)
from tests.simulation.calls import Calls
from tests.simulation.cluster import Cluster
from tests.simulation.faults import CallFailed
from tests.simulation.transactions import Fenced

_OPEN_S = 4.0
_BUSY_S = 0.005
# So long a request may lie in the network when its sender has given it up.
_ADRIFT_S = 3.0
_DEAD_PAUSE_S = 3.0


class SimulatedPublisher:
    """See ``llm_service.kafka.publisher.Publisher``: ``publish`` is all that is asked of it."""

    def __init__(self, cluster: Cluster, calls: Calls) -> None:
        self._cluster = cluster
        self._calls = calls

    async def publish(self, topic: str, record: Record) -> None:
        refusal = refused(self._cluster, topic, record)
        if refusal is not None:
            raise refusal
        found = self._cluster.topics[topic]
        log = found.partitions[found.partition_of(record.key)]
        if log.closed_until > self._cluster.world.now:
            raise PublishFailed(f"the leader of {topic} is not known")
        try:
            await self._calls.make_async("produce", lambda: self._cluster.append(topic, record))
        except CallFailed as error:
            raise PublishFailed(f"{topic}: no acknowledgement") from error


class SimulatedTransactions:
    """See ``llm_service.kafka.transaction.TransactionPort``."""

    def __init__(self, cluster: Cluster, calls: Calls, name: str) -> None:
        self._cluster = cluster
        self._calls = calls
        self._name = name
        self._epoch: int | None = None
        self._giving_up = False

    def open(self) -> None:
        self._epoch = None
        transactions = self._cluster.transactions
        until = self._calls.threads.monotonic() + _OPEN_S
        while (epoch := self._asked("producer's begin", lambda: transactions.begin_anew(self._name))) is None:
            if self._calls.threads.monotonic() >= until:
                raise DependencyUnavailable("no transaction can be begun: no coordinator")
            self._calls.threads.sleep(_BUSY_S)
        self._epoch = epoch

    def run(self, messages: Sequence[Outgoing], positions: Sequence[Position], metadata: bytes) -> None:
        if self._epoch is None:
            raise Undecided("the transactional producer is not open")
        writer = self._name, self._epoch
        try:
            self._wait_for_the_last(writer)
            if messages:
                self._write(writer, messages)
            if positions:
                self._send(writer, positions, metadata)
            self._commit(writer)
        except Fenced as error:
            self._calls.process.world.hits["producer fenced"] += 1
            self._epoch = None
            raise Undecided("fenced") from error

    def committed(self, places: Sequence[TopicPartition]) -> Sequence[Committed]:
        offsets = self._cluster.offsets

        def stable() -> list[Committed]:
            return offsets.stable(places)

        try:
            return self._calls.make("committed offsets", stable)
        except CallFailed:
            return []

    def give_up(self) -> None:
        self._giving_up = True

    def close(self) -> None:
        self._epoch = None

    # --- one transaction ------------------------------------------------------------------------

    def _asked(self, name: str, do: Callable[[], int | None]) -> int | None:
        try:
            return self._calls.make(name, do)
        except CallFailed as error:
            raise DependencyUnavailable(f"no transaction can be begun: {error}") from error

    def _wait_for_the_last(self, writer: tuple[str, int]) -> None:
        while self._cluster.transactions.is_busy(writer):
            self._calls.threads.sleep(_BUSY_S)

    def _write(self, writer: tuple[str, int], messages: Sequence[Outgoing]) -> None:
        named: dict[int, MessageTooLarge | TopicNotWritable] = {}
        for index, outgoing in enumerate(messages):
            refusal = refused(self._cluster, outgoing.topic, outgoing.record)
            if refusal is not None:
                named[index] = refusal

        def write() -> None:
            for index, outgoing in enumerate(messages):
                if index not in named:
                    self._append(writer, outgoing)

        if any(self._is_closed(outgoing) for outgoing in messages):
            self._calls.threads.sleep(0.5)
        try:
            self._calls.make("transaction's messages", write)
        except CallFailed as error:
            self._abort(writer, str(error))
            raise Aborted(f"a transaction was aborted: {error}") from error
        if named:
            self._abort(writer, "messages refused")
            raise MessagesRefused(named)

    def _send(self, writer: tuple[str, int], positions: Sequence[Position], metadata: bytes) -> None:
        member, _, generation = metadata.decode().partition("\0")

        def send() -> str | None:
            refusal = self._cluster.group.refusal(member, int(generation), in_transaction=True)
            return refusal or self._cluster.transactions.send_offsets(writer, positions)

        try:
            refusal = self._calls.make("transaction's offsets", send)
        except CallFailed as error:
            self._abort(writer, str(error))
            raise Aborted(f"a transaction was aborted: {error}") from error
        if refusal is not None:
            self._abort(writer, refusal)
            if refusal == "OFFSET_METADATA_TOO_LARGE":
                self._cluster.complaints.append("a transaction's map is too long for the commit's metadata")
                raise Aborted(f"a transaction was aborted: {refusal}")
            self._calls.process.world.hits["membership refused"] += 1
            raise MembershipRefused(f"the group has moved on: {refusal}")

    def _commit(self, writer: tuple[str, int]) -> None:
        transactions = self._cluster.transactions
        for _ in range(1 if self._giving_up else 3):
            try:
                return self._calls.make("transaction's end", lambda: transactions.end(writer, commit=True))
            except CallFailed:
                if self._calls.process.world.rng.random() < 0.5:
                    break  # the network is cut for longer than anybody repeats it
        self._epoch = None
        if self._calls.process.world.rng.random() < 0.3:
            self._cluster.world.after(
                self._cluster.world.rng.random() * _ADRIFT_S, lambda: self._arrive(writer)
            )
        raise Undecided("a commit of unknown result")

    def _arrive(self, writer: tuple[str, int]) -> None:
        """A commit that its sender has given up reaches the coordinator after all."""
        try:
            self._cluster.transactions.end(writer, commit=True)
        except Fenced:
            return

    def _abort(self, writer: tuple[str, int], reason: str) -> None:
        try:
            self._calls.make(
                "transaction's abort", lambda: self._cluster.transactions.end(writer, commit=False)
            )
        except CallFailed as failed:
            self._epoch = None
            raise Undecided(f"{reason}; aborting: {failed}") from failed

    def _append(self, writer: tuple[str, int], outgoing: Outgoing) -> None:
        topic = self._cluster.topics[outgoing.topic]
        number = topic.partition_of(outgoing.record.key)
        self._cluster.transactions.write(
            writer, outgoing.topic, number, topic.partitions[number], outgoing.record
        )

    def _is_closed(self, outgoing: Outgoing) -> bool:
        topic = self._cluster.topics[outgoing.topic]
        log = topic.partitions[topic.partition_of(outgoing.record.key)]
        return log.closed_until > self._cluster.world.now


class SimulatedDeadMembers:
    """See ``llm_service.kafka.dead_member.DeadMembers``: the same questions on a thread of its own."""

    def __init__(self, cluster: Cluster, calls: Calls, own_id: str) -> None:
        self._cluster = cluster
        self._calls = calls
        self._own_id = own_id
        self._next: dict[TopicPartition, float] = {}

    def overdue(self, places: Collection[TopicPartition]) -> None:
        now = self._cluster.world.now
        self._next = {place: self._next.get(place, now) for place in places}
        late = [place for place, due in self._next.items() if now >= due]
        if late:
            self._next.update(dict.fromkeys(late, now + _DEAD_PAUSE_S))
            owners = {self._owner(place) for place in late} - {None, self._own_id}
            for owner in sorted(owner for owner in owners if owner is not None):
                delay = self._calls.process.world.between(0.01, 0.1)
                self._calls.process.after(delay, lambda name=owner: self._end(name))  # type: ignore[misc]

    def _end(self, name: str) -> None:
        if self._cluster.transactions.begin_anew(name) is None:
            self._calls.process.after(_BUSY_S, lambda: self._end(name))

    def _owner(self, place: TopicPartition) -> str | None:
        committed = self._cluster.offsets.committed(place)
        try:
            return read(committed.metadata, committed.offset or 0).owner
        except OffsetMapInvalid:
            return None


def refused(cluster: Cluster, topic: str, record: Record) -> MessageTooLarge | TopicNotWritable | None:
    """Why the topic does not take the message; None where it does."""
    found = cluster.topics[topic]
    if record.size > found.largest:
        return MessageTooLarge(f"{topic} does not take a message of this size")
    if found.denied_until > cluster.world.now:
        return TopicNotWritable(f"{topic} can't be written")
    return None
