"""Whether a prompt fits GigaChat's model: counted by the vendor before it is sent where it may be too long.

What is too long the vendor refuses by HTTP 413, and by 422 where a file is (developers.sber.ru, GigaChat: descriptions of
errors, and the request POST /chat/completions). 422 is also said of what is wrong in other ways.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from llm_service.errors import ContextTooLong, ProviderError, RequestRejected
from llm_service.providers.context import ContextExceeded
from llm_service.providers.context_need import ANSWER_TOKENS, MESSAGE_TOKENS
from llm_service.providers.gigachat_client import NotProcessed, PromptTooLarge
from llm_service.providers.gigachat_request import PICTURE_TYPES
from llm_service.providers.inline import inline_documents
from llm_service.providers.protocol import CompletionRequest, Document
from llm_service.providers.transport import sendable

USUAL_CONTEXT = 131_072
"""Tokens, of the second generation; the first, with 8,192 and 32,768, was switched off in July 2025."""

CONTEXTS = (("GigaChat-3", 262_144),)
"""By how a model's name begins. From a reseller's catalogue (polza.ai), as the vendor's pages name no number (unsure)."""

MOST_BYTES_A_TOKEN = 32
"""No text of a language has more: so much of a text is counted at most, and is too long if all of it is."""

Count = Callable[[Sequence[str], str], Awaitable[Sequence[int]]]


@dataclass(frozen=True, slots=True)
class _Counted:
    tokens: int
    """Of what was counted: all, or so much of it as no context holds."""
    whole: int
    """Of all, at the same measure."""


class PromptLength:
    """Measures prompts; ``count`` asks the vendor, which costs nothing."""

    def __init__(self, count: Count, configured: int | None) -> None:
        self._count = count
        self._configured = configured

    def context_of(self, model: str) -> int:
        """Tokens of prompt and answer together."""
        known = (tokens for name, tokens in CONTEXTS if model.startswith(name))
        return self._configured or next(known, USUAL_CONTEXT)

    async def check(self, request: CompletionRequest, uploads: Sequence[Document], model: str) -> None:
        """Raises ContextExceeded for what is too long. A prompt of fewer bytes than the context has tokens always fits."""
        context = self.context_of(model)
        if _bytes(request, uploads) + _room(request) <= context:
            return
        counted = await self._counted(request, uploads, model)
        if counted is None or counted.tokens + _room(request) <= context:
            return
        needed = counted.whole + _room(request)
        raise ContextExceeded(
            f"The prompt and the answer need {needed} tokens, as GigaChat counts them, and {model!r} has a context of "
            f"{context}; send less text or choose another model.",
            needed_tokens=needed,
            context_tokens=context,
        )

    async def explained(
        self, error: RequestRejected, request: CompletionRequest, uploads: Sequence[Document], model: str
    ) -> ProviderError:
        """What the vendor meant: that it is too long, where it says so, or where a file is as long as that."""
        context = self.context_of(model)
        documents = sum(file.size for file in uploads if file.content_type not in PICTURE_TYPES)
        is_long = isinstance(error, NotProcessed) and documents >= context
        if not is_long and not isinstance(error, PromptTooLarge):
            return RequestRejected(error.message) if isinstance(error, NotProcessed) else error
        counted = await self._counted(request, uploads, model)
        told = f"{counted.whole + _room(request)} tokens with the answer" if counted else "tokens not counted"
        files = f" and {documents} bytes of files" if documents else ""
        return ContextTooLong(
            f"{error.message} ({told}{files}; {model!r} is taken to have a context of {context})"
        )

    async def _counted(
        self, request: CompletionRequest, uploads: Sequence[Document], model: str
    ) -> _Counted | None:
        """None where the vendor does not count; whatever is wrong with it the chat itself will tell."""
        most = self.context_of(model) * MOST_BYTES_A_TOKEN
        parts: list[str] = []
        left = most
        for text in (*_texts(request), *[await _beginning(file, most) for file in _text_files(uploads)]):
            if part := text[:left]:
                parts.append(part)
                left -= len(part.encode())
            if left <= 0:
                break
        try:
            tokens = sum(await self._count(parts, model)) + MESSAGE_TOKENS * (len(request.messages) + 1)
        except ProviderError:
            return None
        share = _bytes(request, uploads) / max(1, sum(len(part.encode()) for part in parts))
        return _Counted(tokens, math.ceil(tokens * max(1.0, share)))


def _room(request: CompletionRequest) -> int:
    return request.parameters.max_tokens or ANSWER_TOKENS


def _texts(request: CompletionRequest) -> list[str]:
    return [sendable(message.content) for message in inline_documents(request)]


def _bytes(request: CompletionRequest, uploads: Sequence[Document]) -> int:
    """Of all that is text and can be counted."""
    said = sum(len(text.encode()) for text in _texts(request))
    return said + sum(file.size for file in _text_files(uploads))


def _text_files(uploads: Sequence[Document]) -> list[Document]:
    return [file for file in uploads if file.content_type == "text/plain" and file.path is not None]


async def _beginning(file: Document, most: int) -> str:
    """In another encoding than UTF-8 other characters are counted, which is as good as an estimate."""

    def read() -> str:
        if file.path is None:
            return ""
        with file.path.open("rb") as opened:
            return opened.read(most).decode("utf-8", "replace")

    return await asyncio.to_thread(read)
