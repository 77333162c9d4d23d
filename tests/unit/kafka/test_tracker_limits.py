"""The tracker at its edges: what may be started, what is told of it, and how much may be taken before the map is full."""

from __future__ import annotations

import pytest

from llm_service.kafka.offset_map import RUNS_LIMIT, Run, Work, read
from llm_service.kafka.suspects import Suspect, Suspects
from llm_service.kafka.tracker import PartitionTracker, Position

COUNTED = Suspects((Suspect(0, 3, 1), Suspect(6, 8, 2)))


def told(tracker: PartitionTracker) -> Position:
    position = tracker.position()
    assert position is not None
    return position


def write(tracker: PartitionTracker) -> None:
    tracker.written(told(tracker))


def taken(tracker: PartitionTracker, step: int = 1) -> int:
    """How many are taken from 0 on while there is room."""
    count = 0
    while tracker.has_room(count * step):
        assert tracker.take(count * step)
        count += 1
    return count


def test_nothing_is_finished_or_open_before_anything_is_read() -> None:
    tracker = PartitionTracker("t", 0, 4)
    assert (tracker.epoch, tracker.highest_finished, tracker.room_ahead) == (4, -1, 0)
    tracker.take(3)
    assert [tracker.is_unfinished(offset) for offset in (2, 3)] == [False, True]


# --- what may be started -------------------------------------------------------------------------


def test_what_is_asked_for_may_start_once_it_is_written_and_no_further() -> None:
    tracker = PartitionTracker("t", 0, 1, start=5)
    assert tracker.reach(8)
    assert not tracker.may_start(5)
    write(tracker)
    assert [tracker.may_start(offset) for offset in (5, 8, 9)] == [True, True, False]
    assert tracker.room_ahead == 4


def test_what_is_asked_for_again_has_to_be_written_until_it_is() -> None:
    tracker = PartitionTracker("t", 0, 1, start=5)
    tracker.reach(8)
    assert tracker.reach(7)
    write(tracker)
    assert not tracker.reach(7)
    assert not tracker.reach(8)
    assert tracker.reach(9)


def test_what_was_granted_beyond_a_narrower_end_is_taken_back_and_the_rest_stays() -> None:
    tracker = PartitionTracker("t", 0, 1, start=5)
    tracker.reach(19)
    write(tracker)
    assert tracker.narrow(8)
    assert [tracker.may_start(offset) for offset in (7, 8)] == [True, False]
    write(tracker)
    assert not tracker.narrow(8)
    assert [tracker.may_start(offset) for offset in (7, 8)] == [True, False]
    assert tracker.narrow()
    assert not tracker.may_start(5)


def test_an_answer_to_a_wider_wish_grants_no_more_than_the_narrower_one_since() -> None:
    tracker = PartitionTracker("t", 0, 1, start=5)
    tracker.reach(19)
    wide = told(tracker)
    tracker.narrow(8)
    tracker.written(wide)
    assert [tracker.may_start(offset) for offset in (7, 8)] == [True, False]


def test_where_nothing_is_known_nothing_can_be_narrowed_or_crowded() -> None:
    tracker = PartitionTracker("t", 0, 1)
    assert tracker.narrow() is False
    assert tracker.narrow(7) is False
    assert tracker.crowding() is None
    assert tracker.position_with((), "me") is None


def test_who_leaves_starts_nothing_more_and_says_that_nothing_runs() -> None:
    for start in (0, 5):
        tracker = PartitionTracker("t", 0, 1, start=start)
        tracker.reach(19)
        write(tracker)
        assert tracker.may_start(start)
        tracker.is_leaving = True
        assert not tracker.may_start(start)
        assert read(told(tracker).metadata, start).work == Work(clean=True, limit=start)


@pytest.mark.parametrize("owner", [None, "me"])
def test_what_is_told_names_its_partition_and_the_suspects_that_are_left(owner: str | None) -> None:
    tracker = PartitionTracker("t", 3, 1, start=0, suspects=COUNTED)
    for offset in range(7):
        tracker.take(offset)
    for offset in range(2):
        tracker.finish(offset)
    position = tracker.position() if owner is None else tracker.position_with((), owner)
    assert position is not None
    assert (position.topic, position.partition, position.offset) == ("t", 3, 2)
    found = read(position.metadata, 2)
    assert found.owner == owner
    assert found.work.suspects.ranges == (Suspect(2, 3, 1), Suspect(6, 8, 2))


