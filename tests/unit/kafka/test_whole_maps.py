"""Where an outcome counts only under a whole map, taking is bounded so that it fits; in doubt a partition stands still."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service import events
from llm_service.kafka.commits import Held
from llm_service.kafka.confluent import _has_joined
from llm_service.kafka.consumer import ConsumerLoop
from llm_service.kafka.consumer_policy import ConsumerPolicy
from llm_service.kafka.offset_map import METADATA_LIMIT, OffsetMapTooLong, Run, encode, encode_owned, read
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import PartitionTracker, Position
from llm_service.tasks.ports import Delivery
from tests.unit.kafka.fake_port import TOPIC, Downstream, FakePort

PLACE = TopicPartition(TOPIC, 0)
LONGEST_OWNER = "x" * 300


class WholeCommits:
    """Keeps what it is told; see ``Commits``."""

    whole = True
    stale = 0
    pending = False

    def __init__(self) -> None:
        self.held: list[set[TopicPartition]] = []
        self.log: list[str] = []
        self.asked: set[TopicPartition] = set()

    def step(self, held: Held) -> None:
        self.held.append(set(held))
        for tracker in held.values():
            position = tracker.position_with((), "me")
            if position is not None:
                tracker.written(position)

    def renew(self, held: Held) -> None:
        self.held.append(set(held))
        self.log.append("renew")

    def moved(self, place: TopicPartition) -> None: ...

    def urge(self, place: TopicPartition) -> None: ...

    def finish(self, delivery: Delivery) -> None: ...

    def part(self, places: Collection[TopicPartition]) -> None:
        self.log.append("part")

    def leave(self, places: Collection[TopicPartition], held: Held) -> None:
        self.log.append("leave")

    def drop(self, places: Collection[TopicPartition], held: Held) -> None:
        self.held.append(set(held))
        self.log.append("drop")

    def overdue(self, places: Collection[TopicPartition]) -> None:
        self.asked |= set(places)

    def answered(self, positions: Sequence[Position], error: str | None, held: Held) -> None:
        raise AssertionError("nothing is committed plainly")


class Rig:
    def __init__(self, window: int = 100_000) -> None:
        self.now = 0.0
        self.port = FakePort()
        self.downstream = Downstream()
        self.commits = WholeCommits()
        self.seen: list[events.Event] = []
        policy = ConsumerPolicy(topics=(TOPIC,), window=window, full_cadence_s=0.0)
        self.loop = ConsumerLoop(
            self.port, policy, self.downstream, self.seen.append, lambda: self.now, self.commits
        )
        self.loop.start()

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += 1.0
            self.loop.step()

    def tracker(self) -> PartitionTracker:
        return self.loop._trackers[PLACE]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9))
def test_whatever_finishes_in_whatever_order_the_map_fits_while_there_is_room(seed: int) -> None:
    rng = random.Random(seed)
    start = rng.choice([0, 10**9])
    known: tuple[Run, ...] = ()
    for epoch in range(2):
        tracker = PartitionTracker(TOPIC, 0, epoch, known, start)
        unfinished: list[int] = []
        offset = start
        for _ in range(rng.choice([50, 5000])):
            if tracker.has_room(offset):
                unfinished += [offset] if tracker.take(offset) else []
                offset += rng.choice([1, 1, 1, 2, 500])
            if unfinished and rng.random() < 0.2:
                tracker.finish(unfinished.pop(rng.randrange(len(unfinished) // 2, len(unfinished))))
        for done in unfinished[1::2]:
            tracker.finish(done)
        position = tracker.position_with((), LONGEST_OWNER)
        assert position is not None
        assert len(position.metadata) <= METADATA_LIMIT
        start, known = position.offset, read(position.metadata, position.offset).runs


def test_without_the_bound_the_map_would_not_fit() -> None:
    with pytest.raises(OffsetMapTooLong):
        encode_owned(0, [Run(offset, offset + 1) for offset in range(1, 4000, 2)], LONGEST_OWNER)


def test_one_slow_task_does_not_end_taking_while_the_map_is_short() -> None:
    tracker = PartitionTracker(TOPIC, 0, 1, start=0)
    tracker.take(0)
    for offset in range(1, 100_000):
        assert tracker.has_room(offset)
        tracker.take(offset)
        tracker.finish(offset)


def test_what_has_no_room_waits_here_its_partition_is_paused_and_goes_on_later() -> None:
    rig = Rig()
    rig.port.assign(0)
    rig.step()
    rig.port.feed(0, *range(0, 8000, 2))
    rig.step(20)
    taken = rig.downstream.offsets()
    assert len(taken) < 2800, "as many as the map can tell apart"
    assert rig.port.paused == {PLACE}
    for offset in taken:
        rig.tracker().finish(offset)
    rig.step(20)
    assert PLACE not in rig.port.paused or len(rig.downstream.offsets()) > len(taken)
    for _ in range(10):
        for offset in rig.downstream.offsets():
            rig.tracker().finish(offset)
        rig.step(5)
    assert rig.downstream.offsets() == list(range(0, 8000, 2)), "all, each once, in order"


@pytest.mark.parametrize(
    "metadata",
    ["no map", encode_owned(5, [Run(7, 8)], "me"), encode(9, [Run(o, o + 1) for o in range(11, 5000, 2)])],
    ids=["text", "another base", "perhaps cut"],
)
def test_a_partition_whose_map_is_in_doubt_stands_still_and_says_what_to_do(metadata: str) -> None:
    rig = Rig()
    rig.port.stored[PLACE] = Committed(TOPIC, 0, 9, metadata)
    rig.port.assign(0)
    rig.port.feed(0, 9, 10)
    rig.step(4)
    assert rig.downstream.offsets() == []
    assert rig.loop.refusal is not None
    assert "kafka-consumer-groups --reset-offsets" in rig.loop.refusal
    assert [event for event in rig.seen if isinstance(event, events.Trouble)]


@pytest.mark.parametrize("metadata", ["", encode(9, [Run(10, 11)]), encode_owned(9, [Run(10, 11)], "other")])
def test_empty_metadata_is_no_map_and_either_version_is_read(metadata: str) -> None:
    rig = Rig()
    rig.port.stored[PLACE] = Committed(TOPIC, 0, 9, metadata)
    rig.port.assign(0)
    rig.port.feed(0, 9, 10)
    rig.step(3)
    assert rig.downstream.offsets() == ([9] if metadata else [9, 10])


def test_it_waits_for_the_map_however_long_and_says_that_it_is_overdue() -> None:
    rig = Rig()
    rig.port.silent = True
    rig.port.assign(0)
    rig.step()
    rig.port.feed(0, 1)
    rig.step(60)
    assert rig.downstream.offsets() == []
    assert rig.commits.asked == {PLACE}


def test_a_revoke_tells_who_we_are_before_it_waits_and_drops_after() -> None:
    rig = Rig()
    rig.port.assign(0)
    rig.step()
    rig.commits.log.clear()
    rig.port.revoke(0)
    rig.step()
    assert rig.commits.log == ["renew", "leave", "drop", "part"]
    assert rig.commits.held[-1] == set()


def test_lost_partitions_are_dropped_before_anything_else() -> None:
    rig = Rig()
    rig.port.assign(0)
    rig.step()
    rig.commits.log.clear()
    rig.port.lose(0)
    rig.step()
    assert rig.commits.log == ["drop"]


@pytest.mark.parametrize(
    ("metadata", "joined"),
    [
        (b"CGMDv2:\xff\xff\xff\xffgroup\0\0\x01", False),
        (b"CGMDv2:\x01\0\0\0group\0rdkafka-1\0\x01", True),
        (b"CGMDv2:\xff\xff\xff\xffgroup\0member\0\x01", False),
        (b"CGMDv2:\x07\0\0\0group\0\0\0instance\0", False),
    ],
)
def test_group_metadata_of_no_member_is_known_as_such(metadata: bytes, joined: bool) -> None:
    assert _has_joined(metadata) is joined
