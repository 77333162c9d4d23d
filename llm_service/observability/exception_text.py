"""An exception as text: where it happened, of what type, and its words where they can't be a document's."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType

from llm_service.errors import AnswerError, InvalidMessage, ServiceError

DEEPEST_FRAMES = 20
"""The innermost frames of an exception, where the cause is; the outer ones are the loop's own."""

_LONGEST_CHAIN = 5
_BEHIND = {True: "caused by:", False: "while handling:"}


def exception_lines(error: BaseException, frames: TracebackType | None, *, words: bool) -> list[str]:
    """The innermost frames of it and of what is behind it, each with its type.

    Without ``words`` a foreign exception is named by its type alone: raised while a task is worked on, its message
    may quote the document (``KeyError`` does). Ours say what they may, and the system's what it calls the error.
    """
    lines: list[str] = []
    for link, (found, how) in enumerate(_chain(error)):
        if how:
            lines.append(how)
        stack = traceback.format_tb(frames if link == 0 else found.__traceback__)[-DEEPEST_FRAMES:]
        lines += [line for part in stack for line in part.rstrip("\n").split("\n")]
        lines.append(described(found, words=words))
    return lines


def described(error: BaseException, *, words: bool) -> str:
    """``KeyError``, or with its words ``KeyError: 'x'``."""
    name = type(error).__name__
    said = _words(error, words=words)
    return f"{name}: {said}" if said else name


def _words(error: BaseException, *, words: bool) -> str:
    if isinstance(error, AnswerError | InvalidMessage):
        return error.code
    if isinstance(error, ServiceError):
        return error.message
    if words:
        return _said(error)
    return (error.strerror or "") if isinstance(error, OSError) else ""


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its message can't be made: {type(broken).__name__})"


def _chain(error: BaseException) -> Iterator[tuple[BaseException, str]]:
    found: BaseException | None = error
    how = ""
    seen: set[int] = set()
    while found is not None and id(found) not in seen and len(seen) < _LONGEST_CHAIN:
        yield found, how
        seen.add(id(found))
        is_cause = found.__cause__ is not None
        how = _BEHIND[is_cause]
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
