"""Threads that know which task they work for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ContextThreads(ThreadPoolExecutor):
    """Runs each function in the context of who asked for it, as ``asyncio.to_thread`` does.

    ``run_in_executor`` does not (Python issue 78195): what a store's client logs there would be nobody's.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        run: Callable[..., Any] = copy_context().run
        return super().submit(run, fn, *args, **kwargs)
