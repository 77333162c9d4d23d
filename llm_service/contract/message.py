"""A message of the tasks topic: is it a task, whose is it, and what does it ask for.

Headers win over the body where both say the same thing; of a repeated header the last counts; one that is
empty or no UTF-8 counts as absent, so that a task with a damaged header is still a task.
"""

from __future__ import annotations

from llm_service.contract.envelope import Envelope, Identity, header_text
from llm_service.contract.record import Headers
from llm_service.contract.status import Status
from llm_service.contract.task import Task

__all__ = ["Envelope", "Identity", "identify", "is_skipped", "parse_task"]


def is_skipped(headers: Headers) -> bool:
    """Whether the ``status`` header says that this is no task; quick, as a shared topic is mostly such."""
    status: bytes | None = None
    for name, value in headers:
        if name == "status":
            status = value
    if status is None or status == b"1":
        return False
    word = header_text(status)
    return word is not None and Status.of(word) is not Status.PENDING


def identify(
    key: bytes | None, value: bytes | None, headers: Headers, topic: str, partition: int, offset: int
) -> Identity:
    """Who a message is, whatever is wrong with it; it never raises. See ``Envelope.identity``."""
    return Envelope(key, value, headers, topic, partition, offset).identity()


def parse_task(
    key: bytes | None, value: bytes | None, headers: Headers, topic: str, partition: int, offset: int
) -> Task | None:
    """The task in a message, None when its status says it is none. See ``Envelope.task`` for the errors."""
    return Envelope(key, value, headers, topic, partition, offset).task()
