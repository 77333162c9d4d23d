"""Ollama, models on machines of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from llm_service.errors import (
    ContextTooLong,
    ModelNotFound,
    RequestRejected,
    RequestUnsupported,
)
from llm_service.events import Observer
from llm_service.providers.context_need import ContextNeed
from llm_service.providers.ollama_context import context_sizes
from llm_service.providers.ollama_fleet import OllamaFleet
from llm_service.providers.ollama_options import OllamaOptions
from llm_service.providers.ollama_pull import ModelPulls
from llm_service.providers.ollama_request import (
    CAPABILITIES,
    encoded,
    messages_of,
    payload_of,
    pictures_of,
)
from llm_service.providers.ollama_server import VENDOR, OllamaServer
from llm_service.providers.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    Document,
    Embeddings,
    StreamPart,
)
from llm_service.providers.reading import whole
from llm_service.providers.registry import ProviderContext
from llm_service.providers.stopwatch import Stopwatch
from llm_service.resilience.clock import Clock


def create(context: ProviderContext) -> OllamaProvider:
    """The provider for these options. Raises SettingsInvalid."""
    return OllamaProvider(OllamaOptions.of(context.options), context.clock, context.observe)


class OllamaProvider:
    """Nothing is cut silently: each request brings the context it needs, and is refused when there is none so large.

    Ending a call closes its connection, which ends the generation at the server.
    """

    def __init__(self, options: OllamaOptions, clock: Clock, observe: Observer) -> None:
        self._options = options
        self._clock = clock
        servers = [OllamaServer(address, options, clock) for address in options.addresses]
        self._fleet = OllamaFleet(servers, options.max_concurrent, clock)
        self._pulls = ModelPulls(clock, observe, options.model)

    @property
    def name(self) -> str:
        return "ollama"

    @property
    def default_model(self) -> str:
        return self._options.model

    @property
    def capabilities(self) -> Capabilities:
        return replace(CAPABILITIES, context_tokens=self._options.num_ctx_max)

    async def complete(self, request: CompletionRequest) -> Completion:
        return await whole(self.stream(request), VENDOR)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamPart, None]:
        watch = Stopwatch(self._clock)
        pictures = pictures_of(request)
        images = await _encoded(pictures)
        model = request.model or self._options.model
        attempt = self._fleet.attempt(model, self._pulls.fetched if self._options.pull else None)
        while True:
            async with attempt.turn() as turn:
                async with aclosing(self._answer(turn.server, model, request, images, watch)) as parts:
                    async for part in parts:
                        turn.has_begun = True
                        yield part
                return

    async def embed(self, texts: Sequence[str], model: str | None = None) -> Embeddings:
        """By the model that is named, or the one of the settings; what is too long for it is refused, not cut."""
        wanted = model or self._options.model
        attempt = self._fleet.attempt(wanted, self._pulls.fetched if self._options.pull else None)
        while True:
            async with attempt.turn() as turn:
                return await turn.server.embed(texts, wanted)

    async def count_tokens(self, texts: Sequence[str], model: str | None = None) -> Sequence[int]:
        """Raises RequestUnsupported: the server has no call for it."""
        raise RequestUnsupported("The provider ollama counts no tokens.")

    async def models(self) -> Sequence[str]:
        """Those of all servers that answer. Raises ProviderError when none does."""
        asked = (server.models() for server in self._fleet.servers)
        told = await asyncio.gather(*asked, return_exceptions=True)
        found = [models for models in told if not isinstance(models, BaseException)]
        if not found:
            raise next(error for error in told if isinstance(error, BaseException))
        return list(dict.fromkeys(model for models in found for model in models))

    async def health(self) -> None:
        """Whether a server runs and has the model, or may fetch it; nothing is loaded by asking."""
        asked = (server.show(self._options.model) for server in self._fleet.servers)
        errors = [
            error
            for error in await asyncio.gather(*asked, return_exceptions=True)
            if isinstance(error, BaseException)
        ]
        missing = [error for error in errors if isinstance(error, ModelNotFound)]
        if len(errors) == len(self._fleet) and not (missing and self._options.pull and self._options.model):
            raise (missing or errors)[0]

    async def close(self) -> None:
        await self._pulls.close()
        for server in self._fleet.servers:
            await server.close()

    async def _answer(
        self,
        server: OllamaServer,
        model: str,
        request: CompletionRequest,
        images: Sequence[str],
        watch: Stopwatch,
    ) -> AsyncGenerator[StreamPart, None]:
        facts = await server.facts_of(model)
        pictures = pictures_of(request)
        if pictures and not facts.sees:
            raise RequestUnsupported(f"The model {model!r} sees no pictures ({pictures[0].name!r}).")
        messages = messages_of(request)
        need = ContextNeed.of(messages, len(pictures), request.parameters.max_tokens)
        *earlier, last = context_sizes(need, model, facts, self._options.num_ctx_max)
        for size in earlier:
            payload = payload_of(request, messages, images, size)
            try:
                async with aclosing(server.chat(model, payload, watch)) as parts:
                    async for part in parts:
                        yield part
            except (ContextTooLong, RequestRejected):
                # With truncation off HTTP 400 says among other things that the prompt did not fit the size. That comes
                # before any answer and costs nothing; whatever else it meant, the larger size is refused in the same words.
                continue
            return
        payload = payload_of(request, messages, images, last)
        async with aclosing(server.chat(model, payload, watch)) as parts:
            async for part in parts:
                yield part


async def _encoded(pictures: Sequence[Document]) -> list[str]:
    return [await asyncio.to_thread(encoded, picture.path) for picture in pictures if picture.path]
