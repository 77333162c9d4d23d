"""A worker whose model refuses everything stops, says by what command it goes on, and then loses nothing."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.acceptance.scene import mark, new_id, playing
from tests.acceptance.stage import Stage
from tests.integration.command import run
from tests.standins.behaviour import directive

LIMIT, POOL, BEFORE, AFTER = 10, 4, 20, 20
HEADERS = {"status": "1", "prompt_id": "1"}


async def until_ready(get: object, *, ready: bool) -> list[str]:
    """What /ready gives as its reasons, once it says yes or no."""
    assert callable(get)
    until = time.monotonic() + 60
    while True:
        code, said = await asyncio.to_thread(get, "/ready")
        if (code == 200) is ready:
            return list(said["reasons"])
        assert time.monotonic() < until, said
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
async def test_it_stops_and_goes_on_by_the_command_it_names(stage: Stage, delivery: str) -> None:
    settings = {
        "DLQ_STOP_RUN": str(LIMIT),
        "WORKER_MAX_CONCURRENT_TASKS": str(POOL),
        "KAFKA_DELIVERY": delivery,
    }
    async with playing(stage, **settings) as scene:
        here, worker = scene.here, scene.worker
        refused = directive(status=400)

        async def send_bad(count: int) -> list[str]:
            bad = [new_id() for _ in range(count)]
            for task_id in bad:
                await here.send({"text": mark(task_id) + refused}, key=task_id, headers=HEADERS)
            return bad

        before = await send_bad(BEFORE)
        (reason,) = await until_ready(worker.get, ready=False)
        assert reason.startswith("no tasks are taken: the last 10 tasks were dead letters")
        assert reason.endswith("llm-service dlq resume")
        while "consumption_stopped" not in worker.output():  # noqa: ASYNC110 -- another process's log
            await asyncio.sleep(0.05)
        assert "llm-service dlq resume" in worker.output()
        assert worker.metric("llm_service_consumption_stopped") == 1
        # What had been taken comes to its end; how much that is depends on how long the window was full. A poll that had
        # begun before the stop is over after its second.
        await asyncio.sleep(1.2)
        while worker.metric("llm_service_tasks_unfinished"):  # noqa: ASYNC110 -- another process's metric
            await asyncio.sleep(0.05)
        after = await send_bad(AFTER)
        good = [new_id() for _ in range(10)]
        for task_id in good:
            await here.send({"text": mark(task_id)}, key=task_id, headers=HEADERS)
        await asyncio.sleep(2)
        assert len([task_id for task_id in before if here.terminal(task_id)]) >= LIMIT
        assert not [task_id for task_id in (*after, *good) if here.terminal(task_id)]
        assert worker.metric("llm_service_tasks_unfinished") == 0
        bad = [*before, *after]

        # It is still a member of its group, and stops again where nothing was mended.
        resumed = 0
        while not all(here.terminal(task_id) for task_id in (*bad, *good)):
            told = await asyncio.to_thread(run, stage.folder, stage.environment(), "dlq", "resume")
            assert told.code == 0, told.err
            resumed += 1
            assert resumed < 20
            while worker.output().count("consumption_resumed") < resumed:  # noqa: ASYNC110 -- another process's log
                await asyncio.sleep(0.05)
            while not all(here.terminal(task_id) for task_id in (*bad, *good)):
                if worker.output().count("consumption_stopped") > resumed:
                    break
                await asyncio.sleep(0.05)
        assert resumed >= 1
        for task_id in (*bad, *good):
            assert len(here.terminal(task_id)) == 1
        assert {event.status for task_id in good for event in here.terminal(task_id)} == {"3"}
        assert {event.status for task_id in bad for event in here.terminal(task_id)} == {"4"}
        assert len({letter.key for letter in here.letters if letter.header("dlq_reason")}) == len(bad)


async def test_a_restart_resumes_too_and_another_group_is_not_meant(stage: Stage) -> None:
    async with playing(stage, DLQ_STOP_RUN="3", WORKER_MAX_CONCURRENT_TASKS="1") as scene:
        for _ in range(4):
            task_id = new_id()
            await scene.here.send(
                {"text": mark(task_id) + directive(status=400)}, key=task_id, headers=HEADERS
            )
        await until_ready(scene.worker.get, ready=False)
        other = stage.environment(KAFKA_GROUP_ID="another-group")
        assert (await asyncio.to_thread(run, stage.folder, other, "dlq", "resume")).code == 0
        await asyncio.sleep(2.5)
        await until_ready(scene.worker.get, ready=False)
        assert await asyncio.to_thread(scene.worker.terminate) == 0
        await asyncio.to_thread(scene.worker.start)
        await until_ready(scene.worker.get, ready=True)
