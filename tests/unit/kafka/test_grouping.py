"""Which outcomes go into the next transaction."""

from __future__ import annotations

from llm_service.kafka.grouping import Grouping
from tests.unit.kafka.fake_transactions import waiting


def offsets(grouping: Grouping, now: float = 0.0) -> list[int]:
    return [one.delivery.offset for one in grouping.take(now)]


def test_a_group_is_what_waits_up_to_its_size_and_one_in_any_case() -> None:
    grouping = Grouping(largest=1000)
    for offset, size in enumerate((300, 300, 300, 5000, 10)):
        grouping.add(waiting(offset, size=size))
    assert [offsets(grouping) for _ in range(4)] == [[0, 1], [2], [3], [4]]


def test_what_is_put_back_comes_first_and_in_order() -> None:
    grouping = Grouping()
    first = [waiting(offset) for offset in (1, 2)]
    grouping.add(waiting(3))
    grouping.put_back(first)
    assert offsets(grouping) == [1, 2, 3]


def test_nobody_waits_for_an_abandoned_one() -> None:
    grouping = Grouping()
    gone = waiting(1)
    grouping.add(gone)
    grouping.add(waiting(2))
    gone.abandoned = True
    assert offsets(grouping) == [2]


def test_one_that_goes_alone_waits_until_nothing_else_does() -> None:
    grouping = Grouping()
    alone = waiting(1)
    alone.alone = True
    grouping.put_back([alone])
    grouping.add(waiting(2))
    assert [offsets(grouping), offsets(grouping)] == [[2], [1]]


def test_transactions_that_take_too_long_are_halved_and_grow_again() -> None:
    grouping = Grouping(largest=1000)
    grouping.halve()
    grouping.halve()
    for offset in range(8):
        grouping.add(waiting(offset, size=100))
    assert offsets(grouping) == [0]
    grouping.settled([])
    grouping.settled([])
    assert offsets(grouping) == [1, 2, 3, 4]


def test_a_topic_that_cannot_be_written_holds_its_own_outcomes_alone() -> None:
    grouping = Grouping()
    refused = waiting(1, topic="dlq")
    grouping.park("dlq", [refused], now=0.0)
    grouping.add(waiting(2, topic="dlq"))
    grouping.add(waiting(3))
    assert offsets(grouping, 0.1) == [3]
    assert offsets(grouping, 0.6) == [1], "one of them asks whether the topic is back"
    grouping.park("dlq", [refused], now=0.6)
    assert offsets(grouping, 1.2) == [], "and again later, after longer"
    assert offsets(grouping, 1.7) == [1]
    grouping.settled([refused])
    assert offsets(grouping, 1.7) == [2], "the others follow"


def test_a_group_fills_its_limit_to_the_last_byte() -> None:
    size = waiting(0).size
    grouping = Grouping(largest=2 * size)
    for offset in range(3):
        grouping.add(waiting(offset))
    assert offsets(grouping) == [0, 1]


def test_a_limit_that_was_halved_grows_to_its_double_and_no_further_at_once() -> None:
    size = waiting(0).size
    grouping = Grouping(largest=8 * size)
    for _ in range(3):
        grouping.halve()
    for offset in range(8):
        grouping.add(waiting(offset))
    grouping.settled([])
    assert offsets(grouping) == [0, 1]


def test_each_topic_that_cannot_be_written_is_asked_at_its_own_time() -> None:
    grouping = Grouping()
    grouping.park("first", [waiting(1, topic="first")], now=0.0)
    grouping.park("first", [], now=0.0)
    grouping.park("second", [waiting(2, topic="second")], now=0.0)
    assert offsets(grouping, 0.25) == []
    assert offsets(grouping, 0.5) == [2], "exactly when it is due, whatever else is not"
    assert offsets(grouping, 1.0) == [1]


def test_the_next_of_a_topic_is_not_asked_before_the_first_has_an_answer_or_its_time_has_come() -> None:
    grouping = Grouping()
    grouping.park("dlq", [waiting(1, topic="dlq"), waiting(2, topic="dlq")], now=0.0)
    assert offsets(grouping, 0.5) == [1]
    assert offsets(grouping, 0.75) == []
    assert offsets(grouping, 1.0) == [2]


def test_where_none_was_offered_the_next_is_at_once() -> None:
    grouping = Grouping()
    gone = waiting(1, topic="dlq")
    grouping.park("dlq", [gone, waiting(2, topic="dlq")], now=-0.5)
    assert offsets(grouping, 0.0) == [1]
    grouping.not_tried([gone])
    assert offsets(grouping, 0.0) == [2]