# --- where a log begins --------------------------------------------------------------------------


def test_only_the_first_message_can_show_that_it_is_another_log() -> None:
    tracker = PartitionTracker("t", 0, 1, start=10)
    tracker.arrived(10)
    tracker.skip(10)
    tracker.arrived(3)
    assert told(tracker).offset == 11


@pytest.mark.parametrize(("start", "first"), [(None, 7), (10, 7), (10, 9)])
def test_a_log_that_begins_elsewhere_is_begun_anew_without_what_was_known(
    start: int | None, first: int
) -> None:
    tracker = PartitionTracker("t", 0, 1, [Run(12, 14)], start, COUNTED)
    tracker.reach(20)
    if start is not None:
        write(tracker)
    tracker.arrived(first)
    assert not tracker.may_start(first)
    assert tracker.suspects.takeovers(7) == 0
    assert tracker.room_ahead == 0
    assert tracker.reach(first)
    for offset in range(first, 15):
        assert tracker.take(offset)
    assert told(tracker).offset == first


@pytest.mark.parametrize("first", [10, 11])
def test_what_begins_where_it_was_left_or_behind_a_gap_keeps_what_was_known(first: int) -> None:
    tracker = PartitionTracker("t", 0, 1, [Run(12, 14)], 10, COUNTED)
    tracker.arrived(first)
    assert [tracker.take(offset) for offset in range(11, 15)] == [True, False, False, True]
    assert tracker.suspects is COUNTED


def test_an_inherited_run_is_told_once_when_it_is_passed() -> None:
    tracker = PartitionTracker("t", 0, 1, [Run(5, 8), Run(9, 12)], 0)
    for offset in range(8):
        tracker.take(offset)
    position = told(tracker)
    assert read(position.metadata, position.offset).runs == (Run(5, 8), Run(9, 12))
    tracker.take(8)
    tracker.take(9)
    position = told(tracker)
    runs = read(position.metadata, position.offset).runs
    assert [offset for run in runs for offset in range(run.start, run.end)] == [5, 6, 7, 9, 10, 11]
    assert tracker.highest_finished == 9


# --- how much may be taken -----------------------------------------------------------------------


def test_side_by_side_as_many_are_taken_as_the_map_has_bytes() -> None:
    # Each offset of the span is a byte at most, and two more are for a first and a joining run of length 0.
    assert taken(PartitionTracker("t", 0, 1, start=0)) == RUNS_LIMIT - 2


def test_where_nothing_was_known_there_is_as_much_room() -> None:
    assert taken(PartitionTracker("t", 0, 1)) == RUNS_LIMIT - 2


def test_what_is_read_again_from_further_below_takes_its_room() -> None:
    tracker = PartitionTracker("t", 0, 1, start=100)
    assert tracker.take(0)
    assert tracker.has_room(RUNS_LIMIT - 3)
    for offset in range(1, RUNS_LIMIT - 2):
        tracker.take(offset)
    assert not tracker.has_room(RUNS_LIMIT - 2)


def test_far_apart_as_many_are_taken_as_the_map_has_pairs() -> None:
    # A pair is a byte and, for a span between 2^14 and 2^21, three; one more for what comes next.
    assert taken(PartitionTracker("t", 0, 1, start=0), step=1000) == RUNS_LIMIT // 4


def test_what_was_inherited_takes_its_room() -> None:
    # Its run takes five bytes (four to it, one for it), and as far away as it is a pair takes five.
    far = PartitionTracker("t", 0, 1, [Run(2**21, 2**21 + 1)], 0)
    assert taken(far) == (RUNS_LIMIT - 5) // 5


