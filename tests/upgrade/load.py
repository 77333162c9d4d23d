"""Tasks that are sent all the while, of the kinds that every version answers alike, and what became of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from tests.acceptance.generator import Case, Generator
from tests.acceptance.judge import judge
from tests.acceptance.platform import Platform
from tests.acceptance.stage import Stage

# Three pools of ten, each task some 0.3 s: under a third of what they carry, so that two of them do not fall behind.
PER_S = 20.0
SLOWEST_S = 0.5
ENDS_WITHIN_S = 90.0


@dataclass(slots=True)
class Load:
    """One stream of tasks."""

    stage: Stage
    here: Platform
    seed: int
    cases: list[Case] = field(default_factory=list)
    _stopped: bool = False

    async def run(self) -> None:
        generator = Generator(self.stage, self.seed, SLOWEST_S)
        makers = (
            [generator.header_form] * 6 + [generator.body_form] * 4 + [generator.with_file, generator.retried]
        )
        while not self._stopped:
            case = await asyncio.to_thread(generator.rng.choice(makers))
            self.cases.append(case)
            for message in case.messages:
                await self.here.send(message.value, key=message.key, headers=message.headers)
            await asyncio.sleep(1 / PER_S)

    def stop(self) -> None:
        self._stopped = True

    async def judged(self) -> tuple[dict[str, int], list[str]]:
        """Numbers, and what is wrong with any of them, once all that is owed is there."""
        wanted = {case.task_id for case in self.cases}
        try:
            await self.here.until(lambda: wanted <= self.here.ended_keys, ENDS_WITHIN_S)
        except AssertionError:
            await asyncio.sleep(0)  # the judge names those that are lost
        await asyncio.sleep(2.0)  # whatever comes a second time has come
        verdict = judge(self.cases, self.here, self.stage.gigachat.requests("chat"))
        runs = Counter(
            event.header("run") for case in self.cases for event in self.here.terminal(case.task_id)
        )
        numbers = {
            "tasks": len(self.cases),
            "lost": verdict.counts["lost"],
            "wrong": verdict.counts["wrong"],
            "answered twice": sum(count > 1 for count in runs.values()),
            "answered differently": len(verdict.differing),
        }
        return numbers, verdict.wrong
