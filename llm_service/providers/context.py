"""A request that is longer than a model's context, where it is known by how much."""

from __future__ import annotations

from llm_service.errors import ContextTooLong


class ContextExceeded(ContextTooLong):
    """The prompt, its documents and the answer are longer than the model's context."""

    def __init__(self, message: str, *, needed_tokens: int, context_tokens: int) -> None:
        super().__init__(message)
        self.needed_tokens = needed_tokens
        """Prompt and answer together, counted or estimated."""
        self.context_tokens = context_tokens
