"""Negative controls: the product broken on purpose, in this process alone. Each must be found within some hundred seeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from llm_service.contract.envelope import Identity
from llm_service.contract.notification import Drop
from llm_service.contract.record import Record
from llm_service.drops.recent import RecentDrops
from llm_service.drops.task import drop_id
from llm_service.kafka.consumer import ConsumerLoop
from llm_service.kafka.exactly_once import ExactlyOnceSettler
from llm_service.kafka.grouping import Waiting
from llm_service.kafka.handing_over import HandingOver
from llm_service.kafka.log_watch import LogWatch
from llm_service.kafka.membership import Membership
from llm_service.kafka.offset_map import Run
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.settling import AtLeastOnceSettler, OutcomeTopics
from llm_service.kafka.settling_loop import SettlingLoop, Told
from llm_service.kafka.suspects import Suspects
from llm_service.kafka.takeover import Takeovers
from llm_service.kafka.tracker import PartitionTracker, Position
from llm_service.kafka.until_due import UntilDue
from llm_service.ledger.fold import Chunk, Fold
from llm_service.tasks.outcome import Decided
from llm_service.tasks.ports import Delivery, Outcome
from llm_service.tasks.recall import Recall
from llm_service.tasks.window import Claimed, DedupWindow, InFlight

Runs = Callable[[PartitionTracker, Collection[int]], tuple[int, list[Run]] | None]


@contextmanager
def highest_instead_of_lowest() -> Iterator[None]:
    """The committed offset is the highest finished one."""
    right: Runs = PartitionTracker._runs

    def wrong(self: PartitionTracker, finished: Collection[int]) -> tuple[int, list[Run]] | None:
        found = right(self, finished)
        if found is None:
            return None
        base = max((run.end for run in found[1]), default=found[0])
        return base, []

    with patch.object(PartitionTracker, "_runs", wrong):
        yield


@contextmanager
def map_that_claims_too_much() -> Iterator[None]:
    """Each run of the map is one offset longer than what is finished."""
    right: Runs = PartitionTracker._runs

    def wrong(self: PartitionTracker, finished: Collection[int]) -> tuple[int, list[Run]] | None:
        found = right(self, finished)
        if found is None or not found[1]:
            return found
        last = found[1][-1]
        return found[0], [*found[1][:-1], Run(last.start, last.end + 1)]

    with patch.object(PartitionTracker, "_runs", wrong):
        yield


@contextmanager
def settled_without_map() -> Iterator[None]:
    """The transaction commits the offset alone."""
    right: Runs = PartitionTracker._runs

    def wrong(self: PartitionTracker, finished: Collection[int]) -> tuple[int, list[Run]] | None:
        found = right(self, finished)
        return None if found is None else (found[0], [])

    with patch.object(PartitionTracker, "_runs", wrong):
        yield


@contextmanager
def published_after_revoke() -> Iterator[None]:
    """Outcomes of partitions that have left are published too; their offsets can't go along."""
    right_positions, right_committed = Membership.positions, SettlingLoop._committed

    def all_of_them(_: SettlingLoop, __: Membership, group: Sequence[Waiting], ___: Told) -> list[Waiting]:
        return list(group)

    def positions(
        self: Membership, finished: Iterable[Delivery], moved: Collection[TopicPartition], owner: str
    ) -> Sequence[Position]:
        return right_positions(self, [one for one in finished if self.tracker(one) is not None], moved, owner)

    def committed(
        self: SettlingLoop,
        membership: Membership,
        group: Sequence[Waiting],
        positions: Sequence[Position],
        told: Told,
    ) -> None:
        ours = [one for one in group if membership.tracker(one.delivery) is not None]
        told.answers += [(one, None) for one in group if one not in ours]
        right_committed(self, membership, ours, positions, told)

    with (
        patch.object(SettlingLoop, "_sorted_out", all_of_them),
        patch.object(SettlingLoop, "_committed", committed),
        patch.object(Membership, "positions", positions),
    ):
        yield


@contextmanager
def unknown_result_settled_again() -> Iterator[None]:
    """After a commit of unknown result nobody asks what was decided."""

    def wrong(self: SettlingLoop, group: list[Any], told: Any) -> bool:
        ours = self._sorted_out(self._membership, group, told)
        self._grouping.put_back(ours)
        self._wake.set()
        return True

    with patch.object(SettlingLoop, "_decide", wrong):
        yield


@contextmanager
def no_dedup() -> Iterator[None]:
    """Every delivery is a task of its own."""

    def wrong(self: DedupWindow, task_id: str, place: Any, digest: str) -> Claimed:
        flight = InFlight(place, digest, asyncio.get_running_loop().create_future())
        self._in_flight[task_id] = flight
        return Claimed(flight)

    def end(self: DedupWindow, task_id: str, _: object) -> None:
        self._in_flight.pop(task_id, None)

    with patch.object(DedupWindow, "admit", wrong), patch.object(DedupWindow, "_end", end):
        yield


@contextmanager
def finished_before_the_acknowledgement() -> Iterator[None]:
    """The offset is handed over to be committed before its event is there."""
    right = AtLeastOnceSettler.settle

    async def wrong(self: AtLeastOnceSettler, delivery: Delivery, outcome: Outcome) -> None:
        self._source().finish(delivery)
        await right(self, delivery, outcome)

    with patch.object(AtLeastOnceSettler, "settle", wrong):
        yield


