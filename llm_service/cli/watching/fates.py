"""How the tasks that are waited for ended, as far as their statuses have told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llm_service.cli.watching.arrival import Arrival
from llm_service.contract.status import Status


class Fates:
    """The last word on each task.

    A second end of a task repeats the first, so a SUCCESS stays. A task that FAILED may have been sent again: what
    comes after counts.
    """

    def __init__(self, task_ids: Iterable[str]) -> None:
        self._last: dict[str, Arrival | None] = dict.fromkeys(task_ids)

    @property
    def task_ids(self) -> Sequence[str]:
        """In the order in which they were asked for."""
        return tuple(self._last)

    @property
    def missing(self) -> Sequence[str]:
        """Those of which nothing was heard."""
        return [task_id for task_id, last in self._last.items() if last is None]

    @property
    def unfinished(self) -> Sequence[str]:
        """Those without an end."""
        return [task_id for task_id, last in self._last.items() if last is None or not last.is_terminal]

    @property
    def all_succeeded(self) -> bool:
        return all(last is not None and last.status is Status.SUCCESS for last in self._last.values())

    def place(self, arrival: Arrival) -> None:
        """Note a status; those of other tasks are of no interest."""
        if arrival.task_id not in self._last:
            return
        last = self._last[arrival.task_id]
        if last is None or last.status is not Status.SUCCESS:
            self._last[arrival.task_id] = arrival

    def end_of(self, task_id: str) -> Arrival | None:
        """Its terminal status."""
        last = self._last.get(task_id)
        return last if last is not None and last.is_terminal else None
