"""I13 under whatever comes: the judge sees only the provider's calls and the announced states.

Open: no call. Half-open: at most one at a time. It trips after exactly the threshold of failures in a row
among calls begun while it was closed, and what a task brought on itself never trips it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.errors import (
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderStreamCut,
    ProviderUnavailable,
    RequestRejected,
    ServiceError,
)
from llm_service.events import BreakerChanged, Event
from llm_service.providers.protocol import Completion, CompletionRequest
from llm_service.resilience.breaker import BreakerPolicy
from tests.manual_clock import ManualClock
from tests.unit.providers_guard.scripted import POLICY, Bench, Later, ScriptedProvider

OUTCOMES: dict[str, type[ProviderError] | None] = {
    "success": None,
    "unavailable": ProviderUnavailable,
    "server_error": ProviderServerError,
    "stream_cut": ProviderStreamCut,
    "rejected": RequestRejected,
    "rate_limited": ProviderRateLimited,
}
TRIPS = {"unavailable", "server_error", "stream_cut"}

call = st.tuples(st.sampled_from(sorted(OUTCOMES)), st.sampled_from([0.0, 0.5, 3.0, 40.0]))
arrival = st.tuples(st.sampled_from([0.0, 0.1, 7.0, 31.0]), st.sampled_from([None, 5.0, 45.0, 200.0]))
health = st.sampled_from([True, False])


@dataclass
class Judge:
    """Follows the breaker from outside, and says what may not be."""

    threshold: int
    state: str = "closed"
    episode: int = 0
    row: int = 0
    probing: int = 0
    trips: int = 0
    calls: int = 0
    wrong: list[str] = field(default_factory=list)

    def began(self) -> int:
        self.calls += 1
        if self.state == "open":
            self.wrong.append(f"call {self.calls} while open")
        if self.state == "half_open":
            self.probing += 1
            if self.probing > 1:
                self.wrong.append(f"call {self.calls} beside the probe")
        return self.episode

    def ended(self, outcome: str, begun_in: int) -> None:
        if begun_in != self.episode:
            return
        if self.state == "half_open":
            self.probing -= 1
        elif outcome == "success":
            self.row = 0
        elif outcome in TRIPS:
            self.row += 1
        if self.state == "closed" and self.row > self.threshold:
            self.wrong.append(f"closed after {self.row} failures in a row")

    def heard(self, event: Event) -> None:
        if not isinstance(event, BreakerChanged):
            return
        if self.state == "closed" and event.state == "open":
            self.trips += 1
            if self.row != self.threshold:
                self.wrong.append(f"tripped after {self.row} failures in a row")
        allowed = {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
        if (self.state, event.state) not in allowed:
            self.wrong.append(f"{self.state} became {event.state}")
        self.state, self.row, self.probing = event.state, 0, 0
        self.episode += 1


class JudgedProvider(ScriptedProvider):
    """Tells the judge of each call, and takes what it does from the drawn lists."""

    def __init__(
        self, clock: ManualClock, judge: Judge, calls: list[tuple[str, float]], healthy: list[bool]
    ) -> None:
        super().__init__(clock)
        self._judge = judge
        self._calls = list(calls)
        self._healthy = list(healthy)

    async def complete(self, request: CompletionRequest) -> Completion:
        begun_in = self._judge.began()
        outcome, seconds = self._calls.pop(0) if self._calls else ("success", 0.5)
        kind = OUTCOMES[outcome]
        self.script = [seconds if kind is None else Later(seconds, kind())]
        try:
            return await super().complete(request)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._judge.ended(outcome, begun_in)

    async def health(self) -> None:
        if self._judge.state != "open":
            self._judge.wrong.append(f"health check while {self._judge.state}")
        if self._healthy and not self._healthy.pop(0):
            raise ProviderUnavailable


async def run(
    threshold: int,
    calls: list[tuple[str, float]],
    arrivals: list[tuple[float, float | None]],
    healthy: list[bool],
) -> Judge:
    judge = Judge(threshold)
    bench = Bench(
        replace(POLICY, breaker=BreakerPolicy(threshold, 30.0)),
        slots=3,
        make=lambda clock: JudgedProvider(clock, judge, calls, healthy),
    )
    bench.listeners.append(judge.heard)
    tasks = []
    for pause, within in arrivals:
        await bench.clock.advance(pause)
        tasks += bench.start(within=within)
    await bench.clock.advance(5_000)
    assert all(task.done() for task in tasks), "somebody waits for ever"
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Completion | ServiceError) for result in results), results
    bench.assert_nothing_is_held()
    await bench.guard.close()
    return judge


@settings(max_examples=150, deadline=None)
@given(
    threshold=st.integers(1, 4),
    calls=st.lists(call, max_size=40),
    arrivals=st.lists(arrival, min_size=1, max_size=20),
    healthy=st.lists(health, max_size=10),
)
def test_the_breaker_keeps_its_invariant(
    threshold: int,
    calls: list[tuple[str, float]],
    arrivals: list[tuple[float, float | None]],
    healthy: list[bool],
) -> None:
    assert asyncio.run(run(threshold, calls, arrivals, healthy)).wrong == []


async def test_the_judge_has_something_to_judge() -> None:
    outage = [("unavailable", 0.5)] * 7 + [("rejected", 0.0), ("success", 0.5)]
    judge = await run(3, outage, [(0.1, None)] * 12, [False, True, False, True])
    assert judge.wrong == []
    assert judge.trips >= 1
    assert judge.state == "closed"
    assert judge.calls > len(outage)
