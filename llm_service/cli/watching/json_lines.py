"""One JSON object a line, for programs."""

from __future__ import annotations

import select
from typing import TextIO

from llm_service.cli.printable import json_line, printable
from llm_service.cli.watching.arrival import Arrival
from llm_service.cli.watching.fates import Fates


class JsonLines:
    """Each status as it came, repeats too."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._poll = select.poll()
        # Of the writing end of a pipe only the errors are asked for: that nobody has the reading one any more.
        self._poll.register(out, 0)

    def arrived(self, arrival: Arrival) -> None:
        print(json_line(arrival_object(arrival)), file=self._out)

    def pulse(self) -> None:
        """Raises BrokenPipeError also where nothing is written: ``watch | head -1`` must not stay until a second line."""
        self._out.flush()
        if any(event & select.POLLERR for _, event in self._poll.poll(0)):
            raise BrokenPipeError(32, "nobody reads the output any more")

    def talk(self, message: str) -> None:
        print(printable(message), file=self._err, flush=True)

    def ended(self, fates: Fates) -> None:
        self._out.flush()

    def close(self) -> None:
        """Nothing was changed."""


def arrival_object(arrival: Arrival) -> dict[str, object]:
    """A status as a program is given it."""
    return {
        "task_id": arrival.task_id,
        "status": int(arrival.status),
        "name": arrival.status.name,
        "trace_id": arrival.trace_id,
        "worker_id": arrival.worker_id,
        "timestamp": arrival.timestamp,
        "body": arrival.body,
        "partition": arrival.partition,
        "offset": arrival.offset,
    }
