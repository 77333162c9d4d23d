"""Models of random weights, and an engine over one."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from llm_service.engine.engine import Engine, EngineEvent
from llm_service.engine.frames import Setup
from llm_service.resilience.clock import SystemClock
from llm_service.resilience.retry import Backoff, RetryPolicy
from tests.standins.random_model import Shape, write


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, llama_library: None) -> Path:
    """A folder with ``small``, and ``wide`` and ``half`` with 32,000 tokens, the last in numbers of 16 bits."""
    folder = tmp_path_factory.mktemp("models")
    write(folder / "small.gguf", Shape(width=64, layers=2, heads=4, kv_heads=2, inner=96))
    wide = Shape(width=64, layers=2, heads=4, kv_heads=2, inner=96, vocabulary=32_000, seed=2)
    write(folder / "wide.gguf", wide)
    half = Shape(width=128, layers=4, heads=2, kv_heads=2, inner=192, vocabulary=32_000, is_half=True, seed=3)
    write(folder / "half.gguf", half)
    return folder


def setup_of(path: Path, **changes: object) -> Setup:
    wanted: dict[str, object] = {
        "path": str(path),
        "context_tokens": 4_096,
        "sequences": 16,
        "batch_tokens": 256,
        "threads": 1,
        "gpu_layers": 0,
        "cache_type": "f32",
        "max_tokens": 64,
    }
    return Setup(**{**wanted, **changes})  # type: ignore[arg-type]


@dataclass(slots=True)
class Watched:
    """An engine, and what was told of it."""

    engine: Engine
    events: list[EngineEvent] = field(default_factory=list)

    @property
    def actions(self) -> list[str]:
        return [event.action for event in self.events]

    @property
    def pid(self) -> int:
        pid = self.engine.pid
        assert pid is not None
        return pid


@pytest_asyncio.fixture
async def watched(models: Path) -> AsyncIterator[Watched]:
    """The small model; a process that is silent for 3 s counts as hanging."""
    events: list[EngineEvent] = []
    backoff = Backoff(RetryPolicy(0, 0.1, 1.0), random.Random(1))
    engine = Engine("small", setup_of(models / "small.gguf"), 3.0, SystemClock(), backoff, events.append)
    yield Watched(engine, events)
    await engine.close()
