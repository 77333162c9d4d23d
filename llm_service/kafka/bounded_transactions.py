"""A transaction port whose calls come back, also where librdkafka's do not.

``rd_kafka_send_offsets_to_transaction`` does not look at its timeout while it waits for the group's coordinator
(librdkafka's issue 5456, open; seen with 2.16 when Kafka was cut off and replies were lost): the thread stands in it
for as long as no broker changes its state, and with it every partition of the worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

from llm_service.errors import ConsumerFatal, DependencyUnavailable
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import Position
from llm_service.kafka.transaction import Outgoing, TransactionPort, Undecided

T = TypeVar("T")

# After the transaction's timeout of 10 s the broker ends it whatever the call does; only a producer that is opened anew
# within the call is worth waiting for beyond that, and has two requests of 4 s.
CALL_LIMIT_S = 18.0
# Each holds a producer with its threads and its memory until librdkafka lets go. One is a lost reply; more at once, half
# a minute apart, are a library that only a new process mends.
_MOST_LEFT_BEHIND = 2


class BoundedTransactions:
    """Makes the calls on a thread beside, and leaves that thread and its producer behind when one takes too long.

    That is right at any moment: what was left behind may still commit until a new producer of the same
    ``transactional.id`` is opened, which is why the result is unknown; from then on the brokers refuse it, and they
    are asked what it has done.
    """

    def __init__(self, make: Callable[[], TransactionPort], limit_s: float = CALL_LIMIT_S) -> None:
        """``make``: a port of our ``transactional.id`` that is not open yet. ``limit_s``: of each call."""
        self._make = make
        self._limit_s = limit_s
        self._giving_up = False
        self._side = _Side(make())
        self._left_behind: list[_Side] = []
        self._standing: str | None = None

    @property
    def refusal(self) -> str | None:
        """Why nothing is settled for now; None where a producer works, or is opened in the usual way. Any thread."""
        return self._standing

    def open(self) -> None:
        """Raises ConsumerFatal as well: too many calls have not come back. So do the other calls."""
        try:
            self._made(self._side.port.open, "opening the transactional producer")
        except _TooLong as error:
            raise DependencyUnavailable(str(error)) from None
        self._standing = None

    def run(self, messages: Sequence[Outgoing], positions: Sequence[Position], metadata: bytes) -> None:
        port = self._side.port
        try:
            self._made(lambda: port.run(messages, positions, metadata), "a transaction")
        except _TooLong as error:
            raise Undecided(str(error)) from None

    def committed(self, places: Sequence[TopicPartition]) -> Sequence[Committed]:
        port = self._side.port
        try:
            return self._made(lambda: port.committed(places), "asking for the committed offsets")
        except _TooLong:
            return []

    def give_up(self) -> None:
        self._giving_up = True
        self._side.port.give_up()

    def close(self) -> None:
        """Within the limit; what stands still then ends with the process, which does not wait for it."""
        self._side.end()
        self._side.joined(self._limit_s)

    def _made(self, call: Callable[[], T], what: str) -> T:
        answer = self._side.ask(call)
        try:
            return answer.result(self._limit_s)
        except TimeoutError:
            if answer.done():
                raise
        reason = (
            f"{what} did not come back from librdkafka within {self._limit_s:g} s; "
            "its producer is left behind, and a new one asks the brokers what was decided"
        )
        self._leave_behind(reason)
        raise _TooLong(reason)

    def _leave_behind(self, reason: str) -> None:
        before, self._side = self._side, _Side(self._make())
        before.port.give_up()
        before.end()
        if self._giving_up:
            self._side.port.give_up()
        self._standing = reason
        self._left_behind = [side for side in (*self._left_behind, before) if side.is_alive]
        if len(self._left_behind) > _MOST_LEFT_BEHIND:
            raise ConsumerFatal(
                f"{len(self._left_behind)} calls of librdkafka have not come back, each after more than "
                f"{self._limit_s:g} s: nothing can be settled by this process any more; start it again"
            )


class _TooLong(Exception):
    """A call is left behind."""


class _Side:
    """A port and the thread that calls it; a daemon, since the process's end must not wait for it."""

    def __init__(self, port: TransactionPort) -> None:
        self.port = port
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def ask(self, call: Callable[[], T]) -> Future[T]:
        answer: Future[T] = Future()

        def made() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:  # raised where it is awaited
                answer.set_exception(error)

        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kafka-transaction", daemon=True)
            self._thread.start()
        self._calls.put(made)
        return answer

    def end(self) -> None:
        """After the call that is under way, should it come back."""
        self._calls.put(None)

    def joined(self, timeout: float) -> None:
        if self._thread is None:
            self.port.close()
        else:
            self._thread.join(timeout)

    def _run(self) -> None:
        while (made := self._calls.get()) is not None:
            made()
        self.port.close()
