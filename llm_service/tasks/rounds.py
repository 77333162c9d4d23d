"""Which tasks go round by the retry topic, for how often, and the message that does.

``attempt`` counts runs that could spend calls, so that all calls for a task are at most max_attempts × (1 + retries
within one); a task that goes round only because it waits keeps its number, and may do so as often as it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from llm_service.contract import retry
from llm_service.contract.record import Record
from llm_service.contract.retry import Spent
from llm_service.contract.task import Task
from llm_service.errors import FileError, FileNotFound, ProviderError, ServiceError
from llm_service.resilience.clock import Clock
from llm_service.tasks.ports import Delivery


@dataclass(frozen=True, slots=True)
class RoundPolicy:
    """How tasks go round."""

    delay_s: float
    max_attempts: int
    """For a task that names no number."""
    max_bytes: int
    """Largest message of the retry topic."""
    group: str
    """The consumer group, which alone reads on."""


@dataclass(frozen=True, slots=True)
class Going:
    """A task that goes round."""

    record: Record
    attempt: int
    """Which begins when it comes back."""
    round: int
    until: float
    """When it is due, in seconds of the monotonic clock."""


class Rounds:
    """Writes the messages of the retry topic; ``policy`` None: nothing goes round."""

    def __init__(self, policy: RoundPolicy | None, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock

    def after(self, delivery: Delivery, task: Task, error: ServiceError, spent: Spent) -> Going | None:
        """For a task whose attempt has failed; None where it is to fail for good. ``spent`` is that of all its attempts."""
        policy = self._policy
        if policy is None or not passes(error):
            return None
        if delivery.attempt >= (task.max_attempts or policy.max_attempts):
            return None
        if not self._fits(delivery, task):
            return None
        return self._going(policy, delivery, error, delivery.attempt + 1, spent)

    def may_wait(self, delivery: Delivery, task: Task, *, has_spent: bool) -> bool:
        """Whether a task that only waits may do so on the retry topic.

        Not with its last attempt begun: it would get the calls of that attempt once more.
        """
        if self._policy is None or not self._fits(delivery, task):
            return False
        return not has_spent or delivery.attempt < (task.max_attempts or self._policy.max_attempts)

    def waiting(
        self, delivery: Delivery, cause: ServiceError, spent: Spent, *, has_spent: bool
    ) -> Going | None:
        """For a task that ``may_wait``; what it has spent counts as an attempt."""
        if self._policy is None:
            return None
        return self._going(self._policy, delivery, cause, delivery.attempt + has_spent, spent)

    def _fits(self, delivery: Delivery, task: Task) -> bool:
        """Whether the topic takes it, and its deadline leaves time to come back."""
        if self._policy is None:
            return False
        due = self._clock.now() + timedelta(seconds=self._policy.delay_s)
        size = retry.size_at_most(delivery.key, delivery.value, delivery.headers)
        return size <= self._policy.max_bytes and (task.deadline_at is None or due < task.deadline_at)

    def _going(
        self, policy: RoundPolicy, delivery: Delivery, error: ServiceError, attempt: int, spent: Spent
    ) -> Going:
        rounds = delivery.round + 1
        due = self._clock.now() + timedelta(seconds=policy.delay_s)
        note = retry.RetryNote(
            policy.group, *delivery.run_place, attempt, rounds, due, error.code, delivery.takeovers, spent
        )
        record = retry.encode(note, delivery.key, delivery.value, delivery.headers)
        return Going(record, attempt, rounds, self._clock.monotonic() + policy.delay_s)


def passes(error: ServiceError) -> bool:
    """Whether what failed may be well by itself some time later.

    A file that is not there may still be on its way: the task was sent before the upload was done.
    """
    if isinstance(error, FileNotFound):
        return True
    return error.retryable and isinstance(error, ProviderError | FileError)
