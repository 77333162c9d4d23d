"""The provider that needs no model: it reads the text and says what is written there.

For a first run without an account, for tests, and as a yardstick. The same request gives the same answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from llm_service.errors import ModelNotFound, RequestRejected
from llm_service.providers.ability import refuse_unable
from llm_service.providers.extraction.facts import find_facts
from llm_service.providers.extraction.filling import Filler
from llm_service.providers.extraction.report import honest_line, page
from llm_service.providers.extraction.source import HEAD_CHARS, TAIL_CHARS
from llm_service.providers.plain import PlainProvider
from llm_service.providers.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    Document,
    FinishReason,
    Message,
    Usage,
)
from llm_service.providers.registry import ProviderContext

MODEL = "extractive-1"
_MOST_DOCUMENTS = 10
_QUICK_CHARS = 20_000
"""About 20 ms of CPU: a longer text is read in a thread, so that the event loop goes on."""
_INSTRUCTION_CHARS = 300


class Extractive(PlainProvider):
    """Answers from the words of the documents, or of the user's messages when there are no documents.

    Instructions are not understood: a schema decides what is answered, and without one it is a summary with the facts
    found. Of the sampling parameters only ``max_tokens`` has a meaning. At most ten documents are read, and of each
    200,000 characters (its first 150,000 and last 50,000).
    """

    name = "extractive"
    default_model = MODEL
    capabilities = Capabilities(schema=True)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Raises ModelNotFound, RequestUnsupported for a grammar or a picture, RequestRejected when there is no text."""
        if request.model not in (None, MODEL):
            raise ModelNotFound(
                f"The extractive provider has no model {request.model[:60]!r}; it has {MODEL}."
            )
        refuse_unable(self.name, self.capabilities, request)
        texts = _texts(request)
        if sum(map(len, texts)) <= _QUICK_CHARS:
            return _answer(request, texts)
        return await asyncio.to_thread(_answer, request, texts)


def create(context: ProviderContext) -> Extractive:
    """The provider; it takes no options."""
    del context
    return Extractive()


def _texts(request: CompletionRequest) -> tuple[str, ...]:
    """The texts to read, bounded; raises when there are none."""
    if request.documents:
        return tuple(_document_text(document) for document in request.documents[:_MOST_DOCUMENTS])
    said = "\n\n".join(_material(message) for message in request.messages if message.role == "user")
    if not said.strip():
        raise RequestRejected(
            "There is no text to read: the task has neither a document nor a user's message."
        )
    return (_bounded(said),)


def _document_text(document: Document) -> str:
    shown = document.name[:100]
    if not (document.text or "").strip():
        raise RequestRejected(f"There is no text in {shown!r}; a scan needs a provider that sees pictures.")
    return _bounded(document.text or "")


def _material(message: Message) -> str:
    """A message without the instruction it begins with: ``Summarise:`` and what follows."""
    first, newline, rest = message.content.partition("\n")
    is_instruction = first.rstrip().endswith(":") and len(first) <= _INSTRUCTION_CHARS and rest.strip()
    return rest if newline and is_instruction else message.content


def _bounded(text: str) -> str:
    """No longer than what will be read: a thread must not be handed megabytes to throw them away."""
    if len(text) <= HEAD_CHARS + TAIL_CHARS + 1:
        return text
    return text[: HEAD_CHARS + 1] + text[-TAIL_CHARS:]


def _answer(request: CompletionRequest, texts: tuple[str, ...]) -> Completion:
    if request.response_schema is not None:
        filled = Filler(request.response_schema, find_facts("\n\n".join(texts))).fill()
        text = json.dumps(filled, ensure_ascii=False, indent=2)
    else:
        text = _in_words(request.documents, texts)
    return _completion(request, texts, text)


def _in_words(documents: Sequence[Document], texts: tuple[str, ...]) -> str:
    facts = [find_facts(text) for text in texts]
    pages = [page(each) for each in facts]
    if len(pages) > 1:
        pages = [f"[{document.name}]\n{each}" for document, each in zip(documents, pages, strict=False)]
    return "\n\n".join([*pages, honest_line(facts[0].source.language)])


def _completion(request: CompletionRequest, texts: tuple[str, ...], text: str) -> Completion:
    """The answer, cut at ``max_tokens`` as a model's would be; a token here is what blanks divide."""
    prompt = sum(len(part.split()) for part in (*texts, *(message.content for message in request.messages)))
    tokens = text.split()
    most = request.parameters.max_tokens
    reason = FinishReason.STOP
    if most is not None and len(tokens) > most:
        text, tokens, reason = " ".join(tokens[:most]), tokens[:most], FinishReason.LENGTH
    return Completion(text, reason, MODEL, Usage(prompt, len(tokens)))
