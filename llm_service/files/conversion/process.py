"""One child process as the service sees it: started, asked, ended."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from llm_service.child_process import Child, start
from llm_service.errors import (
    ConversionUnavailable,
    DocumentTooCostly,
    DocumentUnreadable,
    DocumentUnsupported,
    FileError,
    WorkFolderUnavailable,
)
from llm_service.files.conversion import frames
from llm_service.files.conversion.frames import Limits, Reply, Request, Verdict
from llm_service.files.conversion.kinds import Kind
from llm_service.files.conversion.pictures import MAX_BYTES
from llm_service.files.conversion.policy import ConversionPolicy
from llm_service.files.store import LocalFile

# The libraries load in 0.6 s from a warm cache and in 2 s from a cold one; the rest is for a machine under
# load.
_START_LIMIT_S = 60.0
# One thread for libraries that count cores.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_MAIN = "llm_service.files.conversion.child"
_ERRORS: dict[str, type[FileError]] = {
    Verdict.UNREADABLE: DocumentUnreadable,
    Verdict.TOO_COSTLY: DocumentTooCostly,
    Verdict.UNSUPPORTED: DocumentUnsupported,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One page of a picture, as vision models take it."""

    content: bytes
    content_type: str
    pages: int
    """Of the file that it is from."""


class ChildDied(Exception):  # named for what happened
    """The child ended while it had a document, not by a limit of ours."""

    def __init__(self, returncode: int) -> None:
        super().__init__(returncode)
        self.returncode = returncode


class ChildProcess:
    """A warm child. It takes one document at a time."""

    def __init__(self, child: Child, policy: ConversionPolicy) -> None:
        self._process = child.process
        self._control = child.control
        self._reader, self._writer = child.reader, child.writer
        self._policy = policy
        self._converted = 0
        self._has_grown = False
        self._is_killed = False

    @classmethod
    async def start(cls, policy: ConversionPolicy) -> ChildProcess:
        """Return when its libraries are loaded. Raises ConversionUnavailable."""
        try:
            child = await _spawn(policy)
        except OSError as error:
            raise ConversionUnavailable(
                f"no process for documents could be started: {error.strerror}"
            ) from error
        try:
            await child.greet()
        except BaseException as error:
            code = await child.wait()
            if isinstance(error, TimeoutError | EOFError | OSError | ValueError):
                raise ConversionUnavailable(
                    f"the process for documents did not start (exit code {code})"
                ) from error
            raise
        return child

    async def greet(self) -> None:
        """Wait for its first word. Raises TimeoutError, EOFError, OSError or ValueError when there is none."""
        async with asyncio.timeout(_START_LIMIT_S):
            frames.unpack_hello(await self._frame())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_over(self) -> bool:
        """It has ended, or has done its share and should be ended."""
        is_dead = self._is_killed or self._reader.at_eof()
        return is_dead or self._has_grown or self._converted >= self._policy.recycle_after

    async def convert(self, file: LocalFile, kind: Kind) -> str:
        """The document's text. Raises as ``picture`` does."""
        _, text = await self._converted_by(file, Request(file.name, kind.value))
        return text.decode()

    async def picture(self, file: LocalFile, page: int) -> Picture:
        """That page of a picture, as vision models take it.

        Raises DocumentUnreadable, DocumentUnsupported, DocumentTooCostly (then ``is_over`` may be true),
        ChildDied. Cancelled, the child is left in the middle of a document: kill it.
        """
        reply, content = await self._converted_by(file, Request(file.name, Kind.PICTURE.value, page))
        return Picture(content, reply.content_type, reply.pages)

    async def _converted_by(self, file: LocalFile, request: Request) -> tuple[Reply, bytes]:
        try:
            async with asyncio.timeout(self._policy.timeout_s):
                reply, made = await self._ask(file, request)
        except TimeoutError as error:
            self.kill()
            limit = f"{self._policy.timeout_s:g}"
            raise DocumentTooCostly(
                f"{file.name!r} took longer than {limit} s to be read; it was given up"
            ) from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise self._death(file, await self.wait()) from error
        except OSError as error:
            # The document did not get there; what did is not known, so the child is not used again.
            self.kill()
            raise ConversionUnavailable(
                f"{file.name!r} could not be handed to the process for documents: {error.strerror}"
            ) from error
        self._converted += 1
        self._has_grown = reply.worn_out
        if reply.verdict in {Verdict.TEXT, Verdict.PICTURE}:
            return reply, made
        raise _ERRORS[reply.verdict](reply.message)

    def kill(self) -> None:
        self._is_killed = True
        self._process.kill()

    async def wait(self) -> int:
        """Kill it if it lives, and return its exit code when it is gone."""
        self.kill()
        self._writer.close()
        # In a thread for the moment that dying takes. asyncio's own processes keep a thread each all their life in
        # Python 3.11, and lose the exit code of a child that is killed.
        return await asyncio.to_thread(self._process.wait)

    async def _ask(self, file: LocalFile, request: Request) -> tuple[Reply, bytes]:
        # Opened here, on the loop: the file has just been written, its inode is in memory. Nothing is
        # buffered in the socket between two documents, so the frame (well under its 200 kB) goes out in one
        # piece.
        document = _open(file.path)
        try:
            frame = frames.pack(request)
            socket.send_fds(self._control, [frame], [document])
        finally:
            os.close(document)
        reply = frames.unpack_reply(await self._frame())
        return reply, await self._reader.readexactly(self._bounded(reply.length))

    async def _frame(self) -> bytes:
        (length,) = frames.LENGTH.unpack(await self._reader.readexactly(frames.LENGTH.size))
        if length > frames.MAX_FRAME_BYTES:
            raise ConnectionError(f"a frame of {length} bytes from the process for documents")
        return await self._reader.readexactly(length)

    def _bounded(self, length: int) -> int:
        # A character takes at most 4 bytes of UTF-8.
        if length > max(4 * self._policy.max_output_chars, MAX_BYTES):
            raise ConnectionError(f"{length} bytes from the process for documents")
        return length

    def _death(self, file: LocalFile, code: int) -> Exception:
        if code == -signal.SIGXCPU:
            return DocumentTooCostly(
                f"{file.name!r} took more than {self._policy.cpu_s} s of processor time to be read"
            )
        return ChildDied(code)


async def _spawn(policy: ConversionPolicy) -> ChildProcess:
    limits = Limits(
        policy.memory_bytes,
        policy.cpu_s,
        policy.max_output_chars,
        policy.max_pages,
        policy.max_pictures,
        policy.ocr_languages,
        None if policy.ocr_folder is None else str(policy.ocr_folder),
    )
    return ChildProcess(await start(_MAIN, frames.pack_limits(limits), _ENVIRONMENT), policy)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise WorkFolderUnavailable(
            f"the document's file is gone from the work folder: {error.strerror}"
        ) from error
