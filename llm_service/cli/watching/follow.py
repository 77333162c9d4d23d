"""Following statuses: from the reader to the view, until what was asked for has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.watching.arrival import Arrival
from llm_service.cli.watching.fates import Fates
from llm_service.cli.watching.view import View
from llm_service.kafka.topics import StatusTopic
from llm_service.resilience.clock import Clock

# How late the end of a pipe is seen, and a limit of time.
_WAIT_S = 0.25
# Silence after which the brokers are asked whether they are there.
_SILENCE_S = 3.0
_NAMED = 5


class Statuses(Protocol):
    """Where statuses come from: ``StatusReader``."""

    @property
    def topic(self) -> StatusTopic: ...

    @property
    def caught_up(self) -> bool: ...

    async def read(self, wait_s: float) -> Sequence[Arrival]: ...

    async def trouble(self) -> str | None: ...


@dataclass(slots=True)
class Following:
    """One run of ``watch``, or of ``submit --watch`` once the tasks are sent."""

    reader: Statuses
    view: View
    fates: Fates
    """Of which tasks the end is waited for; of none: until somebody ends it."""
    clock: Clock
    timeout_s: float | None = None
    looks_back: bool = False
    """Whether reading began before the end: then it is worth saying that nothing was found there."""
    _silent_since: float = 0.0
    _trouble: str | None = None
    _told_missing: bool = False

    async def run(self) -> int:
        """The exit code: 0 when all tasks succeeded, 1 when one did not or had no end in time.

        Raises DependencyUnavailable for what can't be waited out, OSError when nobody reads any more.
        """
        began = self._silent_since = self.clock.monotonic()
        while not self._is_done():
            left = None if self.timeout_s is None else began + self.timeout_s - self.clock.monotonic()
            if left is not None and left <= 0:
                return self._late()
            await self._step(_WAIT_S if left is None else min(_WAIT_S, left))
        self.view.ended(self.fates)
        return ExitCode.OK if self.fates.all_succeeded else ExitCode.FAILED

    def _is_done(self) -> bool:
        """All have an end, and no later word on them is among what was there at the beginning."""
        return bool(self.fates.task_ids) and not self.fates.unfinished and self.reader.caught_up

    async def _step(self, wait_s: float) -> None:
        arrivals = await self.reader.read(wait_s)
        for arrival in arrivals:
            self.fates.place(arrival)
            self.view.arrived(arrival)
        self.view.pulse()
        now = self.clock.monotonic()
        if arrivals:
            self._silent_since = now
            self._tell(None)
        elif now - self._silent_since >= _SILENCE_S:
            self._tell(await self.reader.trouble())
            self._silent_since = self.clock.monotonic()
        if self.looks_back and self.reader.caught_up and not self._told_missing:
            self._tell_missing()

    def _tell(self, trouble: str | None) -> None:
        """Once when it begins and once when it ends."""
        if trouble is not None and self._trouble is None:
            self.view.talk(f"{trouble}: waiting; nothing is lost meanwhile")
        if trouble is None and self._trouble is not None:
            self.view.talk("the brokers answer again")
        self._trouble = trouble

    def _tell_missing(self) -> None:
        self._told_missing = True
        if missing := self.fates.missing:
            self.view.talk(
                f"{self.reader.topic.name} holds no status of {_listed(missing)} so far: waiting for one (Ctrl-C ends)"
            )

    def _late(self) -> int:
        self.view.ended(self.fates)
        if not self.fates.task_ids:
            return ExitCode.OK
        self.view.talk(f"no end within {self.timeout_s:g} s of {_listed(self.fates.unfinished)}")
        return ExitCode.FAILED


def _listed(task_ids: Sequence[str]) -> str:
    more = f" and {len(task_ids) - _NAMED} more" if len(task_ids) > _NAMED else ""
    return ", ".join(task_ids[:_NAMED]) + more
