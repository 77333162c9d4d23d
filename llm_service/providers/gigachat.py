"""GigaChat, Sber's model service."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from llm_service.errors import ModelNotFound, ProviderAccountError, ProviderError, RequestRejected
from llm_service.events import Observer
from llm_service.providers.gigachat_client import VENDOR, GigaChatClient
from llm_service.providers.gigachat_files import StoredFiles
from llm_service.providers.gigachat_length import PromptLength
from llm_service.providers.gigachat_options import GigaChatOptions, concurrency_for_scope
from llm_service.providers.gigachat_request import CAPABILITIES, chat_of, uploads_of
from llm_service.providers.gigachat_stop import ShownText
from llm_service.providers.gigachat_sweep import OrphanSweep
from llm_service.providers.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    StreamPart,
)
from llm_service.providers.reading import whole
from llm_service.providers.registry import ProviderContext
from llm_service.providers.stopwatch import Stopwatch
from llm_service.resilience.clock import Clock

__all__ = ["GigaChatProvider", "concurrency_for_scope", "create"]

EMBEDDING_MODEL = "Embeddings"
"""The vendor's name for the model that every account has."""


def create(context: ProviderContext) -> GigaChatProvider:
    """The provider for these options. Raises SettingsInvalid."""
    options = GigaChatOptions.of(context.options)
    return GigaChatProvider(options, context.clock, context.rng, context.observe)


class GigaChatProvider:
    """Documents are uploaded, asked about and deleted; answers are streamed, so that silence is noticed.

    ``seed`` is left out: the vendor has none, and a seed is a wish everywhere. ``stop`` is kept here.
    """

    def __init__(self, options: GigaChatOptions, clock: Clock, rng: random.Random, observe: Observer) -> None:
        self._options = options
        self._clock = clock
        self._client = GigaChatClient(options, clock)
        self._files = StoredFiles(self._client, clock, observe)
        self._sweep = OrphanSweep(self._client, clock, rng, observe, options.longest_call_s)
        self._length = PromptLength(self._client.count_tokens, options.context_tokens)

    @property
    def name(self) -> str:
        return "gigachat"

    @property
    def default_model(self) -> str:
        return self._options.model

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def complete(self, request: CompletionRequest) -> Completion:
        return await whole(self.stream(request), VENDOR)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamPart, None]:
        watch = Stopwatch(self._clock)
        model = self._model(request.model)
        shown = ShownText(request.parameters)
        answer: Completion | None = None
        uploads = uploads_of(request)
        self._sweep.begin()
        await self._length.check(request, uploads, model)
        async with self._files.stored(uploads) as attachments:
            asked = chat_of(request, model, attachments)
            try:
                async with aclosing(self._client.chat(asked, watch)) as parts:
                    async for part in parts:
                        if isinstance(part, Delta):
                            if text := shown.add(part.text):
                                yield Delta(text)
                        elif isinstance(part, Completion):
                            answer = replace(part, text=shown.whole)
            except RequestRejected as error:
                raise await self._length.explained(error, request, uploads, model) from None
        if text := shown.rest():
            yield Delta(text)
        if answer is not None:
            yield answer

    async def embed(self, texts: Sequence[str], model: str | None = None) -> Embeddings:
        return await self._client.embed(texts, model or EMBEDDING_MODEL)

    async def count_tokens(self, texts: Sequence[str], model: str | None = None) -> Sequence[int]:
        return await self._client.count_tokens(texts, self._model(model))

    async def models(self) -> Sequence[str]:
        return await self._client.models()

    async def health(self) -> None:
        """The models, and the balance where the account has one: empty packages answer no task."""
        await self._client.models()
        try:
            packages = await self._client.balance()
        except ProviderError:
            return  # 403 is an account that pays as it goes; and the balance being away stops no chat
        if packages and max(packages) <= 0:
            raise ProviderAccountError("All packages of the GigaChat account are used up (balance 0).")

    def _model(self, named: str | None) -> str:
        if model := named or self._options.model:
            return model
        raise ModelNotFound("No GigaChat model is named: set GIGACHAT_MODEL.")

    async def close(self) -> None:
        await self._sweep.close()
        await self._files.close()
        await self._client.close()
