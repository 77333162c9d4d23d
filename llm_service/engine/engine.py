"""One model that stays answerable: its process is started, and started again when it dies, and what it had is asked again.

A crash costs a restart and a repetition, here and not outside: no caller's retries, no breaker. Whatever was aboard of
two crashes is asked alone the third time, so that one request that kills the process is found out, and does not take
others with it for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from llm_service.engine.company import Company
from llm_service.engine.frames import Beat, Count, Embed, Generate, Report, Setup
from llm_service.engine.process import EngineGone, EngineProcess, EngineUnloadable
from llm_service.errors import ModelNotFound, ProviderUnavailable, RequestRejected
from llm_service.resilience.clock import Clock
from llm_service.resilience.retry import Backoff

# Aboard so many crashes a request is asked alone; a crash then is its own doing.
_ALONE_AFTER = 2


@dataclass(frozen=True, slots=True)
class BegunAgain:
    """The process died: the command is asked again, and what was reported of it till now is void."""


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """What an operator must know of a model's process."""

    model: str
    action: str
    """``loaded``, ``died``, ``failed`` or ``unloaded``."""
    detail: str


class Engine:
    """One model, in a process of its own, under supervision."""

    def __init__(
        self,
        model: str,
        setup: Setup,
        silence_s: float,
        clock: Clock,
        backoff: Backoff,
        observe: Callable[[EngineEvent], None],
        beaten: Callable[[], None] = lambda: None,
    ) -> None:
        """``beaten`` is called when ``beat`` is another.

        ``silence_s``: a process that says nothing for so long hangs, and is ended.
        """
        self.model = model
        self.setup = setup
        self._silence_s = silence_s
        self._clock = clock
        self._backoff = backoff
        self._observe = observe
        self._beaten = beaten
        self._company = Company()
        self._process: EngineProcess | None = None
        self._loading: asyncio.Task[None] | None = None
        self._failures = 0
        self._again_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process's, while there is one."""
        return None if self._process is None else self._process.pid

    @property
    def beat(self) -> Beat:
        """What the process last said of itself."""
        return Beat() if self._process is None else self._process.beat

    async def reports(self, command: Generate | Embed | Count) -> list[Report]:
        """All that is reported of the command, when it is done. Raises as ``stream`` does."""
        found: list[Report] = []
        async with aclosing(self.stream(command)) as reports:
            async for report in reports:
                if isinstance(report, BegunAgain):
                    found.clear()
                else:
                    found.append(report)
        return found

    async def stream(self, command: Generate | Embed | Count) -> AsyncGenerator[Report | BegunAgain, None]:
        """What is reported of the command, as it comes; when the process dies, from the beginning again.

        Raises ProviderUnavailable where the model can't be loaded now, ModelNotFound where its file can't be used, and
        RequestRejected for what kills the process each time.
        """
        crashes = 0
        while True:
            async with self._together(alone=crashes >= _ALONE_AFTER):
                process = await self._running()
                reports = process.ask(command)
                try:
                    async for report in reports:
                        yield report
                except EngineGone as gone:
                    await self._bury(process, gone)
                else:
                    self._failures = 0
                    return
                finally:
                    await reports.aclose()
            if crashes >= _ALONE_AFTER:
                raise RequestRejected(
                    f"The engine's process for {self.model} dies of this request: it did so {crashes + 1} times, "
                    "the last time with nothing else to do."
                )
            crashes += 1
            yield BegunAgain()

    async def load(self) -> None:
        """Return when it is loaded. Raises as ``ask`` does."""
        await self._running()

    async def close(self) -> None:
        """End its process; the model's memory is free when this returns."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        process, self._process = self._process, None
        if process is not None:
            await process.end()
            self._observe(EngineEvent(self.model, "unloaded", ""))

    @asynccontextmanager
    async def _together(self, *, alone: bool) -> AsyncIterator[None]:
        async with self._company.alone() if alone else self._company.together():
            yield

    async def _running(self) -> EngineProcess:
        while self._process is None or self._process.is_over:
            if self._process is not None:
                await self._bury(self._process, EngineGone("it died"))
            elif self._loading is None:
                # Not in the hands of whoever asks first: a task that gives up does not undo a minute of loading.
                self._loading = asyncio.create_task(self._load())
                self._loading.add_done_callback(_look_at)
            else:
                await asyncio.shield(self._loading)
        return self._process

    async def _load(self) -> None:
        try:
            await self._clock.sleep(max(0.0, self._again_at - self._clock.monotonic()))
            self._process = await self._start()
        finally:
            self._loading = None

    async def _start(self) -> EngineProcess:
        began = self._clock.monotonic()
        try:
            process = await EngineProcess.start(self.setup, self._silence_s)
        except EngineUnloadable as error:
            self._failed(str(error))
            raise ModelNotFound(
                f"The model {self.model} can't be loaded: {error}.{_needed(str(error))}"
            ) from None
        except (EngineGone, OSError) as error:
            self._failed(str(error))
            raise ProviderUnavailable(
                f"The engine's process for {self.model} did not start ({error}); "
                "is there memory for the model, and is llm-service[gguf] installed?"
            ) from None
        process.beaten = self._beaten
        took = self._clock.monotonic() - began
        self._observe(EngineEvent(self.model, "loaded", f"in {took:.1f} s"))
        return process

    async def _bury(self, process: EngineProcess, gone: EngineGone) -> None:
        """The first of those it had in hand does so for all."""
        if self._process is not process:
            return
        self._process = None
        self._put_off()
        code = await process.end()
        self._observe(EngineEvent(self.model, "died", f"{gone} (exit code {code})"))

    def _failed(self, why: str) -> None:
        self._put_off()
        self._observe(EngineEvent(self.model, "failed", why))

    def _put_off(self) -> None:
        # The first restart is at once: a crash is an accident until it comes again.
        self._failures += 1
        delay = self._backoff.hold(self._failures - 1) if self._failures > 1 else 0.0
        self._again_at = self._clock.monotonic() + delay


def _look_at(loading: asyncio.Task[None]) -> None:
    """Whoever waited has its error; where nobody did any more it has been observed."""
    if not loading.cancelled():
        loading.exception()


def _needed(words: str) -> str:
    """What would help against what llama.cpp says; it knows the models of its day."""
    is_new = "unknown model architecture" in words or "ggml type" in words
    return (
        " It is of a kind that a later llama-cpp-python may know: pip install -U llama-cpp-python."
        if is_new
        else ""
    )
