"""A model's process that dies is the engine's own business: nobody beside it loses a try, and no breaker opens."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from llm_service.engine import frames
from llm_service.engine.frames import Generate
from llm_service.engine.process import EngineProcess
from llm_service.errors import RequestRejected
from llm_service.events import BreakerChanged, EngineChanged, Event, ProviderRetried
from llm_service.providers.gguf import GgufProvider, create
from llm_service.providers.guard import Guard, GuardPolicy
from llm_service.providers.protocol import (
    Anew,
    Completion,
    CompletionRequest,
    Delta,
    Message,
    Parameters,
)
from llm_service.providers.registry import ProviderContext
from llm_service.resilience.breaker import CLOSED, BreakerPolicy
from llm_service.resilience.clock import SystemClock
from llm_service.resilience.deadline import Deadline
from llm_service.resilience.retry import RetryPolicy
from llm_service.settings.gguf import GgufSettings

# One failure would open the breaker, and nothing is tried again outside the engine.
STRICT = GuardPolicy(
    max_concurrency=16,
    retry=RetryPolicy(max_retries=0, initial_delay_s=0.1, max_delay_s=1.0),
    breaker=BreakerPolicy(failure_threshold=1, open_s=600.0),
    call_timeout_s=200.0,
)
DEADLY = "a deadly question"


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest_asyncio.fixture
async def provider(models: Path, told: list[Event]) -> AsyncIterator[GgufProvider]:
    settings = GgufSettings(folder=models, model="small", context_tokens=4_096, cache_type="f32", threads=1)
    context = ProviderContext(
        settings.model_dump(), SystemClock(), random.Random(0), lambda: str(uuid.uuid4()), told.append
    )
    made = create(context)
    yield made
    await made.close()


def request_of(text: str, tokens: int = 60) -> CompletionRequest:
    # Without its end token an answer runs to its limit.
    parameters = Parameters(0.0, max_tokens=tokens, extra={"logit_bias": {"2": -100.0}})
    return CompletionRequest((Message("user", text),), parameters=parameters)


@asynccontextmanager
async def deadly(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Each process that is sent the deadly question is killed when it writes answers."""
    send, killing = EngineProcess._send, set[asyncio.Task[None]]()

    async def killed(process: EngineProcess) -> None:
        while not process.beat.running:  # noqa: ASYNC110 # seen from outside, nothing tells
            await asyncio.sleep(0.01)
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)

    def watched(self: EngineProcess, command: frames.Command) -> None:
        send(self, command)
        if isinstance(command, Generate) and DEADLY in str(command.messages):
            killing.add(asyncio.create_task(killed(self)))

    monkeypatch.setattr(EngineProcess, "_send", watched)
    yield
    for task in killing:
        task.cancel()
    await asyncio.gather(*killing, return_exceptions=True)


async def test_a_request_that_kills_the_process_each_time_takes_nobody_along(
    provider: GgufProvider, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = Guard(provider, STRICT, SystemClock(), random.Random(0), told.append)

    async def asked(request: CompletionRequest) -> Completion:
        return await guard.complete(request, Deadline(None), nullcontext)

    wanted = await asyncio.gather(*(provider.complete(request_of(f"word {each}")) for each in range(8)))
    async with deadly(monkeypatch):
        *answers, killer = await asyncio.gather(
            *(asked(request_of(f"word {each}")) for each in range(8)),
            asked(request_of(DEADLY, 2_000)),
            return_exceptions=True,
        )
    assert isinstance(killer, RequestRejected), killer
    assert "it did so 3 times" in str(killer)
    assert [answer.text for answer in answers if isinstance(answer, Completion)] == [
        each.text for each in wanted
    ]
    assert guard.state == CLOSED
    assert [event for event in told if isinstance(event, BreakerChanged | ProviderRetried)] == []
    actions = [event.action for event in told if isinstance(event, EngineChanged)]
    assert actions.count("died") == 3


async def test_a_stream_says_that_it_begins_again_and_ends_whole(
    provider: GgufProvider, told: list[Event]
) -> None:
    request = request_of("word", 3_000)
    expected = (await provider.complete(request)).text
    pieces: list[str] = []
    begun_again = 0
    async with aclosing(provider.stream(request)) as stream:
        async for part in stream:
            if isinstance(part, Anew):
                begun_again += 1
                pieces.clear()
            elif isinstance(part, Delta):
                pieces.append(part.text)
                if not begun_again and len(pieces) == 3:
                    (engine,) = (place.engine for place in provider._shelf._places.values())
                    assert engine.pid is not None
                    os.kill(engine.pid, signal.SIGKILL)
            else:
                assert part.text == "".join(pieces) == expected
                assert part.usage.completion_tokens
    assert begun_again == 1