@contextmanager
def told_before_the_commit() -> Iterator[None]:
    """An outcome counts as settled as soon as it waits for a transaction."""
    right = ExactlyOnceSettler.settle

    async def wrong(self: ExactlyOnceSettler, delivery: Delivery, outcome: Outcome) -> None:
        held = self.loop._membership.tracker(delivery)
        if held is not None:
            held.finish(delivery.offset)
        await right(self, delivery, outcome)

    with patch.object(ExactlyOnceSettler, "settle", wrong):
        yield


@contextmanager
def poison_is_never_counted() -> Iterator[None]:
    """Whoever takes a partition over does not count what may have killed the one before."""
    with patch.object(Suspects, "raised", lambda self, _, __: self):
        yield


@contextmanager
def suspects_in_company() -> Iterator[None]:
    """Suspects run beside all others, whose counts rise with theirs."""
    with patch.object(HandingOver, "_runs_alone", lambda *_: False):
        yield


@contextmanager
def round_without_its_message() -> Iterator[None]:
    """A task that is to go round is settled, and nothing is written to the retry topic."""
    right = OutcomeTopics.addressed

    def wrong(self: OutcomeTopics, outcome: Outcome) -> list[tuple[str, Record]]:
        return [(topic, record) for topic, record in right(self, outcome) if topic != self.retry]

    with patch.object(OutcomeTopics, "addressed", wrong):
        yield


@contextmanager
def back_before_it_is_due() -> Iterator[None]:
    """Messages of the retry topic are taken as they come."""
    with patch.object(UntilDue, "keep", lambda *_: False):
        yield


@contextmanager
def drops_not_remembered() -> Iterator[None]:
    """Each telling of a drop makes a task."""
    with patch.object(RecentDrops, "__contains__", lambda *_: False):
        yield


@contextmanager
def one_task_a_file() -> Iterator[None]:
    """A file that is dropped again is taken for a drop told again."""

    def wrong(drop: Drop, _: str) -> str:
        return drop_id(replace(drop, sequencer="0"), "")

    with patch("llm_service.drops.life.drop_id", wrong), patch("llm_service.drops.task.drop_id", wrong):
        yield


@contextmanager
def own_answer_beside_the_ledgers() -> Iterator[None]:
    """A worker publishes what it has made, whatever row of the run came first."""

    right = Recall.first

    async def wrong(self: Recall, delivery: Delivery, who: Identity, decided: Decided, *rest: Any) -> Decided:
        await right(self, delivery, who, decided, *rest)
        return decided

    async def unasked(*_: object) -> None:
        return None

    with patch.object(Recall, "first", wrong), patch.object(Recall, "ask", unasked):
        yield


@contextmanager
def fold_that_writes_no_rows() -> Iterator[None]:
    """The fold moves its position, and its rows are nowhere."""
    right = Fold._write

    async def wrong(self: Fold, topic: str, chunk: Chunk) -> None:
        await right(self, topic, Chunk((), chunk.reached))

    with patch.object(Fold, "_write", wrong):
        yield


@contextmanager
def where_the_client_begins() -> Iterator[None]:
    """A partition is read from where the client believes that it was committed."""
    right = ConsumerLoop.on_assign

    def wrong(self: ConsumerLoop, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        right(self, partitions)
        return {}

    with (
        patch.object(ConsumerLoop, "on_assign", wrong),
        patch.object(Takeovers, "_placed", lambda _, late: late),
        patch.object(LogWatch, "begins_behind", lambda *_: None),
    ):
        yield


CONTROLS: Mapping[str, tuple[Any, ...]] = {
    "highest instead of lowest offset": (highest_instead_of_lowest, "at_least_once"),
    "highest instead of lowest offset, in a transaction": (highest_instead_of_lowest, "exactly_once"),
    "a map that claims too much": (map_that_claims_too_much, "exactly_once"),
    "settled without its map": (settled_without_map, "exactly_once"),
    "published after revoke": (published_after_revoke, "exactly_once"),
    "a commit of unknown result settled again": (unknown_result_settled_again, "exactly_once"),
    "no dedup": (no_dedup, "exactly_once"),
    "finished before the acknowledgement": (finished_before_the_acknowledgement, "at_least_once"),
    "counted before the commit": (told_before_the_commit, "exactly_once"),
    "poison is never counted": (poison_is_never_counted, "exactly_once", "poison"),
    "suspects run in company": (suspects_in_company, "at_least_once", "poison"),
    "a round without its message": (round_without_its_message, "exactly_once", "rounds"),
    "back before it is due": (back_before_it_is_due, "exactly_once", "rounds"),
    "drops are not remembered": (drops_not_remembered, "exactly_once", "drops"),
    "own answer beside the ledger's": (own_answer_beside_the_ledgers, "at_least_once", "ledger"),
    "a fold that writes no rows": (fold_that_writes_no_rows, "exactly_once", "ledger"),
    "where the client begins": (where_the_client_begins, "exactly_once"),
    "one task a file": (one_task_a_file, "at_least_once", "drops"),
}
"""Each with the delivery mode in which it does harm, and what has to be there."""

Names: Sequence[str] = tuple(CONTROLS)
