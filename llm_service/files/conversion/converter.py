"""The pool of child processes: who waits, who is warm, who is replaced."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from llm_service.errors import ConversionUnavailable, DocumentTooCostly, DocumentUnreadable, FileError
from llm_service.files.conversion.kinds import kind_of
from llm_service.files.conversion.policy import ConversionPolicy
from llm_service.files.conversion.process import ChildDied, ChildProcess, Picture
from llm_service.files.store import LocalFile

T = TypeVar("T")
# A child killed from outside may have been hit by chance; a document that does it twice is the reason.
_LIVES = 2


class Converter:
    """Turns documents into text, ``policy.processes`` at a time; others wait for their turn, first come
    first served.

    What a document does to its child, be it to end it, it does to itself alone.
    """

    def __init__(self, policy: ConversionPolicy) -> None:
        self._policy = policy
        self._seats: asyncio.Queue[_Seat] = asyncio.Queue()
        self._all = [_Seat(policy) for _ in range(policy.processes)]
        for seat in self._all:
            self._seats.put_nowait(seat)
        self._is_closed = False

    async def start(self) -> None:
        """Return at once; the children load their libraries meanwhile, and the first documents wait for that.

        Without it each child starts with its first document. A child that can't start is reported to the
        document that wanted it.
        """
        for seat in self._all:
            seat.warm()

    async def to_text(self, file: LocalFile) -> str:
        """The document's text: Markdown where it has structure.

        Raises DocumentUnsupported, DocumentUnreadable, DocumentTooCostly, and ConversionUnavailable, which
        can be retried. The wait for a turn is bounded by the other documents' limits and by whoever
        cancels.
        """
        kind = kind_of(file)
        return await self._seated(file, lambda child: child.convert(file, kind))

    async def to_pictures(self, file: LocalFile) -> AsyncGenerator[Picture, None]:
        """The pages of a picture one after the other, as vision models take them. Raises as ``to_text`` does."""
        page = pages = 1
        while page <= pages:
            picture = await self._seated(file, partial(_pictured, file, page))
            yield picture
            page, pages = page + 1, picture.pages

    async def _seated(self, file: LocalFile, act: Callable[[ChildProcess], Awaitable[T]]) -> T:
        if self._is_closed:
            raise ConversionUnavailable("the service is stopping and reads no more documents")
        seat = await self._seats.get()
        try:
            return await _convert(seat, file, act)
        finally:
            self._seats.put_nowait(seat)

    async def close(self) -> None:
        """End all children, also those with a document. Returns when they are gone."""
        self._is_closed = True
        await asyncio.gather(*(seat.close() for seat in self._all))


async def _pictured(file: LocalFile, page: int, child: ChildProcess) -> Picture:
    return await child.picture(file, page)


async def _convert(seat: _Seat, file: LocalFile, act: Callable[[ChildProcess], Awaitable[T]]) -> T:
    code = 0
    for _ in range(_LIVES):
        child = await seat.child()
        try:
            return await act(child)
        except ChildDied as death:
            code = death.returncode
        except FileError:
            raise
        except BaseException:
            # Cancelled: the child goes on with a document that nobody wants.
            child.kill()
            raise
        finally:
            seat.renew_if_over()
    raise _blamed(file, code)


def _blamed(file: LocalFile, code: int) -> FileError:
    if code == -signal.SIGKILL:
        return DocumentTooCostly(
            f"the process that read {file.name!r} was killed from outside twice, probably for lack of memory"
        )
    return DocumentUnreadable(
        f"{file.name!r} is broken: the process that read it crashed twice (exit code {code})"
    )


class _Seat:
    """A place for one child, and the tasks that start and end those who sit there."""

    def __init__(self, policy: ConversionPolicy) -> None:
        self._policy = policy
        self._starting: asyncio.Task[ChildProcess] | None = None
        self._leaving: set[asyncio.Task[Any]] = set()

    def warm(self) -> None:
        """Begin to start a child if there is none."""
        if self._starting is None:
            self._starting = asyncio.create_task(ChildProcess.start(self._policy))
            # Whoever wants the child hears why it did not start; until then nobody does, and that is no leak.
            self._starting.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def child(self) -> ChildProcess:
        """A warm child. Raises ConversionUnavailable."""
        self.renew_if_over()
        self.warm()
        assert self._starting is not None  # noqa: S101 # warm() has just set it
        try:
            # Shielded: one document's cancellation is no reason to lose the child that the next one wants.
            return await asyncio.shield(self._starting)
        except ConversionUnavailable:
            self._starting = None
            raise

    def renew_if_over(self) -> None:
        """Put a fresh child in place of one that is dead or has done its share."""
        starting = self._starting
        if (
            starting is None
            or not starting.done()
            or starting.cancelled()
            or starting.exception() is not None
        ):
            return
        if starting.result().is_over:
            self._own(starting.result().wait())
            self._starting = None
            self.warm()

    async def close(self) -> None:
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
            outcome = (await asyncio.gather(starting, return_exceptions=True))[0]
            if isinstance(outcome, ChildProcess):
                await outcome.wait()
        await asyncio.gather(*self._leaving)

    def _own(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
