"""What an Ollama server has: its version, its models, and what one of them is; nothing is loaded by asking."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import ollama

from llm_service.errors import ProviderAnswerInvalid
from llm_service.providers.ollama_client import OllamaClient, OllamaRefusedError
from llm_service.providers.ollama_context import ModelFacts
from llm_service.providers.transport import Timeouts

NOT_OLLAMA = (
    OllamaRefusedError,
    ProviderAnswerInvalid,
    ollama.ResponseError,
    httpx.DecodingError,
    httpx.ProtocolError,
    ValueError,
    TypeError,
)
"""What asking something else ends with: a refusal, another protocol, or an answer of another form."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory."""

    bytes: int
    gpu_bytes: int
    """Those of them that lie in a GPU's memory."""


@dataclass(frozen=True, slots=True)
class OllamaFacts:
    """What was seen."""

    version: str
    seconds: float
    """How long the first answer took, with its connection."""
    models: Mapping[str, int]
    """Bytes on disk by full name: ``llama3.2:latest``."""
    model: ModelFacts | None
    """None where the model that was asked for is not there."""
    loaded: Loaded | None
    """None while that model is not in memory."""


def full_name(model: str) -> str:
    """The server's name for a model: one without a tag is ``latest``."""
    return model if ":" in model.rpartition("/")[2] else f"{model}:latest"


async def survey(base_url: str, model: str, timeouts: Timeouts, ca_bundle: Path | None = None) -> OllamaFacts:
    """Raises one of NOT_OLLAMA, and httpx.HTTPError or ConnectionError where the connection fails."""
    loop = asyncio.get_running_loop()
    client = OllamaClient(base_url, timeouts, ca_bundle)
    try:
        began = loop.time()
        version = await client.version()
        seconds = loop.time() - began
        models = {found.model: int(found.size or 0) for found in (await client.list()).models if found.model}
        there = full_name(model) in models
        shown = await client.show(model) if there else None
        facts = ModelFacts.of(shown.modelinfo, shown.capabilities) if shown is not None else None
        return OllamaFacts(version, seconds, models, facts, await _loaded(client, model) if there else None)
    finally:
        await client.aclose()


async def _loaded(client: OllamaClient, model: str) -> Loaded | None:
    for running in (await client.ps()).models:
        if full_name(running.model or running.name or "") == full_name(model):
            return Loaded(int(running.size or 0), int(running.size_vram or 0))
    return None
