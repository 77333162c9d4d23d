"""First start on an existing topic: no unanswered task is skipped, and the map claims nothing that is not so."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.contract.record import Headers
from llm_service.contract.retry import RetryNote, encode
from llm_service.kafka.adoption.answers import Answers
from llm_service.kafka.adoption.parked import Parked
from llm_service.kafka.adoption.plan import PartitionPlan, Walk, worthiest
from llm_service.kafka.offset_map import METADATA_LIMIT, Run, read
from llm_service.kafka.offset_map import encode as encode_map
from llm_service.kafka.port import Committed, KafkaMessage, TopicPartition
from llm_service.kafka.scan import Scanned, Span

START = datetime(2026, 11, 20, tzinfo=UTC)
TASKS, STATUS = "tasks", "status"
IDS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(6)]


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a history: a task (1) or a status of it."""

    topic: str
    partition: int
    offset: int
    task_id: str
    status: int
    at: int
    """Seconds since the start."""


def scanned(
    said: Said, *, key: bytes | None = None, headers: Headers | None = None, value: bytes = b"{}"
) -> Scanned:
    told = (("status", str(said.status).encode()),) if headers is None else headers
    message = KafkaMessage(
        said.topic, said.partition, said.offset, said.task_id.encode() if key is None else key, value, told
    )
    return Scanned(message, START + timedelta(seconds=said.at))


def planned(
    history: Sequence[Said],
    *,
    shared: bool = False,
    firsts: int = 0,
    rerun_failed: bool = False,
    unknown: bool = False,
) -> dict[int, PartitionPlan]:
    """By partition; ``firsts``: where the status topic begins, all that is before has been deleted."""
    status = TASKS if shared else STATUS
    ends: dict[TopicPartition, int] = {TopicPartition(TASKS, 0): 0, TopicPartition(status, 0): 0}
    for said in history:
        place = TopicPartition(said.topic, said.partition)
        ends[place] = max(ends.get(place, 0), said.offset + 1)
    spans = {place: Span(firsts if place.topic == STATUS else 0, end) for place, end in ends.items()}
    answers = Answers({p: s for p, s in spans.items() if p.topic == status}, rerun_failed=rerun_failed)
    for said in history:
        if said.topic == status and said.offset >= spans[TopicPartition(said.topic, said.partition)].first:
            answers.note(scanned(said), shared=shared)
    walk = Walk({p: s for p, s in spans.items() if p.topic == TASKS}, answers, unknown_answered=unknown)
    for said in history:
        if said.topic == TASKS:
            walk.note(scanned(said))
    return {plan.place.partition: plan for plan in walk.plans()}


def is_answered(task: Said, history: Sequence[Said], terminal: set[int]) -> bool:
    """The rule, said anew: the newest answer decides, by offset in one partition and else by time."""
    answers = [other for other in history if other.status in terminal and other.task_id == task.task_id]
    if answers and (answers[-1].topic, answers[-1].partition) == (task.topic, task.partition):
        return answers[-1].offset > task.offset
    return any(answer.at >= task.at for answer in answers)


