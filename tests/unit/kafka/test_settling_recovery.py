"""A transaction of unknown result: what is covered by what the brokers hold is not settled again, all else is."""

from __future__ import annotations

import pytest

from llm_service.errors import ConsumerFatal
from llm_service.kafka.grouping import Waiting
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.transaction import Undecided
from tests.unit.kafka.fake_transactions import TOPIC, answers
from tests.unit.kafka.settling_rig import Rig

PLACE = TopicPartition(TOPIC, 0)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def lose(rig: Rig, offset: int, *, committed: bool) -> Waiting:
    """Settle in a transaction whose reply is lost."""
    one = rig.settle(offset)
    rig.port.commits_then_fails = committed
    rig.port.ends.append(Undecided("fenced"))
    rig.step()
    assert answers(one) == []
    return one


def recover(rig: Rig) -> None:
    for _ in range(3):
        rig.step(0.5)


@pytest.mark.parametrize(
    ("before", "offset"),
    [
        (0, 1),  # the committed offset itself is not covered by it
        (4, 5),  # nor is the one behind a run of the map
        (4, 3),  # nor the one before it
    ],
)
def test_what_lies_at_the_edge_of_what_is_committed_is_settled_again(
    rig: Rig, before: int, offset: int
) -> None:
    rig.settle(before)
    rig.step()
    one = lose(rig, offset, committed=False)
    recover(rig)
    assert answers(one) == [None]
    assert [value.strip() for value in rig.port.values() if value] == [
        f"0/{number}".encode() for number in (before, offset)
    ]


@pytest.mark.parametrize("offset", [0, 4])
def test_what_is_below_the_committed_offset_or_in_the_map_is_finished_and_not_settled_again(
    rig: Rig, offset: int
) -> None:
    one = lose(rig, offset, committed=True)
    rig.step(0.5)
    assert answers(one) == [None]
    assert not rig.trackers[PLACE].is_unfinished(offset)
    assert rig.settled_calls == 1
    recover(rig)
    assert len(rig.port.values()) == 1


def test_brokers_that_do_not_answer_are_asked_again_after_a_pause_with_one_producer(rig: Rig) -> None:
    one = lose(rig, 0, committed=True)
    rig.port.silent = True
    rig.step(0.5)
    assert rig.port.asked == [[PLACE]]
    rig.step(0.375)
    assert len(rig.port.asked) == 1
    rig.step(0.125)
    assert len(rig.port.asked) == 2
    rig.port.silent = False
    rig.step(0.5)
    assert answers(one) == [None]
    assert rig.port.opened == 1


def test_nobody_is_asked_where_nothing_of_it_is_ours_any_more(rig: Rig) -> None:
    lose(rig, 0, committed=False)
    rig.trackers.clear()
    rig.member(b"generation 2")
    rig.step(0.5)
    assert rig.port.asked == []
    assert rig.loop.stale == 1


@pytest.mark.parametrize(("third_after", "is_fatal"), [(8.0, True), (8.125, False)])
def test_more_producers_than_the_limit_within_its_time_are_fatal(
    rig: Rig, third_after: float, is_fatal: bool
) -> None:
    first = rig.now + 0.5
    for offset, after in ((0, 0.0), (1, 4.0)):
        lose(rig, offset, committed=True)
        rig.now = first + after
        rig.step()
    lose(rig, 2, committed=True)
    rig.now = first + third_after
    if is_fatal:
        with pytest.raises(ConsumerFatal, match="opened 3 times within 8 s"):
            rig.loop.step()
    else:
        rig.loop.step()
        assert rig.port.opened == 3


def test_a_map_that_cannot_be_read_is_fatal_and_names_its_partition(rig: Rig) -> None:
    rig.settle(0)
    rig.step()
    lose(rig, 4, committed=False)
    messages, _, metadata = rig.port.log[0]
    rig.port.log[0] = messages, {0: (1, "no map")}, metadata
    with pytest.raises(ConsumerFatal, match=rf"{TOPIC}/0 can't be read .*does another service"):
        recover(rig)
