"""The consumer port over the simulated Kafka: what librdkafka's consumer does, told apart by thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence

from llm_service.kafka.port import Committed, KafkaMessage, RebalanceListener, TopicPartition
from llm_service.kafka.tracker import Position
from tests.simulation.calls import Calls
from tests.simulation.cluster import Cluster
from tests.simulation.faults import CallFailed
from tests.simulation.group import UNKNOWN
from tests.simulation.group_classic import ClassicGroup
from tests.simulation.log import Entry
from tests.simulation.membership import BackgroundMember, ClassicMember, ConsumerMember

_LOOK_S = 0.01
_FORGETS = 0.1


class SimulatedConsumer:
    """See ``llm_service.kafka.port.ConsumerPort`` and ``GroupMember``."""

    def __init__(self, cluster: Cluster, calls: Calls, protocol: str) -> None:
        self._cluster = cluster
        self._calls = calls
        self._protocol = protocol
        self._member: BackgroundMember | None = None
        self._listener: RebalanceListener | None = None
        self._offers: deque[tuple[str, Collection[TopicPartition], Callable[[], None]]] = deque()
        self._answers: deque[tuple[Sequence[Position], str | None]] = deque()
        self._position: dict[TopicPartition, int | None] = {}
        """Where the next message is read; None until the committed offset is known."""
        self._version = 0
        """Of the assignment."""
        self._paused: set[TopicPartition] = set()
        self._turn = 0
        self._news = calls.threads.flag()
        self._watched: set[TopicPartition] = set()
        calls.process.on_death.append(self._unwatch)

    # --- the port -------------------------------------------------------------------------------

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        self._listener = listener
        name, group = self._calls.process.name, self._cluster.group
        self._member = (
            ClassicMember(name, group, self._calls, self._offer, cooperative=self._protocol == "cooperative")
            if isinstance(group, ClassicGroup)
            else ConsumerMember(name, group, self._calls, self._offer)
        )
        self._member.start()

    def poll(self, timeout: float) -> KafkaMessage | None:
        self._calls.boundary("before poll")
        until = self._calls.threads.monotonic() + timeout
        while True:
            self._serve()
            message = self._next()
            if message is not None:
                self._calls.boundary("after poll")
                return message
            left = until - self._calls.threads.monotonic()
            if left <= 0:
                return None
            self._news.clear()
            self._news.wait(left)

    def consume(self, limit: int) -> Sequence[KafkaMessage]:
        messages: list[KafkaMessage] = []
        while len(messages) < limit and (message := self._next()) is not None:
            messages.append(message)
        return messages

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> Sequence[Committed]:
        until = self._calls.threads.monotonic() + timeout
        while True:
            try:
                answers = self._calls.make("committed offsets", lambda: self._stable(partitions))
            except CallFailed:
                return []
            if len(answers) == len(partitions) or self._calls.threads.monotonic() + _LOOK_S >= until:
                return answers
            self._calls.threads.sleep(_LOOK_S)

    def commit_async(self, positions: Sequence[Position]) -> None:
        member, generation = self._who()

        def answered(answer: tuple[str | None] | None) -> None:
            self._answers.append((positions, "timed out" if answer is None else answer[0]))

        self._calls.in_passing(
            "commit in passing", lambda: (self._commit(member, generation, positions),), answered
        )

    def commit(self, positions: Sequence[Position]) -> str | None:
        member, generation = self._who()
        try:
            return self._calls.make("commit", lambda: self._commit(member, generation, positions))
        except CallFailed:
            return "timed out"

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused |= set(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self._paused -= set(partitions)

    def seek(self, place: TopicPartition, offset: int) -> None:
        if self._position.get(place) is not None:
            self._position[place] = offset

    def close(self) -> None:
        member = self._member
        if member is None or self._listener is None:
            return
        member.stop()
        self._offers.clear()
        if member.owned:
            self._listener.on_revoke(sorted(member.owned))
        self._unwatch()
        name = member.name
        try:
            self._calls.make("leave", lambda: self._cluster.group.leave(name))
        except CallFailed:
            return

    def group_metadata(self) -> bytes | None:
        member, generation = self._who()
        return f"{member}\0{generation}".encode() if member and generation > 0 else None

    # --- rebalances -----------------------------------------------------------------------------

    def _offer(self, what: str, places: Collection[TopicPartition], then: Callable[[], None]) -> None:
        if what == "lost":
            self._offers.clear()
        self._offers.append((what, places, then))
        self._news.set()

    def _serve(self) -> None:
        assert self._listener is not None
        while self._answers:
            self._listener.on_commit(*self._answers.popleft())
        while self._offers:
            what, places, then = self._offers.popleft()
            self._calls.process.note(f"{what} {_short(places)}")
            # What was being assigned when the membership ended is lost with all else.
            told = sorted(self._position if what == "lost" else places)
            if what == "assign":
                self._begin(told, self._listener.on_assign(told))
            else:
                if what == "lost":
                    self._calls.process.world.hits["partitions lost"] += bool(told)
                (self._listener.on_revoke if what == "revoke" else self._listener.on_lost)(told)
                for place in told:
                    self._position.pop(place, None)
                    self._watch(place, on=False)
            then()

    # --- fetching -------------------------------------------------------------------------------

    def _begin(self, places: Sequence[TopicPartition], starts: Mapping[TopicPartition, int]) -> None:
        self._version += 1
        for place in places:
            self._position[place] = starts.get(place)
            self._watch(place, on=True)
            if place not in starts:
                self._ask_position(place)

    def _ask_position(self, place: TopicPartition) -> None:
        """librdkafka asks for itself, and as read_committed it waits too.

        It forgets that, and begins where ``auto.offset.reset`` says, when it is assigned others meanwhile; here also
        without that, since questions and rebalances are shorter than real ones.
        """
        version, rng = self._version, self._calls.process.world.rng

        def answered(answer: Sequence[Committed] | None) -> None:
            if place not in self._position or self._position[place] is not None:
                return
            is_undecided = answer is not None and not answer
            if is_undecided and (version != self._version or rng.random() < _FORGETS):
                self._calls.process.world.hits["the client forgets its offset"] += 1
                self._position[place] = 0
                self._news.set()
                return
            if not answer:
                self._calls.process.after(0.05, lambda: self._ask_position(place))
                return
            self._position[place] = answer[0].offset or 0
            self._news.set()

        self._calls.in_passing("committed offsets", lambda: self._stable([place]), answered)

    def _next(self) -> KafkaMessage | None:
        places = list(self._position)
        now = self._calls.process.world.now
        for step in range(len(places)):
            place = places[(self._turn + step) % len(places)]
            position = self._position[place]
            if position is None or place in self._paused:
                continue
            log = self._cluster.log(place)
            if log.end <= position or log.closed_until > now:
                continue
            entry = log.next_visible(position)
            if entry is not None:
                self._position[place] = entry.offset + 1
                if self._calls.process.world.rng.random() < 0.3:
                    self._turn += 1
                return _message(place, entry)
        return None

    def _watch(self, place: TopicPartition, *, on: bool) -> None:
        watchers = self._cluster.log(place).watchers
        if on and place not in self._watched:
            self._watched.add(place)
            watchers.append(self._news.set)
        elif not on and place in self._watched:
            self._watched.discard(place)
            watchers.remove(self._news.set)

    def _unwatch(self) -> None:
        for place in sorted(self._watched):
            self._watch(place, on=False)

    # --- requests -------------------------------------------------------------------------------

    def _who(self) -> tuple[str, int]:
        member = self._member
        return ("", -1) if member is None or member.generation <= 0 else (member.name, member.generation)

    def _stable(self, places: Sequence[TopicPartition]) -> list[Committed]:
        stable = self._cluster.offsets.stable(places)
        self._calls.process.world.hits["offsets undecided"] += len(stable) < len(places)
        return stable

    def _commit(self, member: str, generation: int, positions: Sequence[Position]) -> str | None:
        if self._member is not None and not member:
            return UNKNOWN  # it has lost its membership: not taken for one that never had any
        refusal = self._cluster.group.refusal(member, generation, in_transaction=False)
        answer = refusal if refusal is not None else self._cluster.offsets.commit(positions)
        if answer == "OFFSET_METADATA_TOO_LARGE":
            self._cluster.complaints.append("a map is too long for the commit's metadata")
        return answer


def _message(place: TopicPartition, entry: Entry) -> KafkaMessage:
    return KafkaMessage(place.topic, place.partition, entry.offset, entry.key, entry.value, entry.headers)


def _short(places: Collection[TopicPartition]) -> str:
    return ",".join(f"{place.topic}/{place.partition}" for place in places) or "nothing"
