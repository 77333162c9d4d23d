"""A task of a vendor that LiteLLM knows: through Kafka, a worker, and the library's own process."""

from __future__ import annotations

import asyncio
import uuid

import psutil
import pytest

from tests.acceptance.bad_day import send
from tests.acceptance.platform import platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import workers
from tests.standins.process import OpenAIProcess


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("litellm_library")
async def test_tasks_are_answered_also_after_its_process_was_killed_and_none_is_left(
    stage: Stage, first: OpenAIProcess
) -> None:
    worker = stage.worker(
        LITELLM_MODEL="openai/small",
        LITELLM_API_KEY=first.key,
        LITELLM_BASE_URL=f"{first.base_url}/v1",
        LLM_PROVIDER="litellm",
    )
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            worker.start()
            before = await send(here)
            await here.ended(before, seconds=120.0)
            assert worker.process is not None
            (child,) = _libraries(worker.process.pid)
            child.kill()
            after = [await send(here, task_id=str(uuid.uuid4())) for _ in range(3)]
            await here.ended(*after, seconds=120.0)
            (other,) = _libraries(worker.process.pid)
            assert other.pid != child.pid
            assert await asyncio.to_thread(worker.terminate) == 0
    for task_id in (before, *after):
        (event,) = here.terminal(task_id)
        assert event.status == "3", event.body
        assert (event.body["provider"], event.body["model"]) == ("litellm", "small")
        assert event.body["usage"]["total_tokens"] > 0
        assert [call.status for call in first.requests("chat") if call.marker == task_id] == [200]
    assert not other.is_running()
    assert here.letters == []


def _libraries(parent: int) -> list[psutil.Process]:
    """Its children that have the library."""
    children = psutil.Process(parent).children(recursive=True)
    return [child for child in children if "litellm_child" in " ".join(child.cmdline())]
