"""The watch over what the service needs."""

from __future__ import annotations

from llm_service import events
from llm_service.container.watch import INTERVAL_S, Watch
from llm_service.errors import DependencyUnavailable
from tests.manual_clock import ManualClock


class Dependency:
    """Answers, or fails as the test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def check(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


async def test_a_loss_and_a_return_are_told_once_each() -> None:
    clock, store, seen = ManualClock(), Dependency(), list[events.Event]()
    watch = Watch({"store": store.check}, clock, seen.append)
    watch.start()
    store.error = DependencyUnavailable("it is away")
    await clock.advance(2 * INTERVAL_S)
    assert watch.failures == {"store": "it is away"}
    store.error = None
    await clock.advance(2 * INTERVAL_S)
    assert watch.failures == {}
    assert seen == [
        events.ConnectionChanged("store", up=False, reason="it is away"),
        events.ConnectionChanged("store", up=True, reason=""),
    ]
    await watch.close()


async def test_a_check_that_breaks_ends_neither_the_watch_nor_its_neighbours() -> None:
    """A provider's health check is a third party's code; what it raises may hold a key, so its type alone is told."""
    clock, broken, other = ManualClock(), Dependency(), Dependency()
    watch = Watch({"acme": broken.check, "store": other.check}, clock, lambda _: None)
    watch.start()
    broken.error = RuntimeError("Authorization: Bearer secret")
    other.error = DependencyUnavailable("it is away")
    await clock.advance(INTERVAL_S)
    assert watch.failures == {
        "acme": "looking whether it is there failed with RuntimeError",
        "store": "it is away",
    }
    broken.error = other.error = None
    await clock.advance(INTERVAL_S)
    assert watch.failures == {}
    assert broken.asked >= 3
    await watch.close()
