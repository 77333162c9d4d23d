"""The scene of the failover catalogue: a first provider and a second one, both stand-ins of OpenAI's protocol."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.bad_day import text
from tests.acceptance.platform import Platform, Read, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker
from tests.standins.process import OpenAIProcess
from tests.standins.request_log import LoggedRequest

RETRIES = 2
FIRST_BYTE_S = 30
SILENCE_S = 3
OPEN_S = 2
THRESHOLD = 5


def settings(first: OpenAIProcess, second: OpenAIProcess) -> dict[str, str]:
    """Of a worker that asks the first, and knows the second."""
    return {
        "LLM_PROVIDER": "openai",
        "OPENAI_API_KEY": first.key,
        "OPENAI_MODEL": "small",
        "OPENAI_BASE_URL": f"{first.base_url}/v1",
        "OPENAI_FIRST_BYTE_TIMEOUT_SECONDS": str(FIRST_BYTE_S),
        "OPENAI_REQUEST_TIMEOUT_SECONDS": str(SILENCE_S),
        "OPENAI_MAX_CONCURRENT": "20",
        "OPENROUTER_API_KEY": second.key,
        "OPENROUTER_MODEL": "large",
        "OPENROUTER_BASE_URL": f"{second.base_url}/v1",
        "OPENROUTER_MAX_CONCURRENT": "20",
        "WORKER_MAX_CONCURRENT_TASKS": "20",
        "LLM_MAX_RETRIES": str(RETRIES),
        "CIRCUIT_BREAKER_FAILURE_THRESHOLD": str(THRESHOLD),
        "CIRCUIT_BREAKER_TIMEOUT_SEC": str(OPEN_S),
    }


@dataclass(slots=True)
class Ended:
    """How a task ended, and what it took."""

    task_id: str
    event: Read
    seconds: float
    first: list[LoggedRequest] = field(default_factory=list)
    """Calls of the first provider, in their order."""
    second: list[LoggedRequest] = field(default_factory=list)

    @property
    def body(self) -> dict[str, Any]:
        return self.event.body

    @property
    def code(self) -> str:
        """``success``, or the error's code."""
        return "success" if self.event.status == "3" else str(self.body["error"]["code"])

    @property
    def tried(self) -> list[tuple[str, str]]:
        return [(one["provider"], one["code"]) for one in self.body.get("tried", [])]

    @property
    def result(self) -> str:
        return str(self.body["result"])


@dataclass(frozen=True, slots=True)
class Run:
    """What came of tasks sent together, for the page."""

    told: Mapping[str, Any]
    """How the first provider was to behave towards them."""
    has_list: bool
    tasks: int
    codes: Sequence[str]
    answered_by: Sequence[str]
    first_calls: int
    second_calls: int
    seconds: float


@dataclass(slots=True)
class Catalogue:
    """Tasks go in, and what both providers were asked for them comes out."""

    stage: Stage
    worker: Worker
    first: OpenAIProcess
    second: OpenAIProcess
    here: Platform
    runs: list[Run] = field(default_factory=list)

    async def run(
        self, *, seconds: float = 60.0, task: Mapping[str, object] | None = None, **behaviour: Any
    ) -> Ended:
        """One task, towards which the first provider is told to behave so; the second is well."""
        (ended,) = await self.run_many(1, seconds=seconds, task=task, **behaviour)
        return ended

    async def run_many(
        self,
        count: int,
        *,
        seconds: float = 60.0,
        task: Mapping[str, object] | None = None,
        padding: str = "",
        **behaviour: Any,
    ) -> list[Ended]:
        """So many at once; ``padding`` is said in each besides."""
        ids = [str(uuid.uuid4()) for _ in range(count)]
        told = dict(behaviour)
        if behaviour:
            times = behaviour.pop("times", None)
            for task_id in ids:
                rule = {"match": task_id, **behaviour, **({} if times is None else {"times": times})}
                await asyncio.to_thread(self.first.tell, **rule)
        began = time.monotonic()
        await asyncio.gather(*(self._send(task_id, task or {}, padding) for task_id in ids))
        await self.here.ended(*ids, seconds=seconds)
        took = time.monotonic() - began
        ended = [self._ended(task_id, took) for task_id in ids]
        self.runs.append(_run(ended, told, has_list="fallback" in (task or {})))
        return ended

    async def _send(self, task_id: str, task: Mapping[str, object], padding: str) -> None:
        headers = {"status": "1", "prompt_id": "1"}
        await self.here.send({"text": text(task_id) + padding, **task}, key=task_id, headers=headers)

    def _ended(self, task_id: str, seconds: float) -> Ended:
        (event,) = self.here.terminal(task_id)
        calls = [
            [call for call in standin.requests("chat") if call.marker == task_id]
            for standin in (self.first, self.second)
        ]
        return Ended(task_id, event, seconds, *calls)


def _run(ended: Sequence[Ended], told: Mapping[str, Any], *, has_list: bool) -> Run:
    return Run(
        told,
        has_list,
        len(ended),
        sorted({one.code for one in ended}),
        sorted({one.body["provider"] for one in ended if one.code == "success"}),
        sum(len(one.first) for one in ended),
        sum(len(one.second) for one in ended),
        max(one.seconds for one in ended),
    )


@asynccontextmanager
async def catalogue(
    stage: Stage, worker: Worker, first: OpenAIProcess, second: OpenAIProcess
) -> AsyncIterator[Catalogue]:
    """The platform beside a worker that runs; both providers are well before and after."""
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        yield Catalogue(stage, worker, first, second, here)
    for standin in (first, second):
        standin.forget()
        standin.set(context=100_000, money=True)
