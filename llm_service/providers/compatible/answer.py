"""A streamed answer of OpenAI's protocol, put together; only a whole one counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from llm_service.errors import (
    ContentFiltered,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderServerError,
    ProviderStreamCut,
)
from llm_service.providers.compatible.vendor import Vendor
from llm_service.providers.http_errors import excerpt
from llm_service.providers.protocol import Completion, FinishReason, Quota, Usage
from llm_service.providers.stopwatch import Stopwatch
from llm_service.providers.transport import MAX_TEXT_CHARS

DONE = "[DONE]"

FINISHES = {"stop": FinishReason.STOP, "end_turn": FinishReason.STOP, "length": FinishReason.LENGTH}
"""Those of an answer; ``tool_calls`` is none, as no tool was offered."""


class StreamedAnswer:
    """The events of one answer so far."""

    def __init__(
        self, vendor: Vendor, watch: Stopwatch, broken: Callable[[Mapping[str, object]], ProviderError]
    ) -> None:
        """``broken`` makes the error of what an event says in place of an answer."""
        self._vendor = vendor
        self._watch = watch
        self._broken = broken
        self.is_done = False
        """Whether the end marker came, behind which there is nothing."""
        self._parts: list[str] = []
        self._refusal: list[str] = []
        self._chars = 0
        self._choices = 0
        self._reason: str | None = None
        self._usage: Mapping[str, object] = {}
        self._model = ""

    @property
    def finished(self) -> bool:
        """Whether the finish reason came: the answer is whole, and only its usage may follow."""
        return self._reason is not None

    def add(self, data: str) -> str:
        """Take the data of one event; the text in it. Raises what the event says, ProviderAnswerInvalid for an odd one."""
        if not data:
            return ""
        if data.strip() == DONE:
            self.is_done = True
            return ""
        event = self._read(data)
        if event.get("error"):
            raise self._of_an_answer(self._broken(event))
        self._model = str(event.get("model") or self._model)
        self._count(event.get("usage"))
        choices = event.get("choices")
        return self._choice(choices[0]) if isinstance(choices, list) and choices else ""

    def completion(self, quota: Quota | None) -> Completion:
        """The whole answer, or the error that its end, or the lack of one, stands for."""
        if self._reason is None:
            raise self._without_end()
        if self._refusal:
            raise ContentFiltered(f"The model refused: {excerpt(''.join(self._refusal))}")
        return Completion(
            text="".join(self._parts),
            finish_reason=self._finish(self._reason),
            model=self._model,
            usage=usage_of(self._usage),
            cost=self._cost(),
            timings=self._watch.timings(),
            quota=quota,
        )

    def _of_an_answer(self, error: ProviderError) -> ProviderError:
        """Whatever it is that broke off an answer that had begun: tokens were spent on it."""
        if self._choices and error.retryable and not error.spent:
            return ProviderServerError(error.message, retry_after=error.retry_after)
        return error

    def _read(self, data: str) -> Mapping[str, object]:
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            raise ProviderAnswerInvalid(
                f"{self._vendor.title} sent a piece of an answer that is no JSON object."
            )
        return event

    def _choice(self, choice: object) -> str:
        if not isinstance(choice, Mapping):
            raise ProviderAnswerInvalid(f"{self._vendor.title} sent a choice that is no object.")
        self._choices += 1
        self._count(choice.get("usage"))  # Moonshot's place for it
        reason = choice.get("finish_reason")
        self._reason = str(reason) if reason else self._reason
        # A server that takes no notice of `stream` sends the whole as a message.
        said = choice.get("delta") or choice.get("message") or {}
        if not isinstance(said, Mapping):
            raise ProviderAnswerInvalid(f"{self._vendor.title} sent a piece of an answer that is no object.")
        refusal = said.get("refusal")
        if isinstance(refusal, str):
            self._refusal.append(refusal)
        text = said.get("content")
        return self._text(text) if isinstance(text, str) and text else ""

    def _text(self, text: str) -> str:
        self._watch.first()
        self._chars += len(text)
        if self._chars > MAX_TEXT_CHARS:
            raise ProviderAnswerInvalid(f"The answer is longer than {MAX_TEXT_CHARS} characters.")
        self._parts.append(text)
        return text

    def _count(self, usage: object) -> None:
        if isinstance(usage, Mapping) and usage:
            self._usage = usage

    def _cost(self) -> float | None:
        cost = self._usage.get(self._vendor.cost) if self._vendor.cost else None
        return (
            float(cost)
            if isinstance(cost, int | float) and not isinstance(cost, bool) and cost >= 0
            else None
        )

    def _finish(self, reason: str) -> FinishReason:
        title = self._vendor.title
        if reason == "content_filter":
            raise ContentFiltered(f"{title}'s content filter refused the prompt or the answer.")
        if reason == "error":
            raise ProviderServerError(f"{title} ended its answer with the finish reason 'error'.")
        if reason not in FINISHES:
            raise ProviderAnswerInvalid(
                f"{title} ended its answer with the finish reason {excerpt(reason)!r}."
            )
        return FINISHES[reason]

    def _without_end(self) -> ProviderError:
        title = self._vendor.title
        if self.is_done and not self._choices:
            return ProviderAnswerInvalid(f"{title}'s answer holds no choices.")
        return ProviderStreamCut(
            f"{title}'s answer ended after {self._chars} characters without its end marker."
        )


def usage_of(usage: Mapping[str, object]) -> Usage:
    """OpenAI's names; Moonshot has ``cached_tokens`` without a frame."""
    details = usage.get("prompt_tokens_details")
    cached = (details if isinstance(details, Mapping) else usage).get("cached_tokens")
    return Usage(
        _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens")), _tokens(cached)
    )


def _tokens(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