def test_what_is_read_again_has_no_more_room_than_what_lies_above() -> None:
    tracker = PartitionTracker("t", 0, 1, start=0)
    for offset in range(RUNS_LIMIT):
        tracker.take(offset)
    assert not tracker.has_room(3)
    assert not tracker.has_room(0)


def test_a_single_one_has_room_however_long_the_inherited_map_is() -> None:
    inherited = [Run(offset, offset + 1) for offset in range(1, 2 * RUNS_LIMIT, 2)]
    tracker = PartitionTracker("t", 0, 1, inherited, 0)
    assert tracker.has_room(0)
    assert tracker.crowding() is None
    assert tracker.take(0)
    assert not tracker.has_room(2)


def test_room_comes_back_as_the_lowest_finish() -> None:
    tracker = PartitionTracker("t", 0, 1, start=0)
    count = taken(tracker)
    tracker.finish(1)
    assert not tracker.has_room(count), "the lowest is still there"
    tracker.finish(0)
    assert not tracker.has_room(count + 2)
    assert tracker.has_room(count + 1)


def test_room_that_came_back_is_used_to_the_last() -> None:
    tracker = PartitionTracker("t", 0, 1, start=0)
    count = taken(tracker)
    tracker.finish(0)
    assert tracker.has_room(count)


def test_three_quarters_of_the_room_are_a_crowd_behind_the_lowest() -> None:
    tracker = PartitionTracker("t", 0, 1, start=0)
    crowd = RUNS_LIMIT * 3 // 4 - 1
    for offset in range(crowd - 1):
        tracker.take(offset)
    assert tracker.crowding() is None
    tracker.take(crowd - 1)
    assert tracker.crowding() == 0
    tracker.finish(0)
    assert tracker.crowding() is None
    tracker.take(crowd)
    assert tracker.crowding() == 1


def test_what_was_taken_back_on_the_way_is_not_started_though_it_was_recorded_before() -> None:
    tracker = PartitionTracker("t", 0, 1, start=5)
    tracker.narrow(6)
    allowed = told(tracker)
    tracker.narrow()
    taken_back = told(tracker)
    tracker.written(allowed)
    assert not tracker.may_start(5)
    assert tracker.narrow(6), "the one that takes it back would have the last word"
    assert not tracker.may_start(5)
    again = told(tracker)
    tracker.written(taken_back)
    assert not tracker.may_start(5)
    tracker.written(again)
    assert tracker.may_start(5)
    assert not tracker.narrow(6)


def test_a_position_that_is_not_sent_since_it_is_written_holds_nothing_up() -> None:
    tracker = PartitionTracker("t", 0, 1, start=5)
    tracker.reach(6)
    write(tracker)
    assert told(tracker) == told(tracker)
    tracker.reach(20)
    write(tracker)
    assert tracker.may_start(20)
    tracker.narrow()
    assert not tracker.may_start(5)
    write(tracker)
    tracker.reach(20)
    write(tracker)
    assert tracker.may_start(20)


def test_what_is_taken_back_on_its_way_bounds_what_an_answer_before_it_grants() -> None:
    tracker = PartitionTracker("t", 0, 1, start=5)
    tracker.narrow(6)
    allowed = told(tracker)
    tracker.narrow()
    told(tracker)
    tracker.narrow(6)
    tracker.written(allowed)
    assert not tracker.may_start(5), "the one that takes it back is still to come"


def test_what_is_taken_back_and_not_told_yet_is_not_granted_either() -> None:
    tracker = PartitionTracker("t", 0, 1, start=0)
    tracker.take(0)
    tracker.reach(9)
    first = told(tracker)
    tracker.finish(0)
    told(tracker)
    tracker.narrow(4)
    tracker.written(first)
    assert [tracker.may_start(offset) for offset in (3, 4)] == [True, False]


def test_a_position_may_be_answered_twice() -> None:
    tracker = PartitionTracker("t", 0, 1, start=0)
    tracker.take(0)
    tracker.reach(9)
    first = told(tracker)
    tracker.finish(0)
    last = told(tracker)
    tracker.written(first)
    tracker.written(first)
    assert tracker.may_start(9)
    tracker.written(last)
    assert tracker.may_start(9)
