"""How large a context a prompt needs, and how large a one the model has.

Ollama loads a model with a context of ``num_ctx`` tokens (4096 by default) and cuts what is longer, so each request says
what it needs. Another ``num_ctx`` than the loaded one reloads the model, so there are few sizes: doublings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_service.providers.context import ContextExceeded
from llm_service.providers.context_need import ContextNeed

SMALLEST = 4096
"""Ollama's own default."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What /api/show says of a model."""

    context_tokens: int | None
    sees: bool

    @staticmethod
    def of(info: Mapping[str, object] | None, capabilities: Sequence[str] | None) -> ModelFacts:
        """``<architecture>.context_length`` is the length it was trained with."""
        values = info or {}
        length = values.get(f"{values.get('general.architecture')}.context_length")
        return ModelFacts(
            length if isinstance(length, int) and length > 0 else None, "vision" in (capabilities or ())
        )


def context_sizes(need: ContextNeed, model: str, facts: ModelFacts, configured: int) -> tuple[int, ...]:
    """``num_ctx`` to ask with, and a larger one should the server find the prompt longer than estimated.

    Raises ContextExceeded before any call when even the estimate does not fit.
    """
    most = min(configured, facts.context_tokens or configured)
    if need.estimate > most:
        source = "the model's own length" if most < configured else "OLLAMA_NUM_CTX_MAX"
        raise ContextExceeded(
            f"The prompt and the answer need about {need.estimate} tokens, and {model!r} has a context of {most} "
            f"({source}); send less text or choose another model.",
            needed_tokens=need.estimate,
            context_tokens=most,
        )
    first, last = _doubled(need.estimate, most), _doubled(need.most, most)
    return (first,) if first == last else (first, last)


def _doubled(tokens: int, most: int) -> int:
    size = SMALLEST
    while size < tokens:
        size *= 2
    return min(size, most)
