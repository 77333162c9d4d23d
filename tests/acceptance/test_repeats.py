"""The same id again: at once, in the window, after it, with another body, after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.acceptance.platform import Read
from tests.acceptance.scene import Scene, mark, new_id, playing
from tests.acceptance.stage import Stage
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.behaviour import directive
from tests.standins.process import gigachat

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Small enough to be filled by a test; never smaller than what is in flight, which is twice the pool.
POOL = 6
WINDOW = 2 * POOL
HEADERS = {"status": "1", "prompt_id": "1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    kafka: Kafka, minio: MinioServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("repeats")
    with gigachat(folder=folder) as standin:
        stage = Stage.build(kafka, minio, standin, folder)
        settings = {"WORKER_MAX_CONCURRENT_TASKS": str(POOL), "DEDUP_WINDOW_SIZE": str(WINDOW)}
        async with playing(stage, **settings) as scene:
            yield scene


async def terminal(scene: Scene, task_id: str, count: int) -> list[Read]:
    """All terminal events of the task, once there are so many; no more come while everything is committed."""
    await scene.here.until(lambda: len(scene.here.terminal(task_id)) >= count, 15, f"{count} terminal events")
    await scene.settled()
    events = scene.here.terminal(task_id)
    assert len(events) == count
    return events


def said(event: Read) -> tuple[object, ...]:
    """The event as it lies on the topic, but for its place."""
    return event.key, event.value, event.headers


@pytest.mark.parametrize("partitions", [(2, 2, 2), (1, 5, 9)], ids=["one partition", "three partitions"])
async def test_the_same_id_at_once_is_one_call_and_the_same_event_for_each(
    scene: Scene, partitions: tuple[int, ...]
) -> None:
    task_id = new_id()
    body = {"text": mark(task_id) + directive(delay=0.5)}
    await asyncio.gather(
        *(scene.here.send(body, key=task_id, headers=HEADERS, partition=at) for at in partitions)
    )
    first, *repeats = await terminal(scene, task_id, len(partitions))
    assert first.status == "3"
    assert all(said(event) == said(first) for event in repeats)
    assert len(scene.calls(task_id)) == 1
    processing = [event for event in scene.here.of(task_id) if event.status == "2"]
    assert len(processing) == 1


async def test_a_repeat_of_what_succeeded_gets_the_stored_event_without_a_call(scene: Scene) -> None:
    task_id = new_id()
    body = {"text": mark(task_id)}
    first = await scene.run(body, task_id=task_id)
    await scene.here.send(body, key=task_id, headers=HEADERS, partition=7)
    _, again = await terminal(scene, task_id, 2)
    assert said(again) == said(first)
    assert len(scene.calls(task_id)) == 1


async def test_what_failed_is_run_anew_when_it_is_sent_again(scene: Scene) -> None:
    task_id = new_id()
    path = f"{scene.stage.bucket}/{task_id}/Опоздавший.txt"
    body = {"storage_path": path}
    failed = await scene.fails(body, task_id=task_id)
    assert failed.code == "file_not_found"
    scene.stage.put(path, mark(task_id).encode())
    await scene.here.send(body, key=task_id, headers=HEADERS)
    _, success = await terminal(scene, task_id, 2)
    assert success.status == "3"
    assert success.header("event_id") != failed.event.header("event_id")
    assert success.header("run") != failed.event.header("run")
    await scene.letter(task_id)


async def test_repeats_that_wait_for_one_that_fails_get_its_failure_and_one_dead_letter(scene: Scene) -> None:
    task_id = new_id()
    body = {"text": mark(task_id) + directive(delay=0.5, status=400)}
    for partition in (1, 4, 8):
        await scene.here.send(body, key=task_id, headers=HEADERS, partition=partition)
    first, *repeats = await terminal(scene, task_id, 3)
    assert first.status == "4"
    assert all(said(event) == said(first) for event in repeats)
    assert len(scene.calls(task_id)) == 1
    await scene.letter(task_id)


@pytest.mark.parametrize(
    "value", [b'{"text": "\xd0\x94\xd1\x80\xd1\x83\xd0\xb3\xd0\xbe\xd0\xb5"}', b"{", None]
)
async def test_another_body_under_an_id_that_succeeded_is_a_dead_letter_alone(
    scene: Scene, value: bytes | None
) -> None:
    task_id = new_id()
    await scene.run({"text": mark(task_id)}, task_id=task_id)
    place = await scene.here.send(value, key=task_id, headers=HEADERS, partition=3)
    letter = await scene.letter(task_id)
    assert letter.header("dlq_reason") == "id_conflict"
    assert (letter.header("dlq_partition"), letter.header("dlq_offset")) == (str(place[0]), str(place[1]))
    assert letter.value == (value or b"")
    await terminal(scene, task_id, 1)
    assert len(scene.calls(task_id)) == 1


async def test_another_prompt_under_the_same_id_is_another_body(scene: Scene) -> None:
    task_id = new_id()
    body = {"text": mark(task_id)}
    await scene.run(body, task_id=task_id)
    await scene.here.send(body, key=task_id, headers={"status": "1", "prompt_id": "5"})
    assert (await scene.letter(task_id)).header("dlq_reason") == "id_conflict"
    await terminal(scene, task_id, 1)


async def test_another_body_that_comes_while_the_first_runs_waits_and_then_conflicts(scene: Scene) -> None:
    task_id = new_id()
    await scene.here.send(
        {"text": mark(task_id) + directive(delay=0.7)}, key=task_id, headers=HEADERS, partition=0
    )
    await scene.here.until(lambda: bool(scene.here.of(task_id)), 10, "PROCESSING")
    await scene.here.send({"text": "Другое"}, key=task_id, headers=HEADERS, partition=6)
    await asyncio.sleep(0.2)
    assert scene.here.letters_of(task_id) == [], "nothing is decided before the first is"
    (event,) = await terminal(scene, task_id, 1)
    assert event.status == "3"
    assert (await scene.letter(task_id)).header("dlq_reason") == "id_conflict"


async def test_another_body_after_a_failure_is_a_new_run(scene: Scene) -> None:
    task_id = new_id()
    await scene.fails(b"{", task_id=task_id)
    await scene.here.send({"text": mark(task_id)}, key=task_id, headers=HEADERS)
    _, success = await terminal(scene, task_id, 2)
    assert success.status == "3"


async def test_beyond_the_window_a_repeat_is_a_new_run_and_within_it_none(scene: Scene) -> None:
    forgotten, known = new_id(), new_id()
    bodies = {task_id: {"text": mark(task_id)} for task_id in (forgotten, known)}
    await scene.run(bodies[forgotten], task_id=forgotten)
    await scene.run(bodies[known], task_id=known)
    for _ in range(WINDOW - 1):  # with the known one it is full, and the forgotten one just fell out
        await scene.run({"text": "Ещё"})
    for task_id in (forgotten, known):
        await scene.here.send(bodies[task_id], key=task_id, headers=HEADERS)
    first, second = await terminal(scene, forgotten, 2)
    assert first.header("event_id") != second.header("event_id")
    assert len(scene.calls(forgotten)) == 2
    first, second = await terminal(scene, known, 2)
    assert said(first) == said(second)
    assert len(scene.calls(known)) == 1


async def test_many_repeats_leave_slots_and_window_to_others(scene: Scene) -> None:
    """A repeat that waits holds no slot, and takes no room from others: with more of them than fit, others run."""
    task_id, count = new_id(), WINDOW + 3
    body = {"text": mark(task_id) + directive(delay=1.5)}
    for _ in range(count):
        await scene.here.send(body, key=task_id, headers=HEADERS)
    other = await scene.run({"text": "Другое"})
    assert other.status == "3"
    assert scene.here.terminal(task_id) == [], "the other one did not wait for it"
    await terminal(scene, task_id, count)
    assert len(scene.calls(task_id)) == 1
