"""What librdkafka does in the background for a member: joins, heartbeats, and offers rebalances to the next poll."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Protocol

from llm_service.kafka.port import TopicPartition
from tests.simulation.calls import Calls
from tests.simulation.group_classic import ClassicGroup
from tests.simulation.group_consumer import ConsumerGroup

BEAT_S = 1.5
_AGAIN_S = 0.3
Offer = Callable[[str, Collection[TopicPartition], Callable[[], None]], None]
"""What is to be told inside ``poll`` (assign, revoke or lost), of which partitions, and what follows."""


class BackgroundMember(Protocol):
    """The client's side of a group protocol."""

    name: str
    generation: int
    owned: set[TopicPartition]

    def start(self) -> None: ...

    def stop(self) -> None: ...


class ClassicMember:
    """Eager gives all up before it joins again; cooperative goes on and gives up what is taken away."""

    def __init__(
        self, name: str, group: ClassicGroup, calls: Calls, offer: Offer, *, cooperative: bool
    ) -> None:
        self._first_name = name
        self._lives = 1
        self.name = ""
        self.generation = -1
        self.owned: set[TopicPartition] = set()
        self._group = group
        self._calls = calls
        self._offer = offer
        self._cooperative = cooperative
        self._attempt = 0
        self._is_joining = False
        self._is_told = False
        """Whether a rebalance waits for the application."""
        self._stopped = False

    def start(self) -> None:
        self._join()
        self._calls.process.after(BEAT_S, self._beat)

    def stop(self) -> None:
        self._stopped = True

    # --- joining --------------------------------------------------------------------------------

    def _join(self) -> None:
        if self._stopped:
            return
        self._is_joining = True
        self._attempt += 1
        attempt = self._attempt
        name = self.name or f"{self._first_name}.{self._lives}"
        process = self._calls.process

        def joined(generation: int) -> None:
            process.after(self._calls.latency(""), lambda: self._joined(attempt, name, generation))

        def synced(generation: int, share: set[TopicPartition] | None) -> None:
            process.after(self._calls.latency(""), lambda: self._synced(attempt, generation, share))

        owned = set(self.owned)
        is_new = not self.name
        self._calls.in_passing(
            "join",
            lambda: (self._group.join(name, owned, joined, synced, is_new=is_new),),
            partial(self._join_answered, attempt),
        )
        # A request without an answer is made again; while the others are waited for it is a long poll.
        process.after(5.0, lambda: self._join_again(attempt))

    def _join_answered(self, attempt: int, answer: tuple[str | None] | None) -> None:
        if answer is not None and answer[0] is not None and self._is_joining and attempt == self._attempt:
            self._is_joining = False
            self._lose()

    def _join_again(self, attempt: int) -> None:
        if self._is_joining and attempt == self._attempt:
            self._join()

    def _joined(self, attempt: int, name: str, generation: int) -> None:
        if attempt == self._attempt and self._is_joining:
            self.name, self.generation = name, generation

    def _synced(self, attempt: int, generation: int, share: set[TopicPartition] | None) -> None:
        if attempt != self._attempt or generation != self.generation or not self._is_joining:
            return
        if share is None:
            self._join()
            return
        self._is_joining = False
        taken = self.owned - share
        self._is_told = True
        if taken:
            self._tell("revoke", taken, lambda: self._tell("assign", share - self.owned, self._rejoin))
        else:
            self._tell("assign", share - self.owned, lambda: None)

    def _rejoin(self) -> None:
        if self.generation > 0:
            self._join()

    def _tell(self, what: str, places: Collection[TopicPartition], then: Callable[[], None]) -> None:
        self._is_told = True
        life = self._lives

        def told() -> None:
            if what == "assign":
                self.owned |= set(places)
            elif what == "lost":
                self.owned.clear()  # also what came in the same moment
            else:
                self.owned -= set(places)
            if life == self._lives:
                self._is_told = False
                then()

        self._offer(what, sorted(places), told)

    # --- heartbeats -----------------------------------------------------------------------------

    def _beat(self) -> None:
        if self._stopped:
            return
        self._calls.process.after(BEAT_S, self._beat)
        if self.generation > 0 and not self._is_joining:
            name, generation = self.name, self.generation
            self._calls.in_passing(
                "heartbeat", lambda: (self._group.heartbeat(name, generation),), self._beaten(generation)
            )

    def _beaten(self, generation: int) -> Callable[[tuple[str | None] | None], None]:
        def answered(answer: tuple[str | None] | None) -> None:
            if answer is None or answer[0] is None or generation != self.generation or self._is_joining:
                return
            if answer[0] != "REBALANCE_IN_PROGRESS":
                self._lose()
            elif not self._is_told:
                self._rebalance()

        return answered

    def _rebalance(self) -> None:
        if self._cooperative or not self.owned:
            self._join()
        else:
            self._tell("revoke", set(self.owned), self._join)

    def _lose(self) -> None:
        self._lives += 1
        self.name, self.generation = "", -1
        self._tell("lost", set(self.owned), self._join)


class ConsumerMember:
    """KIP-848: one heartbeat at a time says what is held and is told what to hold."""

    def __init__(self, name: str, group: ConsumerGroup, calls: Calls, offer: Offer) -> None:
        self.name = name
        self._first_name = name
        self._lives = 1
        self.generation = -1
        self.owned: set[TopicPartition] = set()
        self._group = group
        self._calls = calls
        self._offer = offer
        self._is_told = False
        self._is_asking = False
        self._stopped = False

    def start(self) -> None:
        self._ask()
        self._calls.process.after(_AGAIN_S, self._beat)

    def stop(self) -> None:
        self._stopped = True

    def _beat(self) -> None:
        if not self._stopped:
            self._calls.process.after(BEAT_S / 2, self._beat)
            self._ask()

    def _ask(self) -> None:
        is_lost = (
            self._is_told and self.generation < 0
        )  # it joins again when the application has been told so
        if self._is_asking or self._stopped or is_lost:
            return
        self._is_asking = True
        name, epoch = self.name, max(self.generation, 0)
        owned = None if self._is_told else set(self.owned)
        self._calls.in_passing(
            "heartbeat", lambda: (self._group.heartbeat(name, epoch, owned),), self._answered
        )

    def _answered(self, answer: tuple[tuple[int, set[TopicPartition]] | None] | None) -> None:
        self._is_asking = False
        if answer is None or self._stopped:
            return
        if answer[0] is None:
            self._lose()
            return
        self.generation, share = answer[0]
        if self._is_told:
            return
        if self.owned - share:
            self._tell("revoke", self.owned - share)
        elif share - self.owned:
            self._tell("assign", share - self.owned)

    def _tell(self, what: str, places: Collection[TopicPartition]) -> None:
        self._is_told = True
        life = self._lives

        def told() -> None:
            if what == "assign":
                self.owned |= set(places)
            elif what == "lost":
                self.owned.clear()  # also what came in the same moment
            else:
                self.owned -= set(places)
            if life == self._lives:
                self._is_told = False
                self._ask()

        self._offer(what, sorted(places), told)

    def _lose(self) -> None:
        self._lives += 1
        self.name, self.generation = f"{self._first_name}.{self._lives}", -1
        self._tell("lost", set(self.owned))
