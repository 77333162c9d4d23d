"""A message that each process dies of, on a real broker: it costs its takeovers, and its neighbours nothing."""

from __future__ import annotations

import asyncio
import time

import pytest

from llm_service.kafka.suspects import alone_from
from tests.acceptance.platform import Platform, platform
from tests.acceptance.scene import mark, new_id
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.standins.behaviour import directive

MOST = 4
NEIGHBOURS = 12


@pytest.mark.parametrize("mode", ["exactly_once", "at_least_once"])
async def test_it_ends_as_failed_and_a_dead_letter_and_its_neighbours_are_answered(
    stage: Stage, mode: str
) -> None:
    worker = stage.worker(
        "worker",
        KAFKA_DELIVERY=mode,
        # Back at once, as a restarted pod is.
        KAFKA_GROUP_INSTANCE_ID="worker-1",
        POISON_MAX_TAKEOVERS=str(MOST),
    )
    poison, neighbours = new_id(), [new_id() for _ in range(NEIGHBOURS)]
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await asyncio.to_thread(worker.start)
            for task_id in (*neighbours[:6], poison, *neighbours[6:]):
                seconds = 30.0 if task_id == poison else 1.0
                text = mark(task_id) + directive(delay=seconds)
                await here.send(
                    {"text": text}, key=task_id, headers={"status": "1", "prompt_id": "1"}, partition=0
                )
            deaths = await die_of(worker, stage, poison, here)
            (ended, *others) = await here.ended(poison, *neighbours, seconds=40)
            await here.until(lambda: bool(here.letters_of(poison)), what="the dead letter")
            assert await asyncio.to_thread(worker.terminate) == 0
    assert deaths == MOST
    assert (ended.status, ended.body["error"]["code"]) == ("4", "poison")
    assert [event.status for event in others] == ["3"] * NEIGHBOURS
    assert [len(here.letters_of(task_id)) for task_id in (poison, *neighbours)] == [1] + [0] * NEIGHBOURS
    if mode == "exactly_once":
        assert [len(here.terminal(task_id)) for task_id in neighbours] == [1] * NEIGHBOURS
    letter = here.letters_of(poison)[0]
    assert mark(poison).encode() in letter.value, "its own bytes"
    calls = [call.marker for call in stage.gigachat.requests()]
    assert calls.count(poison) == MOST
    most = max(calls.count(task_id) for task_id in neighbours)
    assert most <= alone_from(MOST) + 1, "beside it until it runs alone, and once more at most"


async def die_of(worker: Worker, stage: Stage, poison: str, here: Platform) -> int:
    """Kill the worker whenever it has asked the provider for the message, and start it again; how often it was."""
    deaths = 0
    deadline = time.monotonic() + 120
    while not here.terminal(poison):
        assert time.monotonic() < deadline
        calls = await asyncio.to_thread(stage.gigachat.requests)
        if sum(call.marker == poison for call in calls) > deaths:
            deaths += 1
            await asyncio.to_thread(worker.kill)
            await asyncio.to_thread(worker.start)
        await asyncio.sleep(0.1)
    return deaths
