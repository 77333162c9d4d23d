"""LiteLLM's process as the service sees it: started when it is first used, asked many things at once, ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from llm_service.child_process import Child, start
from llm_service.providers import litellm_frames as frames

_MAIN = "llm_service.providers.litellm_child"
# Its table of prices and limits is the one it comes with: by default it asks GitHub for another when it is imported.
_ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
_START_S = 120.0
"""The import reads some thousand files; 4 s on a quiet machine, 15 on a busy one with a cold cache."""
_SILENCE_S = 20.0
"""Twenty beats missed: it hangs, or the machine does."""
_LAST = ("end", "vectors", "error")


class ProcessGone(Exception):  # named for what happened
    """The process ended, or hung and was ended, with a call in hand."""


class LitellmProcess:
    """A process with the library imported."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Queue[dict[str, Any] | None]] = {}
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, setup: Mapping[str, object]) -> LitellmProcess:
        """Return when the library is imported. Raises ProcessGone, OSError."""
        process = cls(await start(_MAIN, "", _ENVIRONMENT))
        try:
            process._send({"kind": "setup", **setup})
            await process._frame(_START_S)
        except BaseException:
            await process.end()
            raise
        process._reading = asyncio.create_task(process._read(), name="litellm-process")
        return process

    @property
    def pid(self) -> int:
        return self._child.process.pid

    @property
    def is_over(self) -> bool:
        return self._reading is None or self._reading.done()

    async def ask(
        self, kind: str, request: Mapping[str, object], first_s: float, next_s: float
    ) -> AsyncGenerator[dict[str, Any], None]:
        """What it reports of a call, to the last. Left early, the call is cancelled there.

        Raises ProcessGone, and TimeoutError where nothing is reported of it for so many seconds.
        """
        if self.is_over:
            raise ProcessGone
        call_id = next(self._ids)
        reports: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._asked[call_id] = reports
        is_answered = False
        limit = first_s
        try:
            self._send({"kind": kind, "id": call_id, "request": request})
            while not is_answered:
                async with asyncio.timeout(limit):
                    report = await reports.get()
                if report is None:
                    raise ProcessGone
                is_answered = report["kind"] in _LAST
                limit = next_s
                yield report
        finally:
            del self._asked[call_id]
            if not is_answered and not self.is_over:
                self._send({"kind": "cancel", "id": call_id})

    async def end(self) -> None:
        """Kill it if it lives; return when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._child.process.kill()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        self._child.writer.close()
        await asyncio.to_thread(self._child.process.wait)

    async def _read(self) -> None:
        try:
            while True:
                report = await self._frame(_SILENCE_S)
                if (asked := self._asked.get(report.get("id", 0))) is not None:
                    asked.put_nowait(report)
        except ProcessGone:
            return
        finally:
            self._child.process.kill()
            for asked in self._asked.values():
                asked.put_nowait(None)

    async def _frame(self, silence_s: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(silence_s):
                return await frames.read(self._child.reader)
        except (TimeoutError, asyncio.IncompleteReadError, OSError, frames.FrameError):
            raise ProcessGone from None

    def _send(self, frame: Mapping[str, object]) -> None:
        self._child.writer.write(frames.pack(frame))