@st.composite
def histories(draw: st.DrawFn, *, shared: bool) -> list[Said]:
    """Tasks sent once and again, answered or not, on partitions whose offsets have gaps."""
    ends = {(topic, number): draw(st.integers(0, 3)) for topic in (TASKS, STATUS) for number in range(3)}
    history = []
    for at in range(draw(st.integers(0, 40))):
        status = draw(st.sampled_from([1, 1, 1, 2, 3, 3, 4]))
        topic = TASKS if shared or status == 1 else STATUS
        partition = draw(st.integers(0, 2))
        offset = ends[topic, partition]
        ends[topic, partition] += draw(st.integers(1, 3))
        history.append(Said(topic, partition, offset, draw(st.sampled_from(IDS)), status, at // 2))
    return history


@settings(max_examples=300)
@given(history=st.data(), shared=st.booleans(), rerun_failed=st.booleans())
def test_what_is_unanswered_runs_and_all_else_is_left(
    history: st.DataObject, *, shared: bool, rerun_failed: bool
) -> None:
    said = history.draw(histories(shared=shared))
    plans = planned(said, shared=shared, rerun_failed=rerun_failed)
    terminal = {3} if rerun_failed else {3, 4}
    for number, plan in plans.items():
        tasks = [one for one in said if (one.topic, one.partition, one.status) == (TASKS, number, 1)]
        open_offsets = [one.offset for one in tasks if not is_answered(one, said, terminal)]
        position = plan.position
        finished = {
            offset
            for run in read(position.metadata, position.offset).runs
            for offset in range(run.start, run.end)
        }
        runs = {one.offset for one in tasks if one.offset >= position.offset and one.offset not in finished}
        assert runs == set(open_offsets)
        assert list(plan.unanswered) == open_offsets
        assert plan.tasks == len(tasks)
        assert plan.again == 0
        assert position.offset <= plan.span.end


def test_where_no_map_is_long_enough_the_most_is_left_out_and_the_rest_is_counted() -> None:
    """Every other task is answered, and now and then five in a row: 5 kB of runs."""
    rng = random.Random(3)
    history, offset = [], 0
    for number in range(6000):
        length = 5 if rng.random() < 0.1 else 1
        for index in range(1 + length):
            task_id = f"{number:08}-0000-4000-8000-{index:012}"
            history.append(Said(TASKS, 0, offset, task_id, 1, 0))
            if index:
                history.append(Said(STATUS, 0, offset, task_id, 3, 1))
            offset += 1
    (plan,) = planned(history).values()
    assert len(plan.position.metadata) <= METADATA_LIMIT
    kept = read(plan.position.metadata, plan.position.offset)
    assert kept.whole, "a worker in exactly_once takes it"
    finished = {done for run in kept.runs for done in range(run.start, run.end)}
    assert not finished & set(plan.unanswered)
    answered = {said.offset for said in history if said.topic == STATUS}
    assert plan.again == len(answered - finished) > 0
    assert {run.end - run.start for run in kept.runs} >= {5}
    fives = [run for run in kept.runs if run.end - run.start == 5]
    assert len(fives) > 550, "long ones first"


@given(
    base=st.integers(0, 2**40),
    pairs=st.lists(st.tuples(st.integers(1, 200), st.integers(1, 400), st.integers(0, 5)), max_size=3000),
)
@settings(max_examples=25, deadline=None)
def test_the_runs_that_are_kept_fit(base: int, pairs: list[tuple[int, int, int]]) -> None:
    weighed, position = [], base
    for skip, length, tasks in pairs:
        weighed.append((Run(position + skip, position + skip + length), tasks))
        position += skip + length
    kept = worthiest(base, weighed)
    assert set(kept) <= {run for run, _ in weighed}
    if len(kept) < sum(tasks > 0 for _, tasks in weighed):
        lightest = min(dict(weighed)[run] for run in kept)
        assert all(tasks <= lightest for run, tasks in weighed if run not in set(kept))


def test_a_task_sent_again_after_its_answer_runs_and_one_sent_twice_before_does_not() -> None:
    first, second = (Said(TASKS, 0, offset, IDS[0], 1, at) for offset, at in ((0, 0), (1, 2)))
    (plan,) = planned([first, second, Said(STATUS, 0, 0, IDS[0], 3, 5)]).values()
    assert (plan.unanswered, plan.position.offset) == ((), 2)
    (plan,) = planned([first, Said(STATUS, 0, 0, IDS[0], 3, 1), second]).values()
    assert (plan.unanswered, plan.sent_again) == ((1,), 1)


def test_in_one_partition_clocks_that_disagree_change_nothing() -> None:
    task, answer = Said(TASKS, 0, 0, IDS[0], 1, 100), Said(TASKS, 0, 1, IDS[0], 3, 7)
    again = Said(TASKS, 0, 2, IDS[0], 1, 3)
    (plan,) = planned([task, answer], shared=True).values()
    assert plan.unanswered == ()
    (plan,) = planned([task, answer, again], shared=True).values()
    assert plan.unanswered == (2,)


def test_failed_is_an_answer_unless_it_is_to_run_again() -> None:
    history = [Said(TASKS, 0, 0, IDS[0], 1, 0), Said(STATUS, 0, 0, IDS[0], 4, 1)]
    assert planned(history)[0].unanswered == ()
    assert planned(history, rerun_failed=True)[0].unanswered == (0,)


def test_what_is_older_than_the_oldest_status_is_counted_and_runs_or_is_left_as_asked() -> None:
    old, new = Said(TASKS, 0, 0, IDS[0], 1, 0), Said(TASKS, 0, 1, IDS[1], 1, 9)
    history = [old, Said(STATUS, 0, 0, IDS[0], 3, 1), Said(STATUS, 0, 1, IDS[2], 3, 5), new]
    assert planned(history)[0].unknown == 0
    cut = planned(history, firsts=1)[0]
    assert (cut.unknown, cut.unanswered) == (1, (0, 1))
    left = planned(history, firsts=1, unknown=True)[0]
    assert (left.unknown, left.unanswered, left.position.offset) == (1, (1,), 1)


def test_of_a_status_topic_that_was_emptied_nothing_is_known() -> None:
    answers = Answers({TopicPartition(STATUS, 0): Span(7, 7)})
    assert answers.horizon is not None
    assert answers.horizon > START + timedelta(days=365_000)


@pytest.mark.parametrize(
    ("key", "headers", "body"),
    [
        (None, (("status", b"3"),), {}),
        (b"shard-1", (("status", b"3"),), {"task_id": IDS[0]}),
        (None, (), {"status": "SUCCESS"}),
        (b"shard-1", (), {"status": 3, "task_id": IDS[0]}),
        (b"", (("ce_id", IDS[0].encode()), ("status", b"4")), {}),
    ],
)
def test_an_answer_is_known_by_header_or_body(
    key: bytes | None, headers: Headers, body: dict[str, object]
) -> None:
    answers = Answers({TopicPartition(STATUS, 0): Span(0, 1)})
    said = Said(STATUS, 0, 0, IDS[0], 3, 5)
    answers.note(scanned(said, key=key, headers=headers, value=json.dumps(body).encode()), shared=False)
    assert len(answers) == 1
    assert answers.covers(IDS[0], scanned(Said(TASKS, 0, 0, IDS[0], 1, 1)))


def test_what_can_not_be_read_is_a_task_without_an_answer() -> None:
    """The worker makes it FAILED, and a dead letter; somebody is told."""
    walk = Walk({TopicPartition(TASKS, 0): Span(0, 1)}, Answers({}))
    walk.note(scanned(Said(TASKS, 0, 0, IDS[0], 1, 0), headers=(), value=b"no json"))
    assert walk.plans()[0].unanswered == (0,)


# --- what waits on the retry topic --------------------------------------------------------------------

RETRY = TopicPartition("retry", 0)


def round_of(offset: int, run: int, number: int, *, group: str = "ours", at: int = 10) -> Scanned:
    """A message of the retry topic about the task at ``run``."""
    note = RetryNote(group, TASKS, 0, run, number, number, START, "rate_limited")
    record = encode(note, IDS[run].encode(), b"{}", (("status", b"1"),))
    message = KafkaMessage("retry", 0, offset, record.key, record.value, record.headers)
    return Scanned(message, START + timedelta(seconds=at))


def parked(*rounds: Scanned, answers: Answers | None = None, committed: Committed | None = None) -> Parked:
    known = {} if committed is None else {RETRY: committed}
    found = Parked("ours", {RETRY: Span(0, 20)}, known)
    for one in rounds:
        found.note(one, answers or Answers({}))
    return found


def answered(task: int, at: int) -> Answers:
    answers = Answers({})
    answers.note(scanned(Said(STATUS, 0, 0, IDS[task], 3, at)), shared=False)
    return answers


def test_a_task_that_waits_there_is_not_run_from_its_own_message() -> None:
    found = parked(round_of(3, 1, 1), round_of(5, 2, 1, group="theirs"))
    assert set(found.runs) == {(TASKS, 0, 1)}
    walk = Walk({TopicPartition(TASKS, 0): Span(0, 3)}, Answers({}), found.runs)
    for offset in range(3):
        walk.note(scanned(Said(TASKS, 0, offset, IDS[offset], 1, 0)))
    (plan,) = walk.plans()
    assert (plan.tasks, plan.answered, plan.parked, plan.unanswered) == (3, 0, 1, (0, 2))
    assert read(plan.position.metadata, 0).runs == (Run(1, 2),)


def test_of_its_rounds_the_newest_holds_and_one_that_was_answered_after_it_is_over() -> None:
    rounds = (round_of(3, 1, 1), round_of(7, 1, 2), round_of(9, 2, 1))
    (position,) = parked(*rounds).positions()
    assert (position.offset, position.metadata) == (7, "")
    found = parked(*rounds, answers=answered(1, 11))
    assert set(found.runs) == {(TASKS, 0, 2)}
    assert found.positions()[0].offset == 9
    assert set(parked(*rounds, answers=answered(1, 9)).runs) == {(TASKS, 0, 1), (TASKS, 0, 2)}
    over = parked(round_of(7, 1, 2), round_of(8, 1, 1), answers=answered(1, 11))
    assert not over.runs
    assert over.positions()[0].offset == 20


def test_what_the_group_has_done_there_is_over_and_its_offsets_are_left() -> None:
    rounds = (round_of(3, 1, 1), round_of(7, 2, 1), round_of(9, 3, 1))
    found = parked(*rounds, committed=Committed("retry", 0, 5, encode_map(5, [Run(8, 10)])))
    assert set(found.runs) == {(TASKS, 0, 2)}
    assert found.positions() == []
    assert parked(round_of(3, 1, 1, group="theirs")).positions() == []
