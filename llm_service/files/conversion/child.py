"""What runs in the child process: load the libraries, give up rights, then one document after another.

It ends when its socket does, so none is left when the service is gone.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from llm_service.errors import DocumentTooCostly, DocumentUnsupported, FileError
from llm_service.files.conversion import confinement, frames, pictures
from llm_service.files.conversion.bounds import Bounds
from llm_service.files.conversion.formats import Reader
from llm_service.files.conversion.frames import Hello, Limits, Reply, Request, Verdict
from llm_service.files.conversion.kinds import Kind

_SHOWN_ERROR_CHARS = 1000


@dataclass(frozen=True, slots=True)
class _Setting:
    """What does not change from document to document."""

    limits: Limits
    reader: Reader
    worn_out_above: int
    """Resident bytes."""


def main(control_fd: int, parent: int, limits_json: str) -> None:
    """Serve until the socket ends. ``parent``: the process that started this one; without it, it ends."""
    limits = frames.unpack_limits(limits_json)
    own_network = confinement.leave_network(parent)
    with socket.socket(fileno=control_fd) as control:
        reader = Reader(limits.ocr_languages, limits.ocr_folder)
        _tidy()
        filtered = confinement.forbid()
        confinement.limit_memory(limits.memory_bytes)
        setting = _Setting(limits, reader, confinement.resident_bytes() + limits.memory_bytes // 2)
        control.sendall(frames.pack(Hello(reader.has_documents, reader.has_ocr, own_network, filtered)))
        for request, document in _requests(control):
            control.sendall(_answer(request, document, setting))


def _requests(control: socket.socket) -> Iterator[tuple[Request, int]]:
    while True:
        # The descriptor rides on the first byte, and the length of a frame is sent in one piece with it.
        header, descriptors, _, _ = socket.recv_fds(control, frames.LENGTH.size, 1)
        if not header:
            return
        (length,) = frames.LENGTH.unpack(header)
        yield frames.unpack_request(_exactly(control, length)), descriptors[0]


def _exactly(control: socket.socket, length: int) -> bytes:
    body = b""
    while len(body) < length:
        piece = control.recv(length - len(body))
        if not piece:
            raise SystemExit(0)
        body += piece
    return body


def _answer(request: Request, document: int, setting: _Setting) -> bytes:
    """The reply's bytes, with the text or the picture behind them where there is one."""
    try:
        if request.page:
            return _picture(request, document, setting)
        text = _to_text(request, document, setting).encode(errors="replace")
    except Exception as error:  # whatever a parser meets, the next document is served
        verdict, message = _judged(error, request)
        reply = Reply(verdict, message[:_SHOWN_ERROR_CHARS], 0, _is_worn_out(setting))
        return frames.pack(reply)
    finally:
        _tidy()
    return frames.pack(Reply(Verdict.TEXT, "", len(text), _is_worn_out(setting))) + text


def _to_text(request: Request, document: int, setting: _Setting) -> str:
    confinement.limit_cpu(setting.limits.cpu_s)
    bounds = Bounds(request.name, setting.limits.max_pages, setting.limits.max_output_chars)
    with os.fdopen(document, "rb") as stream:
        text = setting.reader.to_text(stream, Kind(request.kind), bounds)
    bounds.judge_chars(len(text))
    return text


def _picture(request: Request, document: int, setting: _Setting) -> bytes:
    confinement.limit_cpu(setting.limits.cpu_s)
    bounds = Bounds(request.name, setting.limits.max_pictures, setting.limits.max_output_chars)
    with os.fdopen(document, "rb") as stream:
        made = pictures.sendable(stream, request.page, bounds)
    worn_out = _is_worn_out(setting)
    size = len(made.content)
    return (
        frames.pack(Reply(Verdict.PICTURE, "", size, worn_out, made.content_type, made.pages)) + made.content
    )


def _judged(error: Exception, request: Request) -> tuple[Verdict, str]:
    if _ran_out_of_memory(error):
        return Verdict.TOO_COSTLY, f"{request.name!r} needs more memory than a document may have"
    if isinstance(error, DocumentTooCostly):
        return Verdict.TOO_COSTLY, error.message
    if isinstance(error, DocumentUnsupported):
        return Verdict.UNSUPPORTED, error.message
    if isinstance(error, FileError):
        return Verdict.UNREADABLE, error.message
    kind = request.kind.upper()
    return (
        Verdict.UNREADABLE,
        f"{request.name!r} is broken: it can't be read as {kind} ({type(error).__name__})",
    )


def _ran_out_of_memory(error: BaseException | None) -> bool:
    """Parsers wrap what they meet, so the reasons behind are looked at too."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _tidy() -> None:
    """Free what the document left in cycles; what is left is loaded code, which need not be looked through again."""
    gc.collect()
    gc.freeze()


def _is_worn_out(setting: _Setting) -> bool:
    return confinement.resident_bytes() > setting.worn_out_above
