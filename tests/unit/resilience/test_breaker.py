"""I13: open lets no call through, half-open one, and it trips after exactly the threshold."""

from __future__ import annotations

from llm_service.events import BreakerChanged, Event
from llm_service.resilience.breaker import CLOSED, HALF_OPEN, OPEN, Breaker, BreakerPolicy, Ticket
from tests.manual_clock import ManualClock

POLICY = BreakerPolicy(failure_threshold=3, open_s=30.0)


class Bench:
    def __init__(self, policy: BreakerPolicy = POLICY) -> None:
        self.clock = ManualClock()
        self.events: list[Event] = []
        self.breaker = Breaker("gigachat", policy, self.clock, self.events.append)

    def ticket(self) -> Ticket:
        ticket = self.breaker.admit()
        assert ticket is not None
        return ticket

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            ticket = self.ticket()
            self.breaker.failed(ticket, "boom")
            self.breaker.abandoned(ticket)

    @property
    def states(self) -> list[str]:
        return [event.state for event in self.events if isinstance(event, BreakerChanged)]


def test_it_trips_after_exactly_the_threshold() -> None:
    bench = Bench()
    bench.fail(2)
    assert bench.breaker.state == CLOSED
    bench.fail(1)
    assert bench.breaker.state == OPEN
    assert bench.breaker.admit() is None
    assert bench.events == [BreakerChanged("gigachat", OPEN, "boom")]


def test_a_threshold_of_one_trips_at_once() -> None:
    bench = Bench(BreakerPolicy(1, 30.0))
    bench.fail()
    assert bench.breaker.state == OPEN


def test_a_success_ends_the_row_and_what_is_neither_does_not() -> None:
    bench = Bench()
    bench.fail(2)
    bench.breaker.succeeded(bench.ticket())
    bench.fail(2)
    assert bench.breaker.state == CLOSED
    bench.breaker.abandoned(bench.ticket())
    bench.fail(1)
    assert bench.breaker.state == OPEN


def test_calls_begun_before_it_opened_have_no_say_any_more() -> None:
    bench = Bench()
    early = [bench.ticket() for _ in range(5)]
    for ticket in early[:3]:
        bench.breaker.failed(ticket, "boom")
    bench.breaker.succeeded(early[3])
    bench.breaker.failed(early[4], "late")
    assert bench.breaker.state == OPEN
    bench.breaker.half_open()
    bench.breaker.succeeded(early[3])
    bench.breaker.failed(early[4], "late")
    bench.breaker.abandoned(early[0])
    assert bench.breaker.state == HALF_OPEN
    assert bench.states == [OPEN, HALF_OPEN]


def test_the_time_it_stays_open_is_measured_by_the_monotonic_clock_alone() -> None:
    bench = Bench()
    bench.fail(3)
    bench.clock.jump(86_400)
    assert bench.breaker.opens_in() == 30.0
    bench.clock.jump(-2 * 86_400)
    bench.clock._monotonic += 29.5
    assert bench.breaker.opens_in() == 0.5
    bench.clock._monotonic += 0.5
    assert bench.breaker.opens_in() == 0.0


def test_pybreaker_itself_sees_our_clock() -> None:
    bench = Bench()
    bench.fail(3)
    bench.clock.jump(10 * 86_400)
    assert bench.breaker._machine._state_storage.opened_at is not None
    bench.clock._monotonic += 30
    assert bench.breaker._machine._state_storage.opened_at is None


def test_half_open_lets_one_call_through_and_its_success_closes() -> None:
    bench = Bench()
    bench.fail(3)
    bench.breaker.half_open()
    probe = bench.ticket()
    assert [bench.breaker.admit() for _ in range(5)] == [None] * 5
    bench.breaker.succeeded(probe)
    assert bench.breaker.state == CLOSED
    assert bench.states == [OPEN, HALF_OPEN, CLOSED]
    bench.fail(2)
    assert bench.breaker.state == CLOSED, "closing begins a new row"


def test_a_failed_probe_opens_it_for_the_full_time_again() -> None:
    bench = Bench()
    bench.fail(3)
    bench.clock._monotonic += 100
    bench.breaker.half_open()
    bench.fail(1)
    assert bench.breaker.state == OPEN
    assert bench.breaker.opens_in() == 30.0
    assert bench.breaker.admit() is None


def test_a_probe_that_shows_nothing_leaves_its_place_to_another() -> None:
    bench = Bench()
    bench.fail(3)
    bench.breaker.half_open()
    bench.breaker.abandoned(bench.ticket())
    assert bench.breaker.state == HALF_OPEN
    bench.breaker.succeeded(bench.ticket())
    assert bench.breaker.state == CLOSED


def test_a_failed_health_check_keeps_it_open_without_a_change() -> None:
    bench = Bench()
    bench.fail(3)
    bench.clock._monotonic += 30
    bench.breaker.stay_open("still away")
    assert bench.breaker.opens_in() == 30.0
    assert bench.breaker.reason == "still away"
    assert bench.states == [OPEN]


def test_half_open_invites_one_at_a_time_and_an_invitation_lapses() -> None:
    bench = Bench()
    assert all(bench.breaker.invite() for _ in range(5))
    bench.fail(3)
    assert not bench.breaker.invite()
    bench.breaker.half_open()
    assert bench.breaker.invite()
    assert not bench.breaker.invite()
    bench.clock._monotonic += 30
    assert bench.breaker.invite()
    probe = bench.ticket()
    bench.clock._monotonic += 60
    assert not bench.breaker.invite(), "nobody is invited while the probe is out"
    bench.breaker.succeeded(probe)
    assert all(bench.breaker.invite() for _ in range(5))
