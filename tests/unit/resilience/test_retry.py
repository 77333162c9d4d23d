"""How often and after how long a call is made again."""

from __future__ import annotations

import random

import pytest

from llm_service.errors import ProviderError, ProviderServerError, ProviderUnavailable, RequestRejected
from llm_service.resilience.retry import Backoff, RetryPolicy, retrying

POLICY = RetryPolicy(max_retries=2, initial_delay_s=1.0, max_delay_s=10.0)


def test_delays_fill_the_whole_of_an_exponential_step() -> None:
    backoff = Backoff(POLICY, random.Random(1))
    for failures, step in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 10.0), (6, 10.0)):
        delays = [backoff.delay(failures) for _ in range(400)]
        assert 0 <= min(delays) < step * 0.05
        assert step * 0.95 < max(delays) <= step


def test_a_hold_is_at_least_half_of_its_step() -> None:
    backoff = Backoff(POLICY, random.Random(1))
    holds = [backoff.hold(3) for _ in range(400)]
    assert 2.0 <= min(holds) < 2.2
    assert 3.8 < max(holds) <= 4.0


def test_a_very_long_outage_overflows_nothing() -> None:
    assert 0 <= Backoff(POLICY, random.Random(1)).delay(1_000_000) <= 10.0


class Script:
    """Raises what it is given, in order, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0
        self.slept: list[float] = []
        self.retries: list[tuple[str, float]] = []

    async def run(self) -> str:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        attempts = retrying(
            POLICY,
            sleep=sleep,
            delay=lambda error, failures: float(failures),
            on_retry=lambda error, delay: self.retries.append((error.code, delay)),
        )
        answer: str = await attempts(self._call)
        return answer

    async def _call(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def test_a_call_that_works_is_made_once() -> None:
    script = Script()
    assert await script.run() == "answer"
    assert (script.calls, script.slept, script.retries) == (1, [], [])


async def test_spent_failures_are_repeated_as_often_as_allowed_and_the_last_is_raised() -> None:
    last = ProviderServerError("third")
    script = Script(ProviderServerError("first"), ProviderServerError("second"), last)
    with pytest.raises(ProviderServerError) as raised:
        await script.run()
    assert raised.value is last
    assert script.calls == 3
    assert script.retries == [("provider_server_error", 1.0), ("provider_server_error", 2.0)]


async def test_unspent_failures_never_count() -> None:
    outage = [ProviderUnavailable() for _ in range(50)]
    script = Script(ProviderServerError(), *outage, ProviderServerError())
    assert await script.run() == "answer"
    assert script.calls == 53


async def test_no_retries_allowed_still_waits_for_an_outage() -> None:
    script = Script(ProviderUnavailable(), ProviderUnavailable())
    assert await script.run() == "answer"


@pytest.mark.parametrize("error", [RequestRejected(), ProviderError(), ValueError("a bug")])
async def test_what_no_repetition_can_help_is_raised_at_once(error: Exception) -> None:
    script = Script(error)
    with pytest.raises(type(error)):
        await script.run()
    assert (script.calls, script.slept) == (1, [])
