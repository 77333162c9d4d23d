"""Another log under the same name, and messages that were deleted unread."""

from __future__ import annotations

import pytest

from llm_service.kafka.log_watch import Extent, LogWatch, Lost
from llm_service.kafka.offset_map import Run
from llm_service.kafka.port import KafkaMessage, TopicPartition

PLACE = TopicPartition("tasks", 0)


class Rig:
    def __init__(self) -> None:
        self.now = 0.0
        self.known: Extent | None = None
        """What the client was told last."""
        self.asked: Extent | None = None
        self.watch = LogWatch(lambda _, seconds: self.asked if seconds else self.known, lambda: self.now)

    def look(self, seconds: float = 1.0) -> tuple[list[Lost], list[tuple[TopicPartition, int]]]:
        self.now += seconds
        return self.watch.look()

    def read(self, *offsets: int) -> list[bool]:
        return [self.watch.is_another(KafkaMessage("tasks", 0, offset, None, None, ())) for offset in offsets]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_an_offset_that_goes_down_is_of_another_log(rig: Rig) -> None:
    rig.watch.begin(PLACE, 5, ())
    assert rig.read(5, 6, 9, 3) == [False, False, False, True]
    rig.watch.begin(PLACE, 3, ())
    assert rig.read(3, 4) == [False, False]


def test_the_first_message_below_what_was_committed_is_left_to_the_tracker(rig: Rig) -> None:
    rig.watch.begin(PLACE, 50, ())
    assert rig.read(0, 1) == [False, False]


def test_a_log_that_ends_before_what_was_read_is_another_when_that_lasts_and_its_leader_says_so(
    rig: Rig,
) -> None:
    rig.watch.begin(PLACE, 5, ())
    rig.read(5, 6)
    rig.known = rig.asked = Extent(0, 7)
    assert rig.look() == ([], [])
    rig.known = Extent(0, 2)
    for _ in range(3):
        assert rig.look()[1] == [], "a new leader may say so for a moment"
    rig.asked = None
    assert rig.look()[1] == [], "nobody has answered"
    rig.asked = Extent(0, 2)
    assert rig.look()[1] == [(PLACE, 0)]


def test_a_log_that_is_whole_again_is_not_doubted(rig: Rig) -> None:
    rig.watch.begin(PLACE, 5, ())
    rig.asked = Extent(0, 2)
    for known in (Extent(0, 2), Extent(0, 2), Extent(0, 5), Extent(0, 2), Extent(0, 2)):
        rig.known = known
        assert rig.look(2.0)[1] == []


def test_what_was_deleted_before_a_message_came_is_counted_once_and_without_what_the_map_says_is_done(
    rig: Rig,
) -> None:
    rig.watch.begin(PLACE, 10, (Run(12, 15), Run(40, 50)))
    rig.asked = Extent(20, 60)
    assert rig.look()[0] == [Lost(PLACE, 10, 7)]
    rig.read(20, 21)
    assert rig.look()[0] == []
    rig.asked = Extent(45, 60)
    rig.read(45)
    assert rig.look()[0] == [Lost(PLACE, 22, 18 + 0)]


def test_a_message_before_the_first_look_says_the_same(rig: Rig) -> None:
    rig.watch.begin(PLACE, 10, ())
    rig.read(20)
    rig.asked = Extent(20, 60)
    assert rig.look()[0] == [Lost(PLACE, 10, 10)]
    assert rig.look()[0] == []


def test_a_gap_in_a_log_that_reaches_back_is_of_markers_and_one_offset_is_not_asked_about(rig: Rig) -> None:
    rig.watch.begin(PLACE, 0, ())
    rig.asked = Extent(0, 60)
    rig.read(0, 5)
    assert rig.look()[0] == []
    rig.asked = Extent(50, 60)
    rig.read(7, 9)
    assert rig.look()[0] == [], "what was read is no loss when it is deleted"


def test_what_the_client_remembers_of_a_partition_that_came_back_is_no_reason_to_doubt_its_log(
    rig: Rig,
) -> None:
    rig.watch.begin(PLACE, 54, ())
    rig.known = Extent(0, 40)
    assert rig.watch.reaches(PLACE), "nobody has answered"
    rig.asked = Extent(0, 60)
    assert rig.watch.reaches(PLACE)
    rig.asked = Extent(0, 2)
    assert not rig.watch.reaches(PLACE)


def test_a_partition_that_has_left_is_forgotten(rig: Rig) -> None:
    rig.watch.begin(PLACE, 0, ())
    rig.watch.forget([PLACE])
    rig.known = rig.asked = Extent(0, 0)
    assert rig.read(9, 3) == [False, False]
    assert rig.look() == ([], [])
