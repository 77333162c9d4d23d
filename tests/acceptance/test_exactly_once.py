"""``KAFKA_DELIVERY=exactly_once`` on a real broker: one transaction holds event, offset and map."""

from __future__ import annotations

from tests.acceptance.scene import mark, new_id, playing
from tests.acceptance.stage import Stage

EXACTLY_ONCE = {"KAFKA_DELIVERY": "exactly_once"}


async def test_tasks_are_answered_and_the_lag_ends(stage: Stage) -> None:
    async with playing(stage, **EXACTLY_ONCE) as scene:
        ids = [new_id() for _ in range(50)]
        for task_id in ids:
            await scene.here.send(
                {"text": mark(task_id)}, key=task_id, headers={"status": "1", "prompt_id": "1"}
            )
        await scene.here.ended(*ids)
    assert [len(scene.here.terminal(task_id)) for task_id in ids] == [1] * len(ids)
