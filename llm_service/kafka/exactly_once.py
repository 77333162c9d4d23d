"""Settling in ``exactly_once``: terminal event, dead letter, offset and offset map in one Kafka transaction.

Three threads meet here. The event loop's tasks wait in ``settle``; the consumer's thread says who we are in the group
and what is ours (``TransactionalCommits``); the settling thread alone talks to the producer (``SettlingLoop``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from llm_service import events
from llm_service.errors import ConsumerFatal, DeliveryError, DeliveryRevoked
from llm_service.kafka.commits import Held
from llm_service.kafka.grouping import Waiting
from llm_service.kafka.membership import Membership
from llm_service.kafka.port import GroupMember, TopicPartition
from llm_service.kafka.settling import OutcomeTopics
from llm_service.kafka.settling_loop import SettlingLoop, SettlingPolicy, Told
from llm_service.kafka.tracker import PartitionTracker, Position
from llm_service.kafka.transaction import Outgoing, TransactionPort
from llm_service.resilience.threads import SYSTEM_THREADS, Threads
from llm_service.tasks.ports import Delivery, Outcome

# A transaction takes some 10 ms; those that leave with a revoke get as long as a busy broker may need for one.
_LEAVE_S = 1.0
_LOOK_S = 0.002
# A transaction is ended by its coordinator 10 s after its beginning, which looks every 10 s.
_DECIDED_S = 20.0


class TransactionalCommits:
    """The consumer loop's side: hands over who we are, and writes nothing itself. See ``Commits``."""

    whole = True

    def __init__(
        self,
        member: GroupMember,
        loop: SettlingLoop,
        overdue: Callable[[Collection[TopicPartition]], None],
        threads: Threads = SYSTEM_THREADS,
    ) -> None:
        self._member = member
        self._loop = loop
        self._overdue = overdue
        self._threads = threads
        self._marked: dict[TopicPartition, PartitionTracker] = {}

    @property
    def stale(self) -> int:
        return self._loop.stale

    @property
    def pending(self) -> bool:
        return self._loop.busy

    def step(self, held: Held) -> None:
        self.renew(held)

    def renew(self, held: Held) -> None:
        self._loop.hand_over(Membership(self._member.group_metadata(), dict(held)))
        for place, tracker in held.items():
            if self._marked.get(place) is not tracker:
                # Who takes it over from us has to know whose transaction may be open.
                self._marked[place] = tracker
                self._loop.mark_moved(place)
                self._loop.hurry()

    def moved(self, place: TopicPartition) -> None:
        self._loop.mark_moved(place)

    def urge(self, place: TopicPartition) -> None:
        self._loop.mark_moved(place)
        self._loop.hurry()

    def finish(self, delivery: Delivery) -> None:
        """Nothing to do: the settling thread has noted it with its commit."""

    def leave(self, places: Collection[TopicPartition], held: Held) -> None:
        """Wait until it is written that they leave in order, with what moved without an outcome, for a short time."""
        for place in places:
            held[place].is_leaving = True
            self._loop.mark_moved(place)
        until = self._threads.monotonic() + _LEAVE_S
        self._loop.hurry()
        while not self._loop.is_written(places) and self._threads.monotonic() < until:
            self._threads.sleep(_LOOK_S)

    def part(self, places: Collection[TopicPartition]) -> None:
        """Keep them until no transaction is under way in which they are written.

        A broker refuses who is not a member of the present epoch, never who has given a partition away: with KIP-848 a
        member that has more to give back keeps its epoch, and what comes late would be taken beside the new owner's.
        """
        until = self._threads.monotonic() + _DECIDED_S
        while self._loop.is_under_way(places) and self._threads.monotonic() < until:
            self._threads.sleep(_LOOK_S)

    def drop(self, places: Collection[TopicPartition], held: Held) -> None:
        for place in places:
            self._marked.pop(place, None)
        self._loop.hand_over(Membership(self._member.group_metadata(), dict(held)))

    def overdue(self, places: Collection[TopicPartition]) -> None:
        self._overdue(places)

    def answered(self, positions: Sequence[Position], error: str | None, held: Held) -> None:
        """Never: nothing is committed but in transactions."""


class ExactlyOnceSettler:
    """Puts outcomes into the next transaction and waits for its commit. Owns the settling thread."""

    def __init__(
        self,
        port: TransactionPort,
        policy: SettlingPolicy,
        topics: OutcomeTopics,
        observe: events.Observer,
        failed: Callable[[ConsumerFatal], None],
        settled: Callable[[], None],
        threads: Threads = SYSTEM_THREADS,
    ) -> None:
        """``failed``: told on the event loop when no transaction will ever be made again. ``settled``: see the loop."""
        self._port = port
        self._topics = topics
        self._observe = observe
        self._failed = failed
        self._asyncio: asyncio.AbstractEventLoop | None = None
        self._stopping = threads.flag()
        self._ended = False
        self.loop = SettlingLoop(port, policy, self._tell, settled, threads.monotonic, threads)
        self._thread = threads.thread(self._run, "kafka-settling")

    def start(self) -> None:
        """``port`` has been opened before."""
        self._asyncio = asyncio.get_running_loop()
        self._thread.start()

    async def settle(self, delivery: Delivery, outcome: Outcome) -> None:
        if self._ended:
            raise DeliveryRevoked
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_answer(error: DeliveryError | None) -> None:
            if not answer.done():
                answer.set_result(None) if error is None else answer.set_exception(error)

        waiting = Waiting(delivery, self._messages(outcome), on_answer)
        self.loop.add(waiting)
        try:
            await answer
        finally:
            waiting.abandoned = True

    def release(self, delivery: Delivery) -> None:
        """Nothing to do: an offset that is not finished is in no position, so its message comes again."""

    async def close(self, timeout: float) -> bool:
        """End the thread, the source being closed; False when that took longer than ``timeout`` seconds.

        A transaction that is under way then is left to whoever takes the partitions over.
        """
        self._stopping.set()
        self._port.give_up()
        self.loop.hurry()
        await self._thread.joined(timeout)
        return not self._thread.is_alive()

    def _messages(self, outcome: Outcome) -> list[Outgoing]:
        return [Outgoing(topic, record) for topic, record in self._topics.addressed(outcome)]

    # --- the settling thread --------------------------------------------------------------------

    def _run(self) -> None:
        error: ConsumerFatal | None = None
        try:
            while not self._stopping.is_set():
                self.loop.wait()
                self.loop.step()
        except ConsumerFatal as fatal:
            error = fatal
        except Exception as bug:
            error = ConsumerFatal(f"settling failed: {type(bug).__name__}: {bug}")
        self._port.close()
        if error is not None:
            self._call(self._end, error)

    def _end(self, error: ConsumerFatal) -> None:
        self._ended = True
        self._failed(error)

    def _tell(self, told: Told) -> None:
        self._call(self._pass_on, told)

    def _pass_on(self, told: Told) -> None:
        for waiting, error in told.answers:
            waiting.answer(error)
        for event in told.events:
            self._observe(event)

    def _call(self, function: Callable[..., None], argument: object) -> None:
        loop = self._asyncio
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(function, argument)
