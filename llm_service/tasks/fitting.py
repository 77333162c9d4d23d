"""What is too long for a model: found before the call where that can be, and cut where the task allows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llm_service.errors import ContextTooLong
from llm_service.providers.context import ContextExceeded
from llm_service.providers.protocol import CompletionRequest, Document

# Of UTF-8, the lower end of what tokenizers make of text: English has 4 and more, Russian 4 to 5, code and numbers 3.
_BYTES_A_TOKEN = 3
# What a chat template puts around a message, and the lines around a document.
_AROUND_TOKENS = 32
# What a picture costs a vision model: llava 576, gemma 256, qwen-vl up to about 1,300.
_PICTURE_TOKENS = 2_048
# Room for an answer where the request sets no max_tokens.
_ANSWER_TOKENS = 1_024
# Cutting aims a little below the limit: the note at the cut takes room too, and words are not split.
_AIM = 0.97
# Where nobody said by how much it was too long.
_HALF = 0.5
_LEAST_BYTES = 200
_WORD_CHARS = 100


def judge(request: CompletionRequest, context_tokens: int | None) -> None:
    """Raises ContextExceeded with both numbers when even a low estimate does not fit; nothing has been spent then."""
    if context_tokens is None:
        return
    needed = sum(estimate(request))
    if needed > context_tokens:
        raise ContextExceeded(
            f"The prompt, its documents and the answer need about {needed} tokens, and there is a context of "
            f'{context_tokens}; send less text, set "truncate": true, or choose another model.',
            needed_tokens=needed,
            context_tokens=context_tokens,
        )


def share_to_keep(request: CompletionRequest, error: ContextTooLong) -> float | None:
    """Which share of its documents' text the request may keep; None when cutting them all would not help."""
    documents = _text_bytes(request.documents)
    if documents < _LEAST_BYTES:
        return None
    if not isinstance(error, ContextExceeded):
        return _HALF
    # By the same measure as the number that was told, be it counted or estimated: so many tokens for so many bytes.
    answer = request.parameters.max_tokens or _ANSWER_TOKENS
    everything = documents + sum(
        len(message.content.encode("utf-8", "replace")) for message in request.messages
    )
    tokens = max(1, error.needed_tokens - answer) * documents / everything
    share = (tokens - (error.needed_tokens - error.context_tokens)) / tokens * _AIM
    return share if share * documents >= _LEAST_BYTES else None


def cut(documents: Sequence[Document], share: float) -> tuple[Document, ...]:
    """The documents with so much of their text, the longest cut first; a line at its end says so of each that was."""
    sizes = [_size(document) for document in documents]
    most = _level(sizes, int(sum(sizes) * share))
    return tuple(
        document if size <= most or document.text is None else _ended(document, document.text, most)
        for document, size in zip(documents, sizes, strict=True)
    )


def estimate(request: CompletionRequest) -> tuple[int, int]:
    """Tokens of the prompt with its documents, and of the answer."""
    said = sum(len(message.content.encode("utf-8", "replace")) for message in request.messages)
    size = said + _text_bytes(request.documents)
    around = _AROUND_TOKENS * (len(request.messages) + len(request.documents))
    pictures = sum(
        document.text is None and document.content_type.startswith("image/") for document in request.documents
    )
    answer = request.parameters.max_tokens or _ANSWER_TOKENS
    return -(-size // _BYTES_A_TOKEN) + around + pictures * _PICTURE_TOKENS, answer


def _text_bytes(documents: Sequence[Document]) -> int:
    return sum(map(_size, documents))


def _size(document: Document) -> int:
    return len((document.text or "").encode("utf-8", "replace"))


def _level(sizes: Sequence[int], room: int) -> int:
    """The size to which the larger ones are cut so that all together fill the room."""
    left = len(sizes)
    for size in sorted(sizes):
        if size * left >= room:
            return room // left
        room -= size
        left -= 1
    return max(sizes, default=0)


def _ended(document: Document, text: str, most: int) -> Document:
    kept = text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
    space = max(kept.rfind(" ", -_WORD_CHARS), kept.rfind("\n", -_WORD_CHARS))
    kept = kept[:space] if space > 0 else kept
    left_out = len(text) - len(kept)
    note = f"[cut here: {left_out} of {len(text)} characters are left out]"
    return replace(document, text=f"{kept}\n{note}", left_out=left_out)
