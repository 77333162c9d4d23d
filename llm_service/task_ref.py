"""Which task the running code works on, for events and log lines."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskRef:
    """Which task an event is about."""

    task_id: str
    trace_id: str
    topic: str
    partition: int
    offset: int


class _Work:
    """The task that some code works on, for all that this code starts; nothing once the task is over."""

    __slots__ = ("task",)

    def __init__(self, task: TaskRef) -> None:
        self.task: TaskRef | None = task


_WORK: ContextVar[_Work | None] = ContextVar("llm_service_work", default=None)


def begin_task(task: TaskRef) -> None:
    """From here on this context, and every one copied from it, works on ``task``: its log lines bear its ids."""
    _WORK.set(_Work(task))


def end_task() -> None:
    """The task is over, also for what it has started and left behind: a connection kept alive, a child kept warm."""
    work = _WORK.get()
    if work is not None:
        work.task = None


def current_task() -> TaskRef | None:
    """The task that the running code works on."""
    work = _WORK.get()
    return None if work is None else work.task
