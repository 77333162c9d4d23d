"""The tracker: the committed offset is the lowest unfinished one, and a takeover runs what was unfinished."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.kafka.offset_map import decode
from llm_service.kafka.tracker import PartitionTracker, Position


def committed(tracker: PartitionTracker) -> Position:
    position = tracker.position()
    assert position is not None
    return position


def test_nothing_read_nothing_to_commit() -> None:
    assert PartitionTracker("t", 0, 1).position() is None


def test_the_highest_finished_never_moves_the_commit_past_a_running_one() -> None:
    tracker = PartitionTracker("t", 0, 1)
    for offset in range(10, 15):
        tracker.take(offset)
    for offset in (11, 12, 13, 14):
        tracker.finish(offset)

    assert committed(tracker).offset == 10
    assert tracker.highest_finished == 14


def test_skipped_messages_count_as_finished_and_never_pass_a_running_one() -> None:
    tracker = PartitionTracker("t", 0, 1)
    tracker.take(5)
    tracker.skip(6)
    assert committed(tracker).offset == 5
    tracker.finish(5)
    assert committed(tracker).offset == 7


def test_finishing_twice_or_what_was_never_taken_changes_nothing() -> None:
    tracker = PartitionTracker("t", 0, 1)
    tracker.take(1)
    assert tracker.finish(1)
    before = tracker.position()
    assert not tracker.finish(1)
    assert not tracker.finish(99)
    assert tracker.position() == before


def test_what_an_inherited_map_says_beyond_the_read_offsets_is_kept_in_the_next_commit() -> None:
    first = PartitionTracker("t", 0, 1)
    for offset in range(100, 301):
        first.take(offset)
    for offset in range(101, 301):
        first.finish(offset)
    position = committed(first)

    second = PartitionTracker("t", 0, 2, decode(position.metadata, position.offset))
    assert second.take(100)
    again = committed(second)

    third = PartitionTracker("t", 0, 3, decode(again.metadata, again.offset))
    assert [offset for offset in range(100, 302) if third.take(offset)] == [100, 301]


@settings(max_examples=150)
@given(st.data())
def test_through_any_number_of_takeovers_every_offset_is_finished_once(data: st.DataObject) -> None:
    """A log with gaps, read by one owner after another; each may vanish after any commit.

    What was finished before a commit is never run again; what was not is never passed.
    """
    log = sorted(data.draw(st.sets(st.integers(0, 120), min_size=1, max_size=80)))
    finished_for_good: set[int] = set()
    runs = dict.fromkeys(log, 0)
    position = Position("t", 0, log[0], "")
    for epoch in range(1, 6):
        tracker = PartitionTracker("t", 0, epoch, decode(position.metadata, position.offset))
        open_here: list[int] = []
        done_here: set[int] = set()
        for offset in [offset for offset in log if offset >= position.offset]:
            if data.draw(st.booleans(), label="crash before reading on") and epoch < 5:
                break
            if tracker.take(offset):
                assert offset not in finished_for_good
                runs[offset] += 1
                open_here.append(offset)
            while open_here and (epoch == 5 or data.draw(st.integers(0, 2), label="finish one") == 0):
                done = open_here.pop(data.draw(st.integers(0, len(open_here) - 1), label="which"))
                assert tracker.finish(done)
                done_here.add(done)
        latest = tracker.position()
        if latest is not None and data.draw(
            st.booleans() if epoch < 5 else st.just(value=True), label="commit"
        ):
            unfinished = set(log) - finished_for_good - done_here
            assert latest.offset <= min(unfinished, default=latest.offset)
            assert latest.offset >= position.offset
            position = latest
            finished_for_good |= done_here
    assert all(count >= 1 for count in runs.values())
    assert finished_for_good == set(log)


def test_what_was_taken_back_while_it_was_written_and_is_asked_for_again_is_granted() -> None:
    found = PartitionTracker("tasks", 0, 1, start=24)
    found.arrived(24)
    assert found.narrow(25)
    position = found.position()
    assert position is not None
    found.narrow()
    found.written(position)
    assert not found.may_start(24)
    assert not found.narrow(25), "it is recorded already"
    assert found.may_start(24)
