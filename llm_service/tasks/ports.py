"""What the life of a task needs from outside: where deliveries come from and where outcomes go.

Kafka is the first source. ``tasks/`` never learns more of it than is said here, so that a second source fits in beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from llm_service.contract.record import Headers, Record
from llm_service.contract.retry import NOTHING, Spent
from llm_service.files.store import LocalFile


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it was read, and the place it holds in its source.

    ``epoch`` numbers the assignment under which it was taken: the same place taken under a later
    epoch is another delivery, and outcomes of an older one are refused.
    """

    topic: str
    partition: int
    offset: int
    epoch: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    """The producer's own, also where the message has gone round by the retry topic."""
    received_at: float
    """``Clock.monotonic`` when it was read."""
    is_poisoned: bool = False
    """Whether so many processes ended while they ran it that it must not be run."""
    is_suspect: bool = False
    """Whether so many processes ended while they may have run it that it runs alone: what is beside it is suspect, too."""
    takeovers: int = 0
    """How many that were, however often it has gone round."""
    origin: tuple[str, int, int] | None = None
    """Where the task was read first, of a message that has gone round by the retry topic."""
    attempt: int = 1
    """Which attempt at the task this is; going round only to wait is none."""
    round: int = 0
    """How often it has gone round."""
    spent: Spent = NOTHING
    """By the attempts before this one."""

    @property
    def place(self) -> tuple[str, int, int]:
        """Topic, partition, offset: where this message lies, and what is finished with it."""
        return self.topic, self.partition, self.offset

    @property
    def run_place(self) -> tuple[str, int, int]:
        """What identifies the task's message, however often it goes round: topic, partition, offset of the first."""
        return self.origin or self.place

    @property
    def run(self) -> str:
        """The same in one word: what is done with this message is one run of its task."""
        topic, partition, offset = self.run_place
        return f"{topic}/{partition}/{offset}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes durable when a delivery is settled, all of it or nothing; nothing for a message that is skipped."""

    status: Record | None = None
    dead_letter: Record | None = None
    retry: Record | None = None
    """The message as it goes round by the retry topic."""
    tasks: tuple[Record, ...] = ()
    """What the message was turned into: new tasks."""


class Files(Protocol):
    """The files of tasks: from the object store to this machine, and to text."""

    def fetch(self, path: str, name: str | None) -> AbstractAsyncContextManager[LocalFile]:
        """The object at a task's path, whole, for as long as the context lasts. Raises FileError."""
        ...

    def to_pictures(self, file: LocalFile) -> AbstractAsyncContextManager[Sequence[LocalFile]]:
        """The pages of a picture as vision models take them, for as long as the context lasts. Raises as ``to_text``."""
        ...

    async def to_text(self, file: LocalFile) -> str:
        """Raises DocumentUnsupported, DocumentUnreadable, DocumentTooCostly, ConversionUnavailable."""
        ...


class ResultStore(Protocol):
    """Where goes what is too large for a message."""

    async def put_result(self, task_id: str, payload: bytes) -> str:
        """Store a result, and return the reference ``bucket/key``. Raises FileError."""
        ...

    async def put_letter(self, task_id: str, payload: bytes) -> str:
        """Store a dead letter's value, and return the reference ``bucket/key``. Raises FileError."""
        ...


class Settler(Protocol):
    """Makes an outcome durable and its delivery done in one step."""

    async def settle(self, delivery: Delivery, outcome: Outcome) -> None:
        """Return when the outcome is durable.

        Raises DeliveryRevoked when the delivery's epoch has ended (nothing of it counts),
        MessageTooLarge when a record can't be taken by its topic in any way.
        """
        ...

    def release(self, delivery: Delivery) -> None:
        """Give the delivery back undecided, at a stop or revoke: it will be delivered again, here or elsewhere."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """The terminal record of one run: the event that answered it, byte for byte."""

    task_id: str
    run: str
    succeeded: bool
    event: Record
    digest: str | None = None
    """Of the message that was answered; None where only the event was seen."""


class Ledger(Protocol):
    """Remembers terminal events beyond this process. Optional: it never raises, and answers within a bounded time.

    While it is away it knows nothing and keeps nothing; it decides nothing about who owns a task.
    """

    async def find(self, task_id: str, run: str) -> Entry | None:
        """The entry of this very run, else the first success of the task; None where it knows of neither."""
        ...

    async def record(self, entry: Entry, refused: Record | None = None) -> Entry:
        """Keep it unless the run has an entry. Returns the run's entry: this one, or that which came first.

        ``refused`` is the event that no topic takes, and gives way to this one.
        """
        ...

    def note(self, entry: Entry) -> None:
        """Keep it soon, unless the run has an entry; nobody waits for it."""
        ...


class StatusSink(Protocol):
    """Takes progress events, which are no part of the outcome."""

    async def publish(self, record: Record) -> None:
        """Return when the record is acknowledged. Raises PublishFailed, TopicNotWritable."""
        ...


class Intake(Protocol):
    """Takes deliveries on the event loop; what a source is connected to."""

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """Take responsibility for these; each ends in settle or release."""
        ...

    async def revoke(self, is_gone: Callable[[Delivery], bool]) -> None:
        """Stop the work on the deliveries that are gone.

        Undecided ones are cancelled and released. Returns when those that were already being settled are settled.
        """
        ...
