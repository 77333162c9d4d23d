"""The stop when too much goes to the dead-letter topic, and the way out of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from llm_service import events
from llm_service.container.kafka import connection_config
from llm_service.errors import ServiceError
from llm_service.kafka.letters import ResumeCalls
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings
from llm_service.tasks.brake import BrakePolicy, LetterBrake

RESUME_COMMAND = "llm-service dlq resume"
# How soon the word is heard; one request to a broker each time, and only while the worker stands.
LOOK_EVERY_S = 1.0
# A broker that does not answer so long is waited for by the next look.
_ANSWER_S = 5.0
# The place from which the word counts is known in milliseconds; the stop is told even where Kafka is away.
_BEGIN_S = 5.0


class Calls(Protocol):
    """Where the word to go on comes from. Blocks."""

    def begin(self) -> None: ...

    def came(self) -> bool: ...

    def close(self) -> None: ...


class LetterStop:
    """An observer of outcomes that stops the taking of tasks, and lets it go on when it is told to."""

    def __init__(
        self,
        policy: BrakePolicy,
        calls: Callable[[], Calls],
        halt: Callable[[bool], None],
        clock: Clock,
        observe: events.Observer,
    ) -> None:
        """``halt``: True: take no more tasks; False: go on."""
        self._brake = LetterBrake(policy)
        self._calls = calls
        self._halt = halt
        self._clock = clock
        self._observe = observe
        self._standing: asyncio.Task[None] | None = None
        self.reason: str | None = None
        """Why no tasks are taken, with the command; None while they are."""

    def __call__(self, event: events.Event) -> None:
        if not isinstance(event, events.TaskSettled) or self.reason is not None:
            return
        too_much = self._brake.count(is_letter=event.dead_letter)
        if too_much is not None:
            self.reason = f"{too_much}: mend the cause, then run: {RESUME_COMMAND}"
            self._halt(True)  # noqa: FBT003 -- its only argument
            self._standing = asyncio.get_running_loop().create_task(self._stand(too_much), name="letter stop")

    async def close(self) -> None:
        standing, self._standing = self._standing, None
        if standing is not None:
            standing.cancel()
            await asyncio.wait([standing])

    async def _stand(self, too_much: str) -> None:
        calls = self._calls()
        try:
            # Told only when the word would be heard: whoever reads the line may give it at once.
            with suppress(TimeoutError, ServiceError):
                async with asyncio.timeout(_BEGIN_S):
                    await asyncio.to_thread(calls.begin)
            self._observe(events.ConsumptionStopped(too_much, RESUME_COMMAND))
            while not await self._came(calls):
                await self._clock.sleep(LOOK_EVERY_S)
        finally:
            # In a thread of its own accord: a client whose broker is away takes its time, and nobody waits for it.
            asyncio.get_running_loop().run_in_executor(None, calls.close)
        self._brake.reset()
        self.reason = None
        self._halt(False)  # noqa: FBT003
        self._observe(events.ConsumptionResumed())

    async def _came(self, calls: Calls) -> bool:
        try:
            return await asyncio.to_thread(calls.came)
        except ServiceError as error:
            reason = f"the word to go on can't be looked for ({error.message}): a restart resumes, too"
            self._observe(events.Trouble("kafka", reason))
            return False


def build_letter_stop(
    settings: Settings, halt: Callable[[bool], None], clock: Clock, observe: events.Observer
) -> LetterStop:
    """As the settings have it."""
    letters = settings.letters
    # Twice the pool is what one bad moment can bring to an end together.
    usual = max(100, 2 * settings.worker.max_concurrent_tasks)
    run = usual if letters.stop_run is None else letters.stop_run
    kafka = settings.kafka

    def calls() -> Calls:
        return ResumeCalls(connection_config(settings), kafka.dlq_topic, kafka.group_id, _ANSWER_S)

    policy = BrakePolicy(run, letters.stop_share, letters.stop_window)
    return LetterStop(policy, calls, halt, clock, observe)
