"""What happens on a task's way, as frozen events for those who listen.

The path of a task calls no metric and writes no log: it emits one of these, and the log, the metrics
and the ledger each do with it what they are for. Durations are seconds. An observer must be quick and must not raise;
what it does slowly it queues.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from llm_service.provider_events import (
    BreakerChanged,
    EngineAnswered,
    EngineChanged,
    EngineState,
    FellBack,
    FilesLeft,
    FilesSwept,
    ModelPulled,
    ProviderCalled,
    ProviderRetried,
    RateChanged,
    TurnAwaited,
)
from llm_service.task_ref import TaskRef, begin_task, current_task, end_task

__all__ = [
    "BreakerChanged",
    "EngineAnswered",
    "EngineChanged",
    "EngineState",
    "FellBack",
    "FilesLeft",
    "FilesSwept",
    "ModelPulled",
    "ProviderCalled",
    "ProviderRetried",
    "RateChanged",
    "TaskRef",
    "TurnAwaited",
    "begin_task",
    "current_task",
    "end_task",
]
"""Beside the events: those about providers, and whose they are."""


@dataclass(frozen=True, slots=True)
class TaskReceived:
    """A message was read and is a task."""

    task: TaskRef


@dataclass(frozen=True, slots=True)
class MessageSkipped:
    """A message was read that is no task (a status on a shared topic, say)."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class DropBecameTask:
    """A task was made of a dropped file by a rule, and is durable. The place is the notification's."""

    topic: str
    partition: int
    offset: int
    task_id: str
    rule: str
    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class DropSkipped:
    """No task was made of an event; ``reason`` is unmatched, ignored, own_object, repeated or other_event."""

    topic: str
    partition: int
    offset: int
    reason: str
    bucket: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class DropRefused:
    """A notification, or a part of it, could not be read and is a dead letter now."""

    topic: str
    partition: int
    offset: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TaskRepeated:
    """The id of this message is known already; ``how`` is waiting, replayed, conflict, or retry."""

    task: TaskRef
    how: str


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """PROCESSING is acknowledged and the work begins."""

    task: TaskRef
    provider: str
    model: str
    waited_s: float
    """From the message's receipt to its start."""


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage of the work ended: fetch, convert, provider, settle."""

    task: TaskRef
    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class FileLoaded:
    """A file of the task is here, whole."""

    task: TaskRef
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class TaskSettled:
    """The outcome of the task is durable. ``code`` is ``success`` or the error's code."""

    task: TaskRef
    status: int
    code: str
    message: str
    provider: str
    model: str
    seconds: float
    """From receipt to durable outcome."""
    prompt_tokens: int | None
    completion_tokens: int | None
    dead_letter: bool
    cost: float | None = None
    """US dollars, of all calls that the answer took; None where nobody knows."""
    tried: str = ""
    """``gigachat:provider_unavailable ollama:success``; empty of a task that had one provider only."""
    cut_chars: int = 0
    """Of its documents: too long for the model, and left out as the task allows."""
    hidden_chars: int = 0
    """Of its documents: those nobody sees, shown to the model by number."""


@dataclass(frozen=True, slots=True)
class TaskSentRound:
    """The task is on the retry topic, durably, to be tried again later."""

    task: TaskRef
    code: str
    """Of the error that it met, or of what it waits for."""
    message: str
    provider: str
    attempt: int
    """Which attempt begins when it comes back."""
    round: int
    """How often it has gone round, this time included."""
    waits: bool
    """Whether it only waits: no attempt was spent."""


@dataclass(frozen=True, slots=True)
class TaskCameBack:
    """The task was read from the retry topic; ``task`` names the place where its run began."""

    task: TaskRef
    attempt: int
    round: int


@dataclass(frozen=True, slots=True)
class TaskReleased:
    """The task was given back undecided: the partition left, or the service stops."""

    task: TaskRef
    reason: str


@dataclass(frozen=True, slots=True)
class TaskCrashed:
    """Our own code failed on this task: a bug. The task ends as ``internal_error``; this is for the log alone."""

    task: TaskRef
    traceback: str


@dataclass(frozen=True, slots=True)
class OutcomeDropped:
    """An outcome came for a partition that is no longer ours; nothing was published."""

    task: TaskRef


@dataclass(frozen=True, slots=True)
class PartitionsAssigned:
    """Partitions came to this worker; ``finished_above`` counts offsets the takeover map marks as done."""

    topic: str
    partitions: Sequence[int]
    finished_above: int


@dataclass(frozen=True, slots=True)
class PartitionsRevoked:
    """Partitions left this worker; ``lost`` when the group had already given them away."""

    topic: str
    partitions: Sequence[int]
    lost: bool


@dataclass(frozen=True, slots=True)
class OffsetsCommitted:
    """The committed offset of a partition, after the broker's answer."""

    topic: str
    partition: int
    offset: int
    highest_finished: int


@dataclass(frozen=True, slots=True)
class MessagesLost:
    """Messages were deleted before they were done: retention was quicker than we are, or somebody deleted them."""

    topic: str
    partition: int
    offset: int
    """Of the first of them."""
    count: int


@dataclass(frozen=True, slots=True)
class LogBegunAnew:
    """A partition's log is another than the one that was read: its topic was deleted and made anew."""

    topic: str
    partition: int
    finished: int
    """The highest offset of the old one that was finished; -1 where none was."""
    first: int
    """Where the new one begins."""
    unfinished: int
    """Messages of the old one that were here and not finished."""


@dataclass(frozen=True, slots=True)
class GroupAdopted:
    """A new group was told at its first start what others had answered; numbers of tasks."""

    topic: str
    tasks: int
    answered: int
    unanswered: int
    again: int
    """Of the answered: those that run again all the same, since no offset map can leave them out."""
    unknown: int
    """Of the unanswered: those that are older than the oldest status."""


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """A dependency answers or no longer does: kafka, store, provider names, postgres."""

    component: str
    up: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ConsumptionStopped:
    """Too many dead letters: no more tasks are taken until somebody runs ``command``, or restarts the worker."""

    reason: str
    command: str


@dataclass(frozen=True, slots=True)
class ConsumptionResumed:
    """Tasks are taken again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A dependency refused something and is asked again; nothing is lost."""

    component: str
    reason: str


@dataclass(frozen=True, slots=True)
class Uncaught:
    """An exception that nobody caught: a bug. ``place`` is loop, thread or finalizer; this is for the log and an alert."""

    place: str
    what: str
    """What ended by it, in words that hold nothing of a task's."""
    traceback: str


Event: TypeAlias = (
    TaskReceived
    | MessageSkipped
    | DropBecameTask
    | DropSkipped
    | DropRefused
    | TaskRepeated
    | TaskStarted
    | StageFinished
    | FileLoaded
    | TaskSettled
    | TaskSentRound
    | TaskCameBack
    | TaskReleased
    | TaskCrashed
    | OutcomeDropped
    | ProviderCalled
    | ProviderRetried
    | FellBack
    | BreakerChanged
    | RateChanged
    | TurnAwaited
    | PartitionsAssigned
    | PartitionsRevoked
    | OffsetsCommitted
    | MessagesLost
    | LogBegunAnew
    | GroupAdopted
    | ConnectionChanged
    | ConsumptionStopped
    | ConsumptionResumed
    | Trouble
    | FilesLeft
    | FilesSwept
    | ModelPulled
    | EngineAnswered
    | EngineChanged
    | EngineState
    | Uncaught
)

Observer: TypeAlias = Callable[[Event], None]
