"""Messages that processes die of: counted at each takeover, alone from the third on, and not run in the end."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service import events
from llm_service.kafka.consumer import ConsumerLoop
from llm_service.kafka.consumer_policy import ConsumerPolicy
from llm_service.kafka.offset_map import METADATA_LIMIT, Run, Work, encode, encode_owned, read
from llm_service.kafka.port import KafkaMessage, TopicPartition
from llm_service.kafka.suspects import AHEAD, Suspect, Suspects, alone_from, runs_alone
from llm_service.tasks.ports import Delivery
from tests.unit.kafka.fake_port import PENDING, TOPIC, Downstream, FakePort

MOST = 6


@pytest.mark.parametrize(("most", "alone"), [(4, 3), (5, 3), (6, 3), (7, 4), (12, 6), (100, 50)])
def test_whoever_allows_more_takeovers_has_fewer_messages_alone(most: int, alone: int) -> None:
    assert alone_from(most) == alone
    assert [runs_alone(count, most) for count in (alone - 1, alone, most - 1, most)] == [
        False,
        True,
        True,
        False,
    ]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12), st.integers(0, 60))
def test_counts_are_those_of_each_offset(raised: list[tuple[int, int]], base: int) -> None:
    suspects = Suspects()
    counts: Counter[int] = Counter()
    for start, length in raised:
        suspects = suspects.raised(start, start + length)
        counts.update(range(start, start + length))
    assert [suspects.takeovers(offset) for offset in range(90)] == [counts[offset] for offset in range(90)]
    above = suspects.above(base)
    assert [above.takeovers(offset) for offset in range(90)] == [
        counts[offset] if offset >= base else 0 for offset in range(90)
    ]
    assert above.end <= 80
    work = Work(clean=False, limit=base + 7, suspects=above)
    for text in (encode(base, [Run(base + 1, base + 3)], work), encode_owned(base, [], "me", work)):
        assert read(text, base).work == work


def test_too_many_suspects_for_the_metadata_are_forgotten_from_above() -> None:
    ranges = tuple(Suspect(offset, offset + 1, 1) for offset in range(10, 3000, 2))
    runs = [Run(offset, offset + 1) for offset in range(1, 2400, 2)]
    text = encode_owned(0, runs, "x" * 300, Work(False, 10**9, Suspects(ranges)))
    assert len(text) <= METADATA_LIMIT
    kept = read(text, 0).work.suspects.ranges
    assert len(kept) > 30
    assert kept == ranges[: len(kept)]


class Cluster:
    """One group, one worker after another; the next is given what the last has not finished."""

    def __init__(self, partitions: int = 2, messages: int = 12) -> None:
        self.port = FakePort()
        self.partitions = range(partitions)
        self.messages = messages
        self.runs: Counter[tuple[int, int]] = Counter()
        self.ended: dict[tuple[int, int], bool] = {}
        self.together: list[set[tuple[int, int]]] = []
        """What ran at each death."""
        self.begin()

    def begin(self) -> None:
        """A new process; the one before is gone without a word."""
        stored = self.port.stored
        self.port = FakePort()
        self.port.stored = stored
        self.running: dict[tuple[int, int], Delivery] = {}
        self.now = 0.0
        self.downstream = Downstream()
        policy = ConsumerPolicy(topics=(TOPIC,), window=6, full_cadence_s=0.0, poison_takeovers=MOST)
        seen: list[events.Event] = []
        self.loop = ConsumerLoop(self.port, policy, self.downstream, seen.append, lambda: self.now)
        self.loop.start()
        self.port.assign(*self.partitions)
        self.step()
        for offset in range(self.messages):
            for partition in self.partitions:
                if offset >= (self.port.committed_offset(partition) or 0):
                    self.port.feed(partition, offset)

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += 1.0
            self.loop.step()
            for delivery in self.downstream.deliveries:
                self.running[delivery.partition, delivery.offset] = delivery
                if not delivery.is_poisoned:
                    self.runs[delivery.partition, delivery.offset] += 1
            self.downstream.deliveries.clear()

    def finish(self, *places: tuple[int, int]) -> None:
        for place in places:
            delivery = self.running.pop(place)
            assert place not in self.ended or not self.ended[place]
            self.ended[place] = delivery.is_poisoned
            self.loop.finish(delivery)

    def die(self) -> None:
        self.together.append({place for place, delivery in self.running.items() if not delivery.is_poisoned})
        self.begin()

    @property
    def is_over(self) -> bool:
        return len(self.ended) == len(self.partitions) * self.messages


def test_one_that_kills_costs_its_takeovers_and_no_neighbour() -> None:
    cluster = Cluster()
    poison = (0, 3)
    for _ in range(500):
        cluster.step()
        if poison in cluster.running and not cluster.running[poison].is_poisoned:
            cluster.die()
        elif cluster.running:
            cluster.finish(next(iter(cluster.running)))
        if cluster.is_over:
            break
    assert cluster.is_over
    assert [place for place, is_poisoned in cluster.ended.items() if is_poisoned] == [poison]
    assert cluster.runs[poison] == MOST
    assert len(cluster.together) == MOST
    assert [len(running) for running in cluster.together[3:]] == [1, 1, 1], "alone from the third takeover on"
    assert max(count for place, count in cluster.runs.items() if place != poison) <= 4


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9))
def test_under_a_storm_of_kills_that_no_message_is_the_cause_of_all_are_answered(seed: int) -> None:
    """Any process dies at any moment; a message is only ever blamed for what happened while it ran alone."""
    rng = random.Random(seed)
    cluster = Cluster(partitions=3)
    alone: Counter[tuple[int, int]] = Counter()
    for _ in range(5000):
        cluster.step()
        if rng.random() < 0.08 and not (len(cluster.running) == 1 and alone[min(cluster.running)] >= 2):
            if len(cluster.running) == 1:
                alone[min(cluster.running)] += 1
            cluster.die()
        elif cluster.running and rng.random() < 0.5:
            cluster.finish(rng.choice(sorted(cluster.running)))
        if cluster.is_over:
            break
    assert cluster.is_over
    assert not any(cluster.ended.values())


def test_a_worker_that_leaves_in_order_raises_no_count() -> None:
    cluster = Cluster()
    for _ in range(8):
        cluster.step(3)
        assert len(cluster.running) >= 6, "together"
        cluster.loop.close()
        cluster.begin()


def test_what_was_never_handed_over_is_not_alone_after_any_number_of_deaths() -> None:
    cluster = Cluster(partitions=1, messages=40)
    for _ in range(4):
        cluster.step(3)
        cluster.die()
    metadata = cluster.port.stored[TopicPartition(TOPIC, 0)]
    counts = read(metadata.metadata, metadata.offset or 0).work.taken_over(metadata.offset or 0)
    assert counts.takeovers(0) >= 2
    assert max(counts.takeovers(offset) for offset in range(20, 40)) <= 1


def test_one_that_waits_for_its_provider_does_not_keep_the_others_from_running() -> None:
    cluster = Cluster(partitions=1)
    for _ in range(3):
        cluster.step(3)
        cluster.die()
    cluster.step(4)
    assert list(cluster.running) == [(0, 0)]
    cluster.loop.excuse(1)
    cluster.step(4)
    assert len(cluster.running) > 1


def test_a_far_offset_is_started_only_when_it_is_written_that_it_may_have_been() -> None:
    port, downstream = FakePort(), Downstream()
    policy = ConsumerPolicy(topics=(TOPIC,), window=10_000, full_cadence_s=0.0)
    loop = ConsumerLoop(port, policy, downstream, lambda _: None, lambda: 0.0)
    loop.start()
    port.assign(0)
    loop.step()
    place = TopicPartition(TOPIC, 0)
    for offset in range(3 * AHEAD):
        port.queue.append(KafkaMessage(TOPIC, 0, offset, b"key", b"{}", PENDING))
    port.commit_error = "COORDINATOR_NOT_AVAILABLE"
    for _ in range(20):
        loop.step()
    assert downstream.offsets() == [], "nothing starts that its successor would not know of"
    port.commit_error = None
    loop._commits._next_commit = 0.0  # type: ignore[attr-defined]
    for _ in range(20):
        loop.step()
        started = max(downstream.offsets(), default=-1)
        stored = port.stored[place]
        assert started < read(stored.metadata, stored.offset or 0).work.limit
    assert downstream.offsets() == list(range(3 * AHEAD))


@pytest.mark.parametrize("count", [0, 1])
def test_counts_below_two_run_together(count: int) -> None:
    cluster = Cluster(partitions=1)
    for _ in range(count):
        cluster.step(3)
        cluster.die()
    cluster.step(4)
    assert len(cluster.running) >= 6


def test_ranges_that_lie_below_the_base_are_gone_to_the_last() -> None:
    suspects = Suspects((Suspect(3, 5, 1), Suspect(7, 8, 2)))
    assert suspects.above(5).ranges == (Suspect(7, 8, 2),)
    assert suspects.above(4).ranges == (Suspect(4, 5, 1), Suspect(7, 8, 2))
    assert suspects.above(8).ranges == ()
