"""Where each task is, as far as the status topic has told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from llm_service.cli.watching.arrival import Arrival
from llm_service.contract.status import Status


@dataclass(slots=True)
class Row:
    """One task. Times are seconds of the monotonic clock."""

    task_id: str
    document: str
    prompt: str
    sent_at: float
    processing_at: float | None = None
    ended_at: float | None = None
    status: Status = Status.PENDING
    body: Mapping[str, object] = field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """From its sending to the arrival of its terminal status."""
        return None if self.ended_at is None else self.ended_at - self.sent_at

    @property
    def processing_after(self) -> float | None:
        return None if self.processing_at is None else self.processing_at - self.sent_at


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers of a run; seconds, and tasks a second."""

    tasks: int
    succeeded: int
    failed: int
    median_s: float | None
    max_s: float | None
    total_s: float | None

    @property
    def unanswered(self) -> int:
        return self.tasks - self.succeeded - self.failed

    @property
    def throughput(self) -> float | None:
        return (self.succeeded + self.failed) / self.total_s if self.total_s else None


class Board:
    """The tasks, in the order of their sending."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    @property
    def rows(self) -> Sequence[Row]:
        return list(self._rows.values())

    @property
    def is_done(self) -> bool:
        return all(row.ended_at is not None for row in self._rows.values())

    def sent(self, row: Row) -> None:
        self._rows[row.task_id] = row

    def place(self, arrival: Arrival) -> Row | None:
        """Note a status; None when it changes nothing: a repeat. A task sent by somebody else gets a row."""
        row = self._rows.get(arrival.task_id)
        if row is None:
            row = Row(arrival.task_id, f"task {arrival.task_id[:8]}", "", sent_at=arrival.at)
            self._rows[arrival.task_id] = row
        if row.ended_at is not None or arrival.status <= row.status:
            return None
        row.status = arrival.status
        if arrival.status is Status.PROCESSING:
            row.processing_at = arrival.at
        if arrival.is_terminal:
            row.ended_at, row.body = arrival.at, arrival.fields
        return row

    def summary(self) -> Summary:
        times = [row.seconds for row in self._rows.values() if row.seconds is not None]
        ends = [row.ended_at for row in self._rows.values() if row.ended_at is not None]
        begin = min((row.sent_at for row in self._rows.values()), default=0.0)
        return Summary(
            tasks=len(self._rows),
            succeeded=self._count(Status.SUCCESS),
            failed=self._count(Status.FAILED),
            median_s=median(times) if times else None,
            max_s=max(times, default=None),
            total_s=max(ends) - begin if ends else None,
        )

    def _count(self, status: Status) -> int:
        return sum(row.status is status for row in self._rows.values())
