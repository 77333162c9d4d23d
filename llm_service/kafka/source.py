"""Kafka as a source of tasks: the consumer's thread on one side, the event loop on the other.

Batches cross to the loop with one wake-up each; finished deliveries come back by a queue. What partitions
are still ours is known on the loop too, so that an outcome for one that has left is never published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError as FutureCancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import UTC, datetime

from llm_service import events
from llm_service.errors import ConsumerFatal
from llm_service.kafka.commits import Commits
from llm_service.kafka.consumer import ConsumerLoop
from llm_service.kafka.consumer_policy import ConsumerPolicy
from llm_service.kafka.log_watch import AskExtent
from llm_service.kafka.port import ConsumerPort, TopicPartition
from llm_service.resilience.threads import SYSTEM_THREADS, Threads
from llm_service.tasks.ports import Delivery, Intake

_LOOP_MARGIN_S = 0.5


class KafkaSource:
    """Runs the consumer loop in its own thread and connects it to an intake on the event loop."""

    def __init__(
        self,
        port: ConsumerPort,
        policy: ConsumerPolicy,
        intake: Intake,
        observe: events.Observer,
        commits: Commits | None = None,
        threads: Threads = SYSTEM_THREADS,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        crowded: Callable[[tuple[str, int, int]], None] = lambda _: None,
    ) -> None:
        """``commits``: how offsets are written; without it by the consumer itself. ``now``: the wall clock.

        ``crowded``: told, on the event loop, which message holds its partition near the bound of the offset map.
        """
        self._intake = intake
        self._crowded = crowded
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gone: dict[TopicPartition, int] = {}
        self._dead = False
        self._threads = threads
        self._stopping = threads.flag()
        self._ended: asyncio.Future[None] | None = None
        self._observe = observe
        self._seen: list[events.Event] = []
        """What the thread has seen and the loop was not told yet."""
        self._consumer = ConsumerLoop(
            port,
            policy,
            self,
            self._observe_from_thread,
            threads.monotonic,
            commits,
            threads,
            now=now,
        )
        self._thread = threads.thread(self._run, "kafka-consumer")

    # --- the event loop's side ------------------------------------------------------------------

    def watch_logs(self, ask: AskExtent) -> None:
        """Before the start: see ``ConsumerLoop``. ``ask`` is called on the consumer's thread."""
        self._consumer.watch_logs(ask)

    def start(self) -> asyncio.Future[None]:
        """Start reading; the future ends when the thread does, with ConsumerFatal if that was not asked for."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._thread.start()
        return self._ended

    def is_live(self, delivery: Delivery) -> bool:
        """Whether the delivery's partition is still ours under its epoch."""
        return (
            not self._dead
            and self._gone.get(TopicPartition(delivery.topic, delivery.partition), 0) < delivery.epoch
        )

    def finish(self, delivery: Delivery) -> None:
        """The outcome is durable: the offset may be committed."""
        self._consumer.finish(delivery)

    def wake(self) -> None:
        """End the wait of a full window now. Any thread."""
        self._consumer.wake()

    def fail(self, error: ConsumerFatal) -> None:
        """What settles for this source can't go on: end, and say why."""
        self._stopping.set()
        self._consumer.wake()
        self._end(error)

    def excuse(self, waiting: int) -> None:
        self._consumer.excuse(waiting)

    def halt(self, halted: bool, /) -> None:  # noqa: FBT001 -- its only argument
        """Take no more messages for now, or take them again."""
        self._consumer.halt(halted)
        self._consumer.wake()

    def stop_taking(self) -> None:
        self._consumer.stop_taking()
        self._consumer.wake()

    async def close(self, timeout: float) -> bool:
        """Commit, leave the group and end the thread; False when that took longer than ``timeout`` seconds."""
        self._stopping.set()
        self._consumer.wake()
        await self._thread.joined(timeout)
        return not self._thread.is_alive()

    @property
    def assigned(self) -> int:
        return self._consumer.assigned

    @property
    def is_full(self) -> bool:
        """Whether no more messages are taken until a task ends."""
        return self._consumer.is_full

    @property
    def held_until_due(self) -> int:
        """Messages of the retry topic that are here and not due."""
        return self._consumer.held_until_due

    @property
    def refusal(self) -> str | None:
        """Why a partition stands still until somebody does something; None where none does."""
        return self._consumer.refusal

    @property
    def stale_outcomes(self) -> int:
        return self._consumer.stale_outcomes

    def stalled_s(self, now: float) -> float:
        """Seconds since the consumer's thread last began a round."""
        return now - self._consumer.stepped_at

    # --- the consumer thread's side -------------------------------------------------------------

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self._call(lambda: self._intake.take(deliveries))

    def crowded(self, message: tuple[str, int, int]) -> None:
        self._call(lambda: self._crowded(message))

    def revoke(self, epochs: dict[TopicPartition, int], timeout: float) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        revoked = asyncio.run_coroutine_threadsafe(self._revoke(epochs, timeout), self._loop)
        if timeout > 0:
            try:
                # The loop keeps the limit; the margin is for a loop that is busy.
                self._threads.result(revoked, timeout + _LOOP_MARGIN_S)
            except (FutureTimeoutError, FutureCancelledError):
                # What was not settled by now is left to the new owner: nothing is lost.
                return

    async def _revoke(self, epochs: dict[TopicPartition, int], timeout: float) -> None:
        """End the work; from the limit on, or at once where the partitions are lost, nothing more is published."""
        leaving = dict(epochs)

        def is_gone(delivery: Delivery) -> bool:
            epoch = leaving.get(TopicPartition(delivery.topic, delivery.partition), 0)
            return delivery.epoch <= epoch

        try:
            async with asyncio.timeout(timeout):
                await self._intake.revoke(is_gone)
        except TimeoutError:
            pass
        finally:
            for place, epoch in leaving.items():
                self._gone[place] = max(epoch, self._gone.get(place, 0))

    def _run(self) -> None:
        error: ConsumerFatal | None = None
        try:
            self._consumer.start()
            while not self._stopping.is_set():
                self._consumer.step()
                self._tell()
        except ConsumerFatal as fatal:
            error = fatal
        except Exception as bug:
            error = ConsumerFatal(f"the consumer loop failed: {type(bug).__name__}: {bug}")
        self._leave()
        self._tell()
        self._call(lambda: self._end(error))

    def _leave(self) -> None:
        try:
            self._consumer.close()
        except Exception as failed:
            reason = f"leaving the group: {failed}"
            self._observe_from_thread(events.Trouble("kafka", reason))

    def _end(self, error: ConsumerFatal | None) -> None:
        if self._ended is None or self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._dead = True  # nobody commits any more, so nothing may be published either
            self._ended.set_exception(error)

    def _observe_from_thread(self, event: events.Event) -> None:
        self._seen.append(event)

    def _tell(self) -> None:
        """All events of a round with one wake-up: a commit has one for each partition, a batch one for each skip."""
        if self._seen:
            seen, self._seen = self._seen, []
            self._call(lambda: self._observe_all(seen))

    def _observe_all(self, seen: Sequence[events.Event]) -> None:
        for event in seen:
            self._observe(event)

    def _call(self, function: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function)
