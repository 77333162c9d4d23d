"""The life of a notification: what is settled with it, and what a second telling of the same makes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from llm_service import events
from llm_service.drops.life import DropLife, DropTools
from llm_service.drops.recent import RecentDrops
from llm_service.drops.rule import Buckets, Rule
from llm_service.drops.rules import Rules
from llm_service.errors import DeliveryRevoked, MessageTooLarge
from llm_service.tasks.course import Course
from llm_service.tasks.outcome import Outcomes
from llm_service.tasks.ports import Delivery, Outcome
from tests.manual_clock import ManualClock
from tests.unit.contract_room.test_notification import message, record
from tests.unit.tasks.bench import POLICY, Settler

RULES = Rules(
    (Rule("drafts", prefix="in/drafts/", ignore=True), Rule("in", prefix="in/", task={"prompt_id": 1})),
    Buckets(frozenset({"documents"}), "documents"),
    Path("drops.yaml"),
)


class Bench:
    """A life between ports that the test owns."""

    def __init__(self, remembered: int = 10, task_max_bytes: int = 10_000) -> None:
        self.settler = Settler()
        self.seen: list[events.Event] = []
        self.offset = 0
        self.rules = RULES
        clock = ManualClock()
        self.life = DropLife(
            DropTools(
                rules=lambda: self.rules,
                recent=RecentDrops(remembered),
                outcomes=Outcomes(POLICY, None, clock),
                settler=self.settler,
                task_max_bytes=task_max_bytes,
                clock=clock,
                observe=self.seen.append,
            )
        )

    def delivery(self, value: bytes | None) -> Delivery:
        self.offset += 1
        return Delivery("drops", 0, self.offset, 1, b"documents/in/a", value, (), 0.0)

    async def live(self, value: bytes | None) -> Outcome:
        await self.life.live(Course(self.delivery(value)))
        return self.settler.outcomes[-1]

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.seen if isinstance(event, events.DropSkipped)]


def keys(outcome: Outcome) -> list[str]:
    return [json.loads(task.value or b"")["storage_path"] for task in outcome.tasks]


def sequenced(key: str, sequencer: str) -> dict[str, object]:
    return record(key, sequencer=sequencer)


async def test_a_drop_becomes_a_task_that_is_settled_with_the_notification() -> None:
    bench = Bench()
    outcome = await bench.live(message(record("in/a b.txt")))
    assert keys(outcome) == ["s3://documents/in/a b.txt"]
    assert outcome == Outcome(tasks=outcome.tasks)
    (event,) = bench.seen
    assert isinstance(event, events.DropBecameTask)
    assert (event.rule, event.key, event.task_id.encode()) == ("in", "in/a b.txt", outcome.tasks[0].key)


async def test_several_records_become_several_tasks_at_once() -> None:
    bench = Bench()
    outcome = await bench.live(
        message(
            record("in/1"),
            record("in/drafts/2"),
            record("out/3"),
            record("results/x"),
            record("in/4", "s3:ObjectRemoved:Delete"),
            record("in/5"),
            record("in/5"),
        )
    )
    assert keys(outcome) == ["s3://documents/in/1", "s3://documents/in/5"]
    assert sorted(bench.reasons) == ["ignored", "other_event", "own_object", "repeated", "unmatched"]


@pytest.mark.parametrize("value", [message(record("out/1")), b'{"Event":"s3:TestEvent"}'])
async def test_what_is_no_task_is_settled_as_nothing(value: bytes) -> None:
    assert await Bench().live(value) == Outcome()


async def test_told_twice_is_one_task_dropped_twice_are_two() -> None:
    bench = Bench()
    outcomes = [
        await bench.live(message(sequenced("in/a", sequencer))) for sequencer in ("1", "1", "2", "1", "2")
    ]
    assert [len(outcome.tasks) for outcome in outcomes] == [1, 0, 1, 0, 0]
    assert bench.reasons == ["repeated"] * 3


async def test_told_twice_at_once_is_one_task() -> None:
    bench = Bench()
    both = message(sequenced("in/a", "1"), sequenced("in/b", "1"))
    other_way_round = message(sequenced("in/b", "1"), sequenced("in/a", "1"))
    hold = asyncio.Event()
    bench.settler.script = [hold]
    lives = [
        asyncio.create_task(bench.life.live(Course(bench.delivery(value))))
        for value in (both, other_way_round, both)
    ]
    await asyncio.sleep(0)
    hold.set()
    await asyncio.gather(*lives)
    assert [len(outcome.tasks) for outcome in bench.settler.outcomes] == [2, 0, 0]


async def test_a_drop_that_was_not_settled_is_made_by_the_next_that_tells_it() -> None:
    bench = Bench()
    bench.settler.script = [DeliveryRevoked()]
    first = bench.delivery(message(record("in/a")))
    await bench.life.live(Course(first))
    assert bench.settler.released == [first]
    assert [type(event) for event in bench.seen] == [events.OutcomeDropped, events.TaskReleased]
    assert len((await bench.live(message(record("in/a")))).tasks) == 1


async def test_a_life_that_is_cut_gives_the_delivery_back_and_wakes_the_next() -> None:
    bench = Bench()
    bench.settler.script = [asyncio.Event()]
    first = asyncio.create_task(bench.life.live(Course(bench.delivery(message(record("in/a"))))))
    await asyncio.sleep(0)
    second = asyncio.create_task(bench.life.live(Course(bench.delivery(message(record("in/a"))))))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert first.cancelled()
    assert [delivery.offset for delivery in bench.settler.released] == [1]
    assert [len(outcome.tasks) for outcome in bench.settler.outcomes] == [1]


async def test_memory_is_bounded() -> None:
    bench = Bench(remembered=2)
    told = ["1", "2", "3", "3", "1"]
    outcomes = [await bench.live(message(sequenced("in/a", sequencer))) for sequencer in told]
    assert [len(outcome.tasks) for outcome in outcomes] == [1, 1, 1, 0, 1]


@pytest.mark.parametrize("value", [None, b"{", b'{"Records":[]}'])
async def test_what_is_no_notification_is_a_dead_letter_as_it_came(value: bytes | None) -> None:
    bench = Bench()
    outcome = await bench.live(value)
    assert (outcome.tasks, outcome.status) == ((), None)
    assert outcome.dead_letter is not None
    assert outcome.dead_letter.value == value
    assert dict(outcome.dead_letter.headers)["dlq_reason"] == b"invalid_notification"
    assert dict(outcome.dead_letter.headers)["dlq_topic"] == b"drops"
    assert [type(event) for event in bench.seen] == [events.DropRefused]


async def test_a_notification_that_processes_die_of_is_a_dead_letter_and_no_task() -> None:
    bench = Bench()
    value = message(record("in/a"))
    await bench.life.live(Course(replace(bench.delivery(value), is_poisoned=True)))
    (outcome,) = bench.settler.outcomes
    assert (outcome.tasks, outcome.status) == ((), None)
    assert outcome.dead_letter is not None
    assert outcome.dead_letter.value == value
    assert dict(outcome.dead_letter.headers)["dlq_reason"] == b"poison"


async def test_a_bad_record_is_a_dead_letter_beside_the_tasks_of_the_good_ones() -> None:
    bench = Bench()
    value = message({"eventName": "s3:ObjectCreated:Put"}, record("in/a"))
    outcome = await bench.live(value)
    assert keys(outcome) == ["s3://documents/in/a"]
    assert outcome.dead_letter is not None
    assert outcome.dead_letter.value == value


async def test_a_task_too_large_for_its_topic_is_a_dead_letter() -> None:
    bench = Bench(task_max_bytes=600)
    outcome = await bench.live(message(record("in/a" + "x" * 600), record("in/b")))
    assert keys(outcome) == ["s3://documents/in/b"]
    assert outcome.dead_letter is not None


async def test_a_topic_that_takes_less_than_it_said_gives_a_dead_letter_and_no_claim() -> None:
    bench = Bench()
    bench.settler.refuses = lambda outcome: MessageTooLarge("too large") if outcome.tasks else None
    outcome = await bench.live(message(record("in/a")))
    assert outcome.dead_letter is not None
    assert dict(outcome.dead_letter.headers)["dlq_reason"] == b"message_too_large"
    bench.settler.refuses = lambda _: None
    assert len((await bench.live(message(record("in/a")))).tasks) == 1


async def test_new_rules_are_in_force_for_what_comes_next() -> None:
    bench = Bench()
    bench.rules = Rules((Rule("out", prefix="out/"),), RULES.buckets, RULES.path)
    outcomes: Sequence[Outcome] = [await bench.live(message(record(key))) for key in ("in/a", "out/a")]
    assert [len(outcome.tasks) for outcome in outcomes] == [0, 1]
