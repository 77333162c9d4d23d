"""Exceptions that nobody caught: each becomes one event, wherever it ends up."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llm_service.events import Observer, Uncaught
from llm_service.observability.exception_text import exception_lines


@contextmanager
def uncaught_told(observe: Observer, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Inside, what a task of the loop, a thread or a finalizer lets out is an event, and everything else goes on.

    An exception's own words are left out: nobody knows any more whether they quote a document. ``observe`` is called
    on the thread that it happened on.
    """
    threads, finalizers = threading.excepthook, sys.unraisablehook

    def in_loop(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # Of a callback asyncio names the arguments too, in brackets; one of them may be an answer.
        what = str(context.get("message", "")).partition("(")[0]
        observe(_event("loop", what, context.get("exception")))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread is not None else "of no name"
        if args.exc_type is not SystemExit:
            observe(_event("thread", f"the thread {name} ended", args.exc_value))

    def in_finalizer(args: sys.UnraisableHookArgs) -> None:
        what = getattr(args.object, "__qualname__", type(args.object).__name__)
        observe(_event("finalizer", f"{args.err_msg or 'exception ignored'}: {what}", args.exc_value))

    loop.set_exception_handler(in_loop)
    threading.excepthook = in_thread
    sys.unraisablehook = in_finalizer
    try:
        yield
    finally:
        loop.set_exception_handler(None)
        threading.excepthook = threads
        sys.unraisablehook = finalizers


def _event(place: str, what: str, error: BaseException | None) -> Uncaught:
    frames = "\n".join(exception_lines(error, error.__traceback__, words=False)) if error is not None else ""
    return Uncaught(place, what, frames)
