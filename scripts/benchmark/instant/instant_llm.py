"""A provider that answers at once, or after the time it is told; a package of its own, as a third party has one."""

from __future__ import annotations

import asyncio
import time
from array import array
from pathlib import Path

from llm_service.providers.plain import PlainProvider
from llm_service.providers.protocol import Completion, CompletionRequest, FinishReason, Usage
from llm_service.providers.registry import ProviderContext

ANSWER = "Письмо получено, ответ не требуется."


class Instant(PlainProvider):
    """``INSTANT_SECONDS`` is how long an answer takes; ``INSTANT_CALLS`` is a file for the times of all calls."""

    name = "instant"
    default_model = "instant-1"

    def __init__(self, seconds: float, calls: Path | None) -> None:
        self._seconds = seconds
        self._calls = calls
        self._times = array("d")

    async def complete(self, request: CompletionRequest) -> Completion:
        began = time.monotonic()
        if self._seconds:
            await asyncio.sleep(self._seconds)
        if self._calls is not None:
            self._times.extend((began, time.monotonic()))
        return Completion(ANSWER, FinishReason.STOP, self.default_model, Usage(100, 20))

    async def close(self) -> None:
        if self._calls is not None:
            self._calls.write_bytes(self._times.tobytes())


def create(context: ProviderContext) -> Instant:
    """The entry point."""
    calls = context.options.get("calls")
    return Instant(float(str(context.options.get("seconds", "0"))), Path(str(calls)) if calls else None)
