"""The local engine: installed, its folder there, the model in it and fit for this machine."""

from __future__ import annotations

import random
from collections.abc import Sequence

from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.finding import Finding
from llm_service.container.providers import build_provider
from llm_service.errors import ModelNotFound, ProviderError, SettingsInvalid
from llm_service.events import Event
from llm_service.providers.protocol import Provider
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

_SHOWN_MODELS = 10


async def probe(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """What is found in GGUF_FOLDER; nothing is loaded."""
    found = Collection("gguf")
    if not settings.gguf.configured:
        found.skipped("engine", "not configured: set GGUF_FOLDER and GGUF_MODEL to use it")
        return found.findings
    try:
        provider = build_provider(settings, "gguf", clock, random.Random(), _unheard)  # noqa: S311 - no secret
    except SettingsInvalid as error:
        found.failed("engine", error.message, "Install it, or take GGUF_FOLDER out of the settings.")
        return found.findings
    found.ok("engine", "installed")
    remedy = "See whether the disk of GGUF_FOLDER answers."
    try:
        return await found.within(_look(provider, settings.gguf.model or "", found), remedy)
    finally:
        await provider.close()


async def _look(provider: Provider, model: str, found: Collection) -> None:
    try:
        models = await provider.models()
    except ModelNotFound as error:
        found.failed("folder", error.message, "Correct GGUF_FOLDER, or the rights to it.")
        return
    shown = ", ".join(sorted(models)[:_SHOWN_MODELS]) or "none"
    found.ok("folder", f"models: {shown}")
    try:
        await provider.health()
    except ProviderError as error:
        found.failed(f"model {model}", error.message, "Set GGUF_MODEL to one that is there and fits.")
    else:
        found.ok(f"model {model}", "there, and fit for this machine by its header")


def _unheard(event: Event) -> None:
    """Nobody listens."""
