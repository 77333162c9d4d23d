"""The engine's process as the service sees it: started, asked many things at once, ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from llm_service.child_process import Child, start
from llm_service.engine import frames
from llm_service.engine.frames import (
    Beat,
    Cancel,
    Count,
    Counted,
    Embed,
    Generate,
    Hello,
    LoadFailed,
    Report,
    Setup,
    Vector,
)
from llm_service.engine.order import Ended, Refused

_MAIN = "llm_service.engine.child"
# Threads that compute wait for each other hundreds of times a step. By default they spin: one that the system holds
# back stops the others at their full cost, and two threads on two busy cores wrote 14 tokens a second where sleeping
# ones wrote 99 (16 answers: 93 and 303).
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}
# Before its model is there it says little: libraries load, gigabytes are read and buffers of gigabytes made, on a machine
# that may be busy with three others.
_START_SILENCE_S = 120.0
_LAST = (Ended, Refused, Counted)


class EngineGone(Exception):  # named for what happened
    """The process ended, or was silent for too long and was ended, with work in hand."""


class EngineUnloadable(Exception):  # the same
    """The process could not load the model; the message has its own words."""


class EngineProcess:
    """A process with its model loaded."""

    def __init__(self, child: Child, silence_s: float) -> None:
        self._process = child.process
        self._reader, self._writer = child.reader, child.writer
        self._silence_s = silence_s
        self._asked: dict[str, asyncio.Queue[Report | None]] = {}
        self._why = ""
        self._reading: asyncio.Task[None] | None = None
        self.hello = Hello(0, has_template=False)
        self.beat = Beat()
        self.beaten: Callable[[], None] = lambda: None
        """Called after each beat."""

    @classmethod
    async def start(cls, setup: Setup, silence_s: float) -> EngineProcess:
        """Return when its model is loaded; it is ended when it says nothing for so many seconds.

        Raises EngineUnloadable, EngineGone, OSError.
        """
        process = cls(await start(_MAIN, frames.pack_setup(setup), ENVIRONMENT), silence_s)
        try:
            await process._greet()
        except BaseException:
            await process.end()
            raise
        process._reading = asyncio.create_task(process._read())
        return process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_over(self) -> bool:
        return self._reading is None or self._reading.done()

    async def ask(self, command: Generate | Embed | Count) -> AsyncGenerator[Report, None]:
        """What the process reports of a command, to the last. Left early, it is cancelled there.

        Raises EngineGone.
        """
        if self.is_over:
            raise EngineGone(self._why)
        reports: asyncio.Queue[Report | None] = asyncio.Queue()
        self._asked[command.name] = reports
        is_answered = False
        try:
            self._send(command)
            while True:
                report = await reports.get()
                if report is None:
                    raise EngineGone(self._why)
                is_answered = isinstance(report, _LAST) or (isinstance(report, Vector) and report.is_last)
                yield report
                if is_answered:
                    return
        finally:
            del self._asked[command.name]
            if not is_answered and not self.is_over:
                self._send(Cancel(command.name))

    async def end(self) -> int:
        """Kill it if it lives, and return its exit code when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.close()
        # In a thread for the moment that dying takes: memory of many gigabytes is given back.
        return await asyncio.to_thread(self._process.wait)

    async def _greet(self) -> None:
        while True:
            match await self._report(max(self._silence_s, _START_SILENCE_S)):
                case Hello() as hello:
                    self.hello = hello
                    return
                case LoadFailed() as failed:
                    raise EngineUnloadable(failed.message)
                case _:
                    continue

    async def _read(self) -> None:
        try:
            while True:
                report = await self._report(self._silence_s)
                if isinstance(report, Beat):
                    self.beat = report
                    self.beaten()
                elif isinstance(report, Hello | LoadFailed):
                    continue
                elif (asked := self._asked.get(report.name)) is not None:
                    asked.put_nowait(report)
        except EngineGone as gone:
            self._why = str(gone)
        finally:
            # Not to be left behind where it hangs: what it has in hand is asked of another.
            self._process.kill()
            for asked in self._asked.values():
                asked.put_nowait(None)

    async def _report(self, silence_s: float) -> Report:
        try:
            async with asyncio.timeout(silence_s):
                (length,) = frames.LENGTH.unpack(await self._reader.readexactly(frames.LENGTH.size))
                if length > frames.MAX_REPORT_BYTES:
                    raise EngineGone(f"it sent a report of {length} bytes")
                return frames.unpack_report(await self._reader.readexactly(length))
        except TimeoutError:
            raise EngineGone(f"it was silent for {silence_s:g} s") from None
        except (asyncio.IncompleteReadError, OSError):
            raise EngineGone("it died") from None
        except frames.FrameError as error:
            raise EngineGone(f"it sent {error}") from None

    def _send(self, command: frames.Command) -> None:
        self._writer.write(frames.pack(command))
