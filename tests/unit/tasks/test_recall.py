"""What a ledger changes in the life of a task, in both orders of row and event."""

from __future__ import annotations

import asyncio

import pytest

from llm_service.contract.record import Record
from llm_service.contract.terminal import read_terminal
from llm_service.errors import MessageTooLarge, ProviderServerError
from llm_service.tasks.ports import Entry, Outcome
from tests.standins.memory_ledger import MemoryLedger
from tests.unit.tasks.bench import TASK_ID, Bench, Store, body, code, header


@pytest.mark.parametrize("record_first", [True, False])
@pytest.mark.parametrize("script", [[], [ProviderServerError(), ProviderServerError()]])
async def test_after_a_restart_the_same_message_gets_the_same_bytes_without_a_call(
    script: list[Exception], *, record_first: bool
) -> None:
    ledger = MemoryLedger()
    first, second = (Bench(ledger=ledger, record_first=record_first) for _ in range(2))
    first.model.script.extend(script)
    await first.live(first.delivery())
    asked = ledger.asked
    await second.live(second.delivery())
    assert second.model.requests == []
    assert second.settler.outcomes[0].status == first.settler.outcomes[0].status
    assert (second.settler.outcomes[0].dead_letter is None) is (not script)
    assert asked == 2, "a question and a row"
    second.assert_at_rest()


async def test_an_id_that_succeeded_long_ago_gets_its_event_and_one_that_failed_a_new_run() -> None:
    ledger = MemoryLedger()
    first, second = Bench(ledger=ledger), Bench(ledger=ledger)
    first.model.script = [ProviderServerError(), ProviderServerError()]
    await first.live(first.delivery(), first.delivery(offset=1))
    assert [code(each) == "success" for each in first.settler.outcomes] == [False, True]
    await second.live(second.delivery(offset=2))
    assert second.settler.outcomes == [Outcome(first.settler.outcomes[1].status)]
    assert second.model.requests == []
    assert [entry.run for entry in ledger.entries.values()] == ["tasks/0/0", "tasks/0/1"]


async def test_another_body_conflicts_with_a_success_of_long_ago() -> None:
    ledger = MemoryLedger()
    first, second = Bench(ledger=ledger), Bench(ledger=ledger)
    await first.live(first.delivery())
    await second.live(second.delivery({"text": "другое"}, offset=1), second.delivery(offset=2))
    conflict, again = second.settler.outcomes
    assert (conflict.status, header(conflict.dead_letter, "dlq_reason")) == (None, "id_conflict")
    assert again == Outcome(first.settler.outcomes[0].status), "what the window learned of it is right too"
    assert second.model.requests == []


async def test_an_event_whose_message_nobody_knows_is_said_again_whatever_the_body() -> None:
    ledger = MemoryLedger()
    event = Record(TASK_ID.encode(), b'{"result": "{}"}', (("status", b"3"),))
    await ledger.record(Entry(TASK_ID, "event/of-another-service", succeeded=True, event=event))
    bench = Bench(ledger=ledger)
    await bench.live(bench.delivery())
    assert bench.settler.outcomes == [Outcome(event)]


async def test_of_two_workers_with_one_message_both_publish_the_winning_row() -> None:
    ledger = MemoryLedger()
    benches = [Bench(ledger=ledger) for _ in range(2)]
    for bench, think in zip(benches, (5.0, 1.0), strict=True):
        bench.model.script = [think]
    lives = [bench.start(bench.delivery()) for bench in benches]
    for bench in reversed(benches):
        await bench.clock.advance(10.0)
    await asyncio.gather(*lives)
    said = [bench.settler.outcomes[0].status for bench in benches]
    assert said[0] == said[1]
    assert [len(bench.model.requests) for bench in benches] == [1, 1]
    await benches[0].live(benches[0].delivery())
    assert benches[0].settler.outcomes[1].status == said[0], "the window has the winner's bytes too"


async def test_a_failure_that_lost_the_race_leaves_no_letter() -> None:
    ledger = MemoryLedger()
    winner, loser = Bench(ledger=ledger), Bench(ledger=ledger)
    loser.model.script = [ProviderServerError(), ProviderServerError()]
    life = loser.start(loser.delivery())
    await loser.clock.settle()
    await winner.live(winner.delivery())
    await loser.clock.run(asyncio.wait_for(life, None))
    assert loser.settler.outcomes == winner.settler.outcomes


async def test_a_row_that_no_topic_takes_gives_way_to_the_smaller_event() -> None:
    ledger = MemoryLedger()
    bench = Bench(ledger=ledger, store=Store())
    bench.model.script = ["x" * 5_000]
    bench.settler.refuses = lambda outcome: (
        MessageTooLarge() if outcome.status is not None and outcome.status.size > 3_000 else None
    )
    await bench.live(bench.delivery())
    (entry,) = ledger.entries.values()
    assert entry.event == bench.settler.outcomes[0].status
    assert "result_ref" in body(entry.event)


async def test_the_run_of_a_row_is_the_one_that_its_event_names() -> None:
    ledger = MemoryLedger()
    bench = Bench(ledger=ledger)
    await bench.live(bench.delivery())
    (entry,) = ledger.entries.values()
    terminal = read_terminal(entry.event)
    assert terminal is not None
    assert (terminal.task_id, terminal.run, terminal.event_id) == (
        entry.task_id,
        entry.run,
        header(entry.event, "event_id"),
    )
