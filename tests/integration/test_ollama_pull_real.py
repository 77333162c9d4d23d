"""A model that the server has not: a real Ollama pulls it from a registry, where that is allowed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from llm_service.errors import ModelNotFound
from llm_service.events import Event, ModelPulled
from llm_service.providers.ollama import OllamaProvider, create
from llm_service.providers.ollama_pull import ModelComing
from llm_service.providers.protocol import CompletionRequest, Message, Parameters
from llm_service.providers.registry import ProviderContext
from llm_service.resilience.clock import SystemClock
from tests.services import ollama_own, tiny_model
from tests.services.ollama import Ollama
from tests.services.runtime import Unavailable
from tests.standins.ollama_registry import Registry, serving
from tests.standins.process import ROOT

ASK = CompletionRequest((Message("user", "Привет!"),), parameters=Parameters(max_tokens=8, temperature=0.0))
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with serving(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def server(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ollama]:
    """A real one, without models."""
    try:
        folder = tmp_path_factory.mktemp("ollama")
        with ollama_own.without_models(folder, registry.certificates.ca_bundle) as running:
            yield running
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def model(registry: Registry, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """One that the registry has, another in each test: what was pulled once stays with the server."""
    registry.flowing.set()
    registry.requests.clear()
    number = len(registry.manifests)
    tiny_model.write(tmp_path / "tiny.gguf", 2_048, seed=100 + number)
    registry.publish(f"tiny{number}", (tmp_path / "tiny.gguf").read_bytes())
    return registry.name_of(f"tiny{number}")


@pytest.fixture
def told() -> list[Event]:
    return []


Made = Callable[..., OllamaProvider]


@pytest_asyncio.fixture
async def made(server: Ollama, told: list[Event]) -> AsyncIterator[Made]:
    providers: list[OllamaProvider] = []

    def make(model: str, *, pull: bool) -> OllamaProvider:
        options: dict[str, object] = {
            "base_url": server.base_url,
            "model": model,
            "connect_timeout_seconds": 5.0,
            "request_timeout_seconds": LIMIT_S,
            "num_ctx_max": 2_048,
            "keep_alive": "5m",
            "pull": pull,
        }
        context = ProviderContext(options, SystemClock(), random.Random(0), lambda: "id", told.append)
        providers.append(create(context))
        return providers[-1]

    yield make
    for provider in providers:
        await provider.close()


async def test_where_it_is_not_allowed_nothing_is_pulled(made: Made, model: str, registry: Registry) -> None:
    with pytest.raises(ModelNotFound, match=r"has no model .*`ollama pull` .*OLLAMA_PULL"):
        await made(model, pull=False).complete(ASK)
    assert registry.requests == []


async def test_it_is_pulled_with_its_progress_and_answers(
    made: Made, model: str, registry: Registry, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_service.providers.ollama_pull.PATIENCE_S", 0.5)
    monkeypatch.setattr("llm_service.providers.ollama_pull.TELL_EVERY_S", 0.1)
    registry.flowing.clear()
    provider = made(model, pull=True)
    await provider.health()

    async def coming(progress: str) -> None:
        async with asyncio.timeout(LIMIT_S):
            while True:
                with pytest.raises(ModelComing) as refused:
                    await provider.complete(ASK)
                if progress in refused.value.message:
                    return

    await coming(f"is fetching the model {model!r}: 50% of")
    registry.flowing.set()
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                answer = await provider.complete(ASK)
            except ModelComing:
                continue
            break
    assert answer.text.strip()
    assert answer.model == model
    progress = [event.progress for event in told if isinstance(event, ModelPulled)]
    assert (progress[0], progress[-1]) == ("0 %", "done")
    assert any(each.startswith("50% of ") for each in progress)
    assert model in await provider.models()


async def test_what_arrives_damaged_is_refused(
    made: Made, model: str, registry: Registry, told: list[Event]
) -> None:
    registry.damage(model)
    with pytest.raises(ModelNotFound, match=r"could not fetch the model .*digest mismatch"):
        await made(model, pull=True).complete(ASK)
    assert isinstance(told[-1], ModelPulled)
    assert told[-1].progress.startswith("failed")


async def test_a_registry_that_only_a_task_names_is_not_asked(
    made: Made, model: str, registry: Registry
) -> None:
    provider = made("llm-service-tiny", pull=True)
    with pytest.raises(ModelNotFound, match="registry that the deployment does not name"):
        await provider.complete(replace(ASK, model=model))
    assert registry.requests == []


def test_a_terminal_shows_how_far_it_is(
    server: Ollama, model: str, registry: Registry, tmp_path: Path
) -> None:
    registry.flowing.clear()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "KAFKA_BOOTSTRAP_SERVERS": "nobody:9092",
        "OLLAMA_BASE_URL": server.base_url,
        "OLLAMA_MODEL": model,
        "OLLAMA_PULL": "true",
    }
    code = "from llm_service.cli.main import main; main()"
    log = tmp_path / "stderr"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-c", code, "ask", "Привет!"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as asking,
    ):
        try:
            until = time.monotonic() + LIMIT_S
            while "50% of" not in log.read_text("utf-8"):
                assert asking.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < until, log.read_text("utf-8")
                time.sleep(0.1)
            registry.flowing.set()
            shown, _ = asking.communicate(timeout=LIMIT_S)
        finally:
            asking.kill()
    assert asking.returncode == 0, log.read_text("utf-8")
    assert shown.decode().strip()
