"""A task as the rest of the service sees it: checked, complete, and the same for every form it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """One turn of a conversation that came with the task; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A file by its path in the object store; name and size are the producer's word, unchecked."""

    path: str
    name: str | None = None
    size: int | None = None
    """Bytes."""


@dataclass(frozen=True, slots=True)
class TaskChoice:
    """A provider by its name, and a model of it; None is its default."""

    provider: str
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be done. An empty text is the same as none; all mappings hold decoded JSON."""

    task_id: str
    trace_id: str
    prompt_id: int | None = None
    prompt: str | None = None
    system_prompt: str | None = None
    messages: tuple[TaskMessage, ...] = ()
    task_type: str | None = None
    data: object | None = None
    text: str | None = None
    files: tuple[TaskFile, ...] = ()
    """``storage_path`` first, then ``files`` in their order."""
    provider: str | None = None
    model: str | None = None
    fallback: tuple[TaskChoice, ...] | None = None
    """Who is asked, in this order, where the first can't answer; None is what prompt or configuration say, empty nobody."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """temperature, top_p: float; max_tokens, seed: int; stop: tuple of str; any other as it came."""
    response_format: Mapping[str, object] | None = None
    """A JSON Schema."""
    grammar: str | None = None
    """GBNF."""
    constraints: Mapping[str, object] = field(default_factory=dict)
    """prefer_local, force_cloud: bool; max_latency_ms: float; any other as it came."""
    priority: float = 0.0
    """Higher goes first; low, normal and high are -1, 0 and 1."""
    deadline_at: datetime | None = None
    """Aware, in UTC."""
    max_attempts: int | None = None
    truncate: bool = False
    """Whether documents may be cut where they are too long for the model; else the task is refused."""
    callback_url: str | None = None
    source: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    """The producer's metadata and the fields of the body that have no other meaning; its own keys win."""
    traceparent: str | None = None
    tracestate: str | None = None
    body_digest: str = ""
    """SHA-256 of value and prompt_id header, hex: tells a repeat from another body under the same id."""
