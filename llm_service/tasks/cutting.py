"""Asking about documents that are too long for a model: shorter where the task allows it, and what was cut is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TypeAlias

from llm_service.contract.status import Altered
from llm_service.errors import ContextTooLong
from llm_service.providers.protocol import Completion, CompletionRequest, Document
from llm_service.resilience.deadline import Deadline
from llm_service.tasks import fitting

Pause: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
Complete: TypeAlias = Callable[[CompletionRequest, Deadline, Pause], Awaitable[Completion]]
Documents: TypeAlias = tuple[Document, ...]
Telling: TypeAlias = Callable[[Sequence[Altered]], None]
"""Hears what became of the documents of the call that is being made; it holds for the last call."""

# By half each, where nobody says how much is too much: to a thirtieth of what the task brought.
_CUTS = 5


class Cutting:
    """Asks one provider for one task. What was cut for its first call is cut for the later ones."""

    def __init__(
        self,
        call: Complete,
        context_tokens: int | None,
        as_texts: Callable[[Documents], Awaitable[Documents]] | None,
        tell: Telling,
    ) -> None:
        """``as_texts`` turns files into texts, since only a text can be cut; None where the task allows no cut."""
        self._call = call
        self._context_tokens = context_tokens
        self._as_texts = as_texts
        self._tell = tell
        self._whole: Documents | None = None
        """The documents as they can be cut, once one call has been too long."""
        self._share = 1.0

    async def complete(self, request: CompletionRequest, deadline: Deadline, pause: Pause) -> Completion:
        """As the provider answers. Raises ContextTooLong where no cut is allowed, or none helps."""
        for _ in range(_CUTS if self._as_texts is not None else 0):
            try:
                return await self._asked(request, deadline, pause)
            except ContextTooLong as error:
                await self._cut(request, error)
        return await self._asked(request, deadline, pause)

    async def _asked(self, request: CompletionRequest, deadline: Deadline, pause: Pause) -> Completion:
        sent = self._shortened(request)
        fitting.judge(sent, self._context_tokens)
        self._tell(altered(self._whole or request.documents, sent.documents))
        return await self._call(sent, deadline, pause)

    async def _cut(self, request: CompletionRequest, error: ContextTooLong) -> None:
        if self._whole is None and self._as_texts is not None:
            self._whole = await self._as_texts(request.documents)
        share = fitting.share_to_keep(self._shortened(request), error)
        if share is None:
            raise error
        self._share *= share

    def _shortened(self, request: CompletionRequest) -> CompletionRequest:
        if self._whole is None:
            return request
        return replace(request, documents=fitting.cut(self._whole, self._share))


def altered(whole: Sequence[Document], sent: Sequence[Document]) -> tuple[Altered, ...]:
    """What of these documents the model gets otherwise than they came."""
    return tuple(
        Altered(after.name, len(before.text or ""), after.left_out, after.hidden)
        for before, after in zip(whole, sent, strict=True)
        if after.left_out or after.hidden
    )
