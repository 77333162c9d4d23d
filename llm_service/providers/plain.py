"""What a provider has that does no more than answer: inherited, and overridden by whoever can do more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence

from llm_service.errors import RequestUnsupported
from llm_service.providers.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    Delta,
    Embeddings,
    StreamPart,
)


class PlainProvider(ABC):
    """A provider with one way to answer; ``name``, ``default_model`` and ``complete`` are to be given."""

    name: str
    default_model: str
    capabilities = Capabilities()

    @abstractmethod
    async def complete(self, request: CompletionRequest) -> Completion: ...

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[StreamPart, None]:
        """The whole answer as one piece."""
        answer = await self.complete(request)
        if answer.text:
            yield Delta(answer.text)
        yield answer

    async def embed(self, texts: Sequence[str], model: str | None = None) -> Embeddings:
        """Raises RequestUnsupported."""
        raise RequestUnsupported(f"The provider {self.name} gives no embeddings; ask another one.")

    async def count_tokens(self, texts: Sequence[str], model: str | None = None) -> Sequence[int]:
        """Raises RequestUnsupported."""
        raise RequestUnsupported(f"The provider {self.name} counts no tokens.")

    async def models(self) -> Sequence[str]:
        """The one model there is."""
        return (self.default_model,)

    async def health(self) -> None:  # noqa: B027 - nothing to do is right for most
        """Always well: there is nothing outside to reach."""

    async def close(self) -> None:  # noqa: B027 - the same
        """Holds nothing."""
