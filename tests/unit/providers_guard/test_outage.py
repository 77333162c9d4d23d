"""An outage is waited for: it burns no calls, fails no task and takes no slot."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from itertools import pairwise

import pytest

from llm_service.errors import (
    ProviderAccountError,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderUnavailable,
    RequestRejected,
)
from llm_service.resilience.breaker import BreakerPolicy
from llm_service.resilience.deadline import Deadline
from tests.unit.providers_guard.scripted import POLICY, Bench, Later, end


@pytest.mark.parametrize("kind", [ProviderUnavailable, ProviderAccountError])
async def test_ten_minutes_away_cost_the_threshold_and_one_free_check_per_timeout(
    kind: type[ProviderError],
) -> None:
    bench = Bench(slots=10)
    bench.provider.always = bench.provider.healthy = kind("away")
    tasks = bench.start(50)
    await bench.clock.advance(600)
    # The calls that were in the air when it opened are the only ones beyond the threshold.
    assert POLICY.breaker.failure_threshold <= len(bench.provider.called_at) <= POLICY.max_concurrency
    assert bench.provider.checked_at == pytest.approx([30.0 * n for n in range(1, 21)])
    assert bench.slots.held == 0
    assert not any(task.done() for task in tasks)
    assert bench.guard.state == "open"

    before = len(bench.provider.called_at)
    bench.provider.healthy = 0.0
    bench.provider.always = 1.0
    await bench.clock.advance(30)
    assert len(bench.provider.called_at) == before + 1, "one real call tries, the others wait for it"
    assert bench.provider.states[-1] == "half_open"
    await bench.clock.advance(1)
    assert bench.provider.states[-1] == "closed"
    await bench.clock.advance(60)
    assert [(await task).text for task in tasks] == ["answer"] * 50
    assert bench.provider.most_in_progress <= POLICY.max_concurrency
    assert bench.states == ["open", "half_open", "closed"]
    bench.assert_nothing_is_held()


async def test_a_single_task_outlives_an_outage_with_no_retries_allowed() -> None:
    bench = Bench(replace(POLICY, retry=replace(POLICY.retry, max_retries=0)))
    bench.provider.script = [ProviderUnavailable()] * 3
    assert (await bench.clock.run(bench.complete())).text == "answer"
    assert len(bench.provider.called_at) == 4


async def test_whoever_opened_the_breaker_waits_for_it_and_not_for_a_delay_of_his_own() -> None:
    slow = replace(POLICY.retry, initial_delay_s=10_000.0, max_delay_s=10_000.0)
    bench = Bench(replace(POLICY, retry=slow, breaker=BreakerPolicy(failure_threshold=1, open_s=30.0)))
    bench.provider.script = [ProviderUnavailable()]
    await bench.clock.run(bench.complete(), limit=40)
    assert bench.provider.called_at == [0, 30]


async def test_a_failed_real_call_opens_it_again() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    bench.provider.always = ProviderUnavailable()
    tasks = bench.start(5)
    await bench.clock.advance(95)
    assert bench.provider.called_at == [30, 60, 90]
    assert bench.provider.states == ["half_open"] * 3
    assert bench.states == ["half_open", "open"] * 3
    await end(tasks)


async def test_a_refusal_of_the_probes_own_task_decides_nothing_and_the_next_goes() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    bench.provider.script = [RequestRejected("400")]
    tasks = bench.start(3)
    await bench.clock.advance(30)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == [
        "Completion",
        "Completion",
        "RequestRejected",
    ]
    assert bench.provider.states == ["half_open", "half_open", "closed"]


async def test_a_cancelled_probe_leaves_its_place_to_the_next() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    bench.provider.script = [50.0]
    tasks = bench.start(3)
    await bench.clock.advance(40)
    assert bench.provider.called_at == [30]
    tasks[0].cancel()
    await bench.clock.settle()
    assert bench.states == ["half_open", "closed"]
    assert bench.provider.called_at == [30, 40, 40]
    await asyncio.gather(*tasks[1:])


async def test_a_silent_health_check_is_bounded_and_keeps_it_open() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    bench.provider.healthy = 1e9
    tasks = bench.start(5)
    await bench.clock.advance(80)
    assert bench.provider.checked_at == [30, 65], "5 s of silence, then 30 s more"
    assert bench.provider.called_at == []
    assert "5 s" in bench.guard.reason
    await end(tasks)


@pytest.mark.parametrize("bug", [KeyError("s3cret"), asyncio.CancelledError()])
async def test_a_bug_in_the_health_check_ends_no_recovery(bug: BaseException) -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    bench.provider.healthy = bug
    tasks = bench.start(2)
    await bench.clock.advance(31)
    assert "s3cret" not in bench.guard.reason
    bench.provider.healthy = 0.0
    await bench.clock.advance(30)
    assert all(task.done() for task in tasks)
    assert bench.provider.checked_at == [30, 60]


async def test_waiters_that_are_cancelled_take_no_check_along() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    bench.provider.healthy = 4.0
    first, *rest = bench.start(3)
    await bench.clock.advance(31)
    first.cancel()
    await bench.clock.advance(3)
    assert bench.provider.checked_at == [30]
    assert all(task.done() for task in rest)


async def test_nobody_waiting_means_no_checks() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    await end(bench.start(2))
    await bench.clock.advance(1_000)
    assert bench.provider.checked_at == []
    assert (await bench.clock.run(bench.complete())).text == "answer"
    assert bench.provider.checked_at == [1_000], "late enough already: at once"


async def test_those_who_wait_to_begin_make_one_check_and_go_one_first() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    waiters = [asyncio.create_task(bench.guard.wait_ready(Deadline(None))) for _ in range(20)]
    await bench.clock.advance(29)
    assert not any(task.done() for task in waiters)
    await bench.clock.advance(1)
    assert bench.provider.checked_at == [30]
    assert sum(task.done() for task in waiters) == 1
    assert (await bench.complete()).text == "answer"
    await bench.clock.settle()
    assert all(task.done() for task in waiters)


async def test_one_let_in_who_never_calls_keeps_the_others_for_one_timeout_only() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    waiters = [asyncio.create_task(bench.guard.wait_ready(Deadline(None))) for _ in range(3)]
    done = []
    for _ in range(4):
        await bench.clock.advance(29.9)
        await bench.clock.advance(0.1)
        done.append(sum(task.done() for task in waiters))
    assert done == [1, 2, 3, 3]
    assert bench.provider.checked_at == [30]


async def test_ready_at_once_while_it_is_closed() -> None:
    bench = Bench()
    await bench.guard.wait_ready(Deadline(bench.clock.monotonic()))
    assert bench.clock.sleepers == 0


async def test_a_429_holds_the_whole_provider_and_then_calls_come_back_gradually() -> None:
    bench = Bench(slots=10)
    bench.provider.always = 1.0
    bench.provider.script = [Later(0.5, ProviderRateLimited("later", retry_after=20.0))]
    tasks = bench.start(40)
    await bench.clock.advance(20.4)
    # Three were in the air with the one that was refused; after it nobody went.
    assert bench.provider.called_at == [0, 0, 0, 0]
    assert bench.slots.held == 0
    await bench.clock.advance(100)
    after = [at for at in bench.provider.called_at if at > 0]
    assert [after.count(20.5 + n) for n in range(5)] == [1, 2, 4, 4, 4]
    assert all(task.done() for task in tasks)
    assert not bench.states, "being asked to wait is no failure"
    assert bench.codes.count("success") == 40


async def test_a_huge_wish_is_asked_again_once_an_hour() -> None:
    bench = Bench()
    bench.provider.script = [ProviderRateLimited("later", retry_after=1e12)] * 2
    await bench.clock.run(bench.complete(), limit=8_000)
    assert bench.provider.called_at == [0, 3_600, 7_200]


async def test_429s_without_a_wish_are_met_by_longer_and_longer_holds() -> None:
    bench = Bench()
    bench.provider.always = ProviderRateLimited("later")
    tasks = bench.start(20)
    await bench.clock.advance(60)
    gaps = [late - early for early, late in pairwise(bench.provider.called_at)]
    assert len(gaps) >= 60 / 8
    for gap, step in zip(gaps, [1, 2, 4] + [8] * (len(gaps) - 3), strict=True):
        assert step / 2 <= gap <= step
    assert bench.slots.held == 0
    assert not any(task.done() for task in tasks)
    await end(tasks)


async def test_a_429_of_a_probe_leaves_the_breaker_half_open_and_holds() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    bench.provider.script = [ProviderRateLimited("later", retry_after=15.0)]
    tasks = bench.start(5)
    await bench.clock.advance(44)
    assert bench.provider.called_at == [30]
    await bench.clock.advance(60)
    assert bench.provider.called_at[1] == 45
    assert all(task.done() for task in tasks)
    assert bench.states == ["half_open", "closed"]


async def test_spent_failures_that_open_it_still_count_for_their_tasks() -> None:
    bench = Bench(replace(POLICY, breaker=BreakerPolicy(failure_threshold=1, open_s=30.0)))
    bench.provider.always = ProviderServerError("500")
    with pytest.raises(ProviderServerError):
        await bench.clock.run(bench.complete())
    assert bench.provider.called_at == [0, 30, 60]


async def test_closing_ends_what_runs_for_those_who_wait() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable())
    tasks = bench.start(2)
    await bench.clock.settle()
    await end(tasks)
    await bench.guard.close()
    assert bench.provider.closed
    assert bench.clock.sleepers == 0


@pytest.mark.parametrize("short", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC])
async def test_what_this_machine_is_short_of_ends_no_task_and_opens_no_breaker(short: int) -> None:
    """A file that can't be opened for the upload, say: the client's raw error, which no provider declares."""
    bench = Bench()
    bench.provider.script = [OSError(short, "as the kernel says it")] * 12
    assert (await bench.clock.run(bench.complete())).text == "answer"
    assert bench.states == []
    assert {code for code in bench.codes if code != "success"} == {"provider_unavailable"}
    bench.assert_nothing_is_held()


async def test_another_error_of_the_system_is_a_bug_as_before() -> None:
    bench = Bench()
    bench.provider.script = [OSError(errno.EIO, "Input/output error")]
    with pytest.raises(ProviderError, match="a bug in it"):
        await bench.clock.run(bench.complete())
