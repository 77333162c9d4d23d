"""What scenarios of bad days have in common: small tasks with instructions in them, and waits on the worker itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.acceptance.platform import Platform
from tests.acceptance.worker import Worker
from tests.standins.behaviour import directive
from tests.standins.process import ROOT, GigaChatProcess
from tests.standins.request_log import LoggedRequest, read_log

READY_LIMIT_S = 10.0
"""In which readiness falls when a needed dependency is lost, and returns when it is back."""


async def send(
    here: Platform,
    body: Mapping[str, object] | None = None,
    *,
    task_id: str | None = None,
    partition: int | None = None,
    **behaviour: Any,
) -> str:
    """Produce one task whose text carries instructions for the stand-in; its id."""
    task_id = task_id or str(uuid.uuid4())
    whole = {"text": text(task_id, **behaviour), **(body or {})}
    headers = {"status": "1", "prompt_id": "1"}
    await here.send(whole, key=task_id, headers=headers, partition=partition)
    return task_id


def text(task_id: str, **behaviour: Any) -> str:
    """A document about the task, with instructions for the stand-in."""
    return f"[[task:{task_id}]] Договор № 17. {directive(**behaviour) if behaviour else ''}"


async def send_many(
    here: Platform,
    count: int,
    body: Mapping[str, object] | None = None,
    partition: int | None = None,
    **behaviour: Any,
) -> list[str]:
    """As many, all produced at once."""
    sending = (send(here, body, partition=partition, **behaviour) for _ in range(count))
    return list(await asyncio.gather(*sending))


def calls(standin: GigaChatProcess, *task_ids: str) -> list[LoggedRequest]:
    """The chats that the stand-in was asked for these tasks; all chats when none is named."""
    return [call for call in standin.requests("chat") if not task_ids or call.marker in task_ids]


async def until(true: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for something outside; the seconds it took. Fails the test when it does not come."""
    began = time.monotonic()
    while True:
        if await asyncio.to_thread(true):
            return time.monotonic() - began
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        await asyncio.sleep(0.05)


async def becomes_unready(worker: Worker, because: str) -> float:
    """Wait until /ready says so and names the dependency; the seconds it took."""
    said: list[object] = []

    def unready() -> bool:
        code, body = worker.get("/ready")
        said.append(body)
        return code == 503 and any(because in reason for reason in body["reasons"])

    try:
        return await until(unready, READY_LIMIT_S, f"/ready falls because of {because}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it said {said[-1]}") from None


async def becomes_ready(worker: Worker) -> float:
    """Wait until /ready says so; the seconds it took."""
    return await until(lambda: worker.get("/ready")[0] == 200, READY_LIMIT_S, "/ready returns")


async def started(*workers: Worker) -> None:
    """Start them side by side; return when all are ready."""
    await asyncio.gather(*(asyncio.to_thread(worker.start) for worker in workers))


def failures(here: Platform, task_ids: Iterable[str]) -> list[str]:
    """What FAILED events of these tasks say."""
    ended = (event for task_id in task_ids for event in here.terminal(task_id))
    return [event.body["error_message"] for event in ended if event.status == "4"]


@contextmanager
def again_on_its_port(standin: GigaChatProcess) -> Iterator[list[LoggedRequest]]:
    """The stand-in that was killed, started again under its address and certificate.

    Gives a list that holds, at the end, what this second one was asked.
    """
    folder = standin.log.parent
    log = folder / "again.jsonl"
    command = [sys.executable, "-m", "tests.standins.gigachat", "--log", str(log)]
    command += ["--port", standin.base_url.rpartition(":")[2]]
    command += ["--certificate", str(folder / "server.pem"), "--key", str(folder / "server.key")]
    requests: list[LoggedRequest] = []
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline(), "the stand-in did not start again"
            yield requests
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
            requests.extend(read_log(log))
