"""What happens between this service and its providers: events, as in ``events.py``, where they are taken from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_service.task_ref import TaskRef


@dataclass(frozen=True, slots=True)
class ProviderCalled:
    """One call to a provider ended. ``code`` is ``success`` or the error's code."""

    provider: str
    model: str
    code: str
    seconds: float
    queue_s: float | None = None
    """Waited for before it; this and what follows of an answer only, None where nobody measured it."""
    connect_s: float | None = None
    first_token_s: float | None = None


@dataclass(frozen=True, slots=True)
class ProviderRetried:
    """A call failed and will be made again after ``delay_s``."""

    provider: str
    code: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class FellBack:
    """A provider could not answer a task, and the next of its list is asked."""

    task: TaskRef
    provider: str
    model: str
    code: str
    reason: str
    next_provider: str


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """A provider's breaker moved; states are closed, open, half_open."""

    provider: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class FilesLeft:
    """A provider kept files of ours that it was asked to delete; they take its storage until somebody deletes them."""

    provider: str
    file_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class FilesSwept:
    """Files that a worker had left at a provider when it was killed were deleted there."""

    provider: str
    files: int


@dataclass(frozen=True, slots=True)
class RateChanged:
    """A model of a provider is asked faster or slower from now on; None where there is no limit."""

    provider: str
    model: str
    requests_per_minute: float | None
    tokens_per_minute: float | None
    reason: str
    """throttled, recovered, told (its headers name a limit), little_left (they say so of a limit)."""


@dataclass(frozen=True, slots=True)
class TurnAwaited:
    """A call waited, since its model's minute had no room for it; ``limit`` is requests or tokens."""

    provider: str
    model: str
    limit: str
    seconds: float
    """Whatever else it waited for meanwhile included."""


@dataclass(frozen=True, slots=True)
class EngineAnswered:
    """The local engine ended an answer."""

    provider: str
    model: str
    prompt_tokens: int
    cached_tokens: int
    """Of the prompt, those that another answer had left in the cache."""
    completion_tokens: int
    hits: int
    """Tokens chosen freely that the grammar allowed; this and what follows is 0 without one."""
    misses: int
    hit_s: float
    miss_s: float
    unenforced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineChanged:
    """A process of the local engine loaded its model, failed to, died with work in hand, or was unloaded."""

    provider: str
    model: str
    action: str
    """loaded, failed, died, unloaded."""
    detail: str


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the local engine has in hand, of all its models."""

    models: int
    model_bytes: int
    """What they take, as judged from their files."""
    running: int
    waiting: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class ModelPulled:
    """A provider fetches a model: how far it is, and at the end whether it is there."""

    provider: str
    model: str
    server: str
    progress: str
