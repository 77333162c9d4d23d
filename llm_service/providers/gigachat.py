"""GigaChat, Sber's model service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llm_service.errors import ModelNotFound, ProviderAccountError, ProviderError
from llm_service.events import Observer
from llm_service.providers.gigachat_client import GigaChatClient
from llm_service.providers.gigachat_files import StoredFiles
from llm_service.providers.gigachat_options import GigaChatOptions, concurrency_for_scope
from llm_service.providers.gigachat_request import (
    PICTURE_LIMIT,
    PICTURE_TYPES,
    UPLOAD_LIMIT,
    UPLOAD_TYPES,
    chat_of,
    until_stop,
    uploads_of,
)
from llm_service.providers.protocol import Capabilities, Completion, CompletionRequest
from llm_service.providers.registry import ProviderContext
from llm_service.resilience.clock import Clock

__all__ = ["GigaChatProvider", "concurrency_for_scope", "create"]

CAPABILITIES = Capabilities(
    upload_types=frozenset(UPLOAD_TYPES),
    picture_types=frozenset(PICTURE_TYPES),
    upload_limit_bytes=UPLOAD_LIMIT,
    picture_limit_bytes=PICTURE_LIMIT,
    schema=False,
)


def create(context: ProviderContext) -> GigaChatProvider:
    """The provider for these options. Raises SettingsInvalid."""
    return GigaChatProvider(GigaChatOptions.of(context.options), context.clock, context.observe)


class GigaChatProvider:
    """Documents are uploaded, asked about and deleted; answers are streamed, so that silence is noticed.

    ``seed`` is left out: the vendor has none, and a seed is a wish everywhere. ``stop`` is kept here.
    """

    def __init__(self, options: GigaChatOptions, clock: Clock, observe: Observer) -> None:
        self._options = options
        self._client = GigaChatClient(options, clock)
        self._files = StoredFiles(self._client, clock, observe)

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
        model = request.model or self._options.model
        if not model:
            raise ModelNotFound("No GigaChat model is named: set GIGACHAT_MODEL.")
        async with self._files.stored(uploads_of(request)) as attachments:
            answer = await self._client.chat(chat_of(request, model, attachments))
        return replace(answer, text=until_stop(answer.text, request.parameters))

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

    async def close(self) -> None:
        await self._files.close()
        await self._client.close()
