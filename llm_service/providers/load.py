"""What a call takes of a minute's limits, and what an answer says is left of them."""

from __future__ import annotations

from llm_service.errors import ProviderError
from llm_service.providers.context_need import ContextNeed
from llm_service.providers.protocol import Completion, CompletionRequest, Message, Quota
from llm_service.resilience.budget import Left

_SAID_NOTHING = Left(), Left()


def tokens_of(request: CompletionRequest) -> int:
    """Tokens of prompt and answer, as estimated before the call; the answer's at its limit, as vendors count it.

    A millisecond for a megabyte of text.
    """
    texts = [Message("user", document.text) for document in request.documents if document.text is not None]
    pictures = len(request.documents) - len(texts)
    return ContextNeed.of([*request.messages, *texts], pictures, request.parameters.max_tokens).estimate


def left_by(said: Completion | ProviderError) -> tuple[Left, Left]:
    """Requests and tokens."""
    quota = said.quota
    if not isinstance(quota, Quota):
        return _SAID_NOTHING
    return (
        Left(quota.requests_limit, quota.requests_left, quota.requests_reset_s),
        Left(quota.tokens_limit, quota.tokens_left, quota.tokens_reset_s),
    )


def in_words(requests: float | None, tokens: float | None, *, is_learned: bool) -> str:
    """The limits in force, as a reader of the task's end can check them."""
    if is_learned and requests is not None:
        return f"it refused more, and is asked {requests:,.0f} times a minute at most"
    named = {"requests": requests, "tokens": tokens}
    words = [f"{limit:,.0f} {what} a minute" for what, limit in named.items() if limit is not None]
    return "the limit is " + " and ".join(words) if words else "the provider says that little is left"
