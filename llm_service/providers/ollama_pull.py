"""Fetching a model that no server has, where that is allowed: one fetch of a model at a time, whoever waits for it."""

from __future__ import annotations

import asyncio
from contextvars import Context

from llm_service.errors import ModelNotFound, ProviderError, ProviderRateLimited
from llm_service.events import ModelPulled, Observer
from llm_service.providers.http_errors import excerpt
from llm_service.providers.ollama_server import OllamaServer
from llm_service.resilience.clock import Clock

PATIENCE_S = 5.0
"""So long a call waits for the fetch; then it is told to come later, which holds no worker's slot."""

TELL_EVERY_S = 10.0
"""Between two words of how far it is."""

FAILED_FOR_S = 60.0
"""How long a fetch that failed is not tried again; the registry says the same to each task until then."""


_OLLAMAS = "registry.ollama.ai"


class ModelComing(ProviderRateLimited):
    """The model is being fetched; the call is to be made again."""


class ModelPulls:
    """Fetches, by model."""

    def __init__(self, clock: Clock, observe: Observer, model: str = "") -> None:
        """``model``: the deployment's own, whose registry it trusts beside Ollama's."""
        self._registries = ("", _OLLAMAS, registry_of(model))
        self._clock = clock
        self._observe = observe
        self._running: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, str] = {}
        self._failed: dict[str, tuple[float, ProviderError]] = {}

    async def fetched(self, model: str, server: OllamaServer) -> None:
        """Return when the server has the model. Raises ModelComing while it comes, ModelNotFound if it can't be had."""
        if registry_of(model) not in self._registries:
            raise ModelNotFound(
                f"Ollama has no model {excerpt(model)!r}, and a task's model is not fetched from a registry that the "
                "deployment does not name: OLLAMA_PULL goes to Ollama's own, and to that of OLLAMA_MODEL."
            )
        self._refuse_what_failed(model)
        if model not in self._running:
            self._told[model] = "0 %"
            # In a context of its own: it is not of the task that came first.
            self._running[model] = asyncio.create_task(
                self._pull(model, server), name="ollama-pull", context=Context()
            )
        done, _ = await asyncio.wait({self._running[model]}, timeout=PATIENCE_S)
        if not done:
            said = f"Ollama at {server.origin} is fetching the model {model!r}: {self._told[model]}."
            raise ModelComing(said, retry_after=PATIENCE_S)
        self._running.pop(model, None)
        self._refuse_what_failed(model)

    async def close(self) -> None:
        """End all fetches; what has come is kept by the server."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _pull(self, model: str, server: OllamaServer) -> None:
        told_at = self._clock.monotonic()
        self._observe(ModelPulled("ollama", model, server.origin, self._told[model]))
        try:
            async for here, whole in server.pull(model):
                if whole:
                    self._told[model] = f"{here / whole:.0%} of {whole / 1e6:,.0f} MB"
                if self._clock.monotonic() - told_at >= TELL_EVERY_S:
                    told_at = self._clock.monotonic()
                    self._observe(ModelPulled("ollama", model, server.origin, self._told[model]))
        except ProviderError as error:
            failed = ModelNotFound(f"Ollama could not fetch the model {model!r}: {error.message}")
            self._failed[model] = (self._clock.monotonic(), failed)
            self._observe(ModelPulled("ollama", model, server.origin, f"failed: {error.message}"))
        else:
            self._observe(ModelPulled("ollama", model, server.origin, "done"))

    def _refuse_what_failed(self, model: str) -> None:
        at, error = self._failed.get(model, (0.0, None))
        if error is not None and self._clock.monotonic() - at < FAILED_FOR_S:
            raise error
        self._failed.pop(model, None)


def registry_of(model: str) -> str:
    """The registry that a model's name begins with, ``host/namespace/model:tag``; empty where it names none."""
    return model.rpartition("/")[0].rpartition("/")[0].lower()
