"""Lines for a terminal without cursor control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from llm_service.cli.printable import printable, printable_line
from llm_service.cli.watching.answer_shown import answer_lines, excerpt
from llm_service.cli.watching.arrival import Arrival
from llm_service.cli.watching.fates import Fates


class PlainLines:
    """A line for each status, then the answers of the tasks that were asked for."""

    def __init__(self, out: TextIO, err: TextIO, labels: Mapping[str, str]) -> None:
        """``labels``: what a task is called beside its id, such as the name of its file."""
        self._out = out
        self._err = err
        self._labels = labels

    def arrived(self, arrival: Arrival) -> None:
        name = f"{arrival.status.value} {arrival.status.name:<10}"
        said = excerpt(arrival.status, arrival.body)
        self._say(f"{name}  {printable_line(arrival.task_id)}  {said}".rstrip())

    def pulse(self) -> None:
        self._out.flush()

    def talk(self, message: str) -> None:
        print(printable(message), file=self._err, flush=True)

    def ended(self, fates: Fates) -> None:
        for task_id in fates.task_ids:
            end = fates.end_of(task_id)
            if end is not None:
                self._say(f"\n{printable_line(self._labels.get(task_id, task_id))}")
                self._say("\n".join(f"  {line}" for line in answer_lines(end.status, end.fields)))
        self._out.flush()

    def close(self) -> None:
        """Nothing was changed."""

    def _say(self, line: str) -> None:
        print(line, file=self._out)
