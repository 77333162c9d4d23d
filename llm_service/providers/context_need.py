"""How large a context a prompt needs, estimated where nobody counts its tokens before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_service.providers.protocol import Message

BYTES_A_TOKEN = 3
"""Of UTF-8, for the estimate. English text has 4 and more, code and numbers about 3, Russian (2 bytes a letter, 2 to 2.5
letters a token) 4 to 5, Chinese 3: so the estimate is the lower end for text, and what a tokenizer that knows
the language badly needs above it, the second size covers."""

MESSAGE_TOKENS = 16
"""What a chat template puts around a message, at most."""

PICTURE_TOKENS = 2048
"""What a picture costs a vision model: llava 576, gemma 256, qwen-vl up to about 1,300 at its default."""

ANSWER_TOKENS = 1024
"""Room for an answer when the request sets no ``max_tokens``."""


@dataclass(frozen=True, slots=True)
class ContextNeed:
    """Tokens for prompt and answer: as estimated, and at the very most."""

    estimate: int
    most: int

    @staticmethod
    def of(messages: Sequence[Message], pictures: int, max_tokens: int | None) -> ContextNeed:
        """At most one token a byte: a tokenizer that knows nothing of the language falls back to bytes."""
        size = sum(len(message.content.encode("utf-8", "replace")) for message in messages)
        around = MESSAGE_TOKENS * (len(messages) + 1) + PICTURE_TOKENS * pictures
        around += ANSWER_TOKENS if max_tokens is None else max_tokens
        return ContextNeed(-(-size // BYTES_A_TOKEN) + around, size + around)
