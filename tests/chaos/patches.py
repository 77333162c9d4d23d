"""What a worker is broken by, each by its name. Every function changes our classes in this process, for good."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from llm_service.kafka.commits import Held
from llm_service.kafka.exactly_once import TransactionalCommits
from llm_service.kafka.grouping import Waiting
from llm_service.kafka.membership import Membership
from llm_service.kafka.offset_map import Run
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.settling import AtLeastOnceSettler
from llm_service.kafka.settling_loop import SettlingLoop, Told
from llm_service.kafka.tracker import PartitionTracker, Position
from llm_service.kafka.transaction import Outgoing, Undecided
from llm_service.kafka.transactional_producer import TransactionalProducer
from llm_service.tasks.window import Admission, Claimed, DedupWindow, Finished, InFlight, OnRetry

# So long a plain commit lags behind its transaction: as an interval of commits does.
_LATER_S = 0.5
_EVERY = 10


def commit_before_work() -> None:
    """An offset is finished as soon as it is read."""

    def take(self: PartitionTracker, offset: int) -> bool:
        self.skip(offset)
        return True

    PartitionTracker.take = take  # type: ignore[method-assign]


def highest_offset() -> None:
    """The highest finished offset is committed, not the lowest unfinished one."""
    true_runs = PartitionTracker._runs

    def runs(self: PartitionTracker, finished: Collection[int]) -> tuple[int, list[Run]] | None:
        found = true_runs(self, finished)
        above = [self.highest_finished + 1, *(offset + 1 for offset in finished)]
        return None if found is None else (max(found[0], *above), [])

    PartitionTracker._runs = runs  # type: ignore[method-assign]


def map_claims_too_much() -> None:
    """The map says of all that was taken above the lowest unfinished one that it is finished."""
    true_runs = PartitionTracker._runs

    def runs(self: PartitionTracker, finished: Collection[int]) -> tuple[int, list[Run]] | None:
        found, end = true_runs(self, finished), self._next
        if found is None or end is None or end <= found[0] + 1:
            return found
        base, true = found
        return base, [Run(base + 1, end), *(run for run in true if run.start >= end)]

    PartitionTracker._runs = runs  # type: ignore[method-assign]


def no_dedup() -> None:
    """Every message is a new task."""

    def admit(
        self: DedupWindow, task_id: str, place: tuple[str, int, int], digest: str, rounds: int = 0
    ) -> Admission:
        import asyncio

        del self, task_id, rounds
        return Claimed(InFlight(place, digest, asyncio.get_running_loop().create_future()))

    def finish(self: DedupWindow, task_id: str, finished: Finished) -> None:
        del self, task_id, finished

    def release(self: DedupWindow, task_id: str) -> None:
        del self, task_id

    def park(self: DedupWindow, task_id: str, waiting: OnRetry) -> None:
        del self, task_id, waiting

    DedupWindow.admit = admit  # type: ignore[method-assign]
    DedupWindow.finish = finish  # type: ignore[method-assign]
    DedupWindow.release = release  # type: ignore[method-assign]
    DedupWindow.park = park  # type: ignore[method-assign]


def offset_outside() -> None:
    """The transaction holds the events alone; the consumer commits the offsets some time after."""
    later: deque[tuple[float, list[Position]]] = deque()
    run, step = TransactionalProducer.run, TransactionalCommits.step

    def run_without(
        self: TransactionalProducer,
        messages: Sequence[Outgoing],
        positions: Sequence[Position],
        metadata: bytes,
    ) -> None:
        if messages:
            run(self, messages, [], metadata)
        later.append((time.monotonic() + _LATER_S, list(positions)))

    def step_with(self: TransactionalCommits, held: Held) -> None:
        step(self, held)
        while later and later[0][0] <= time.monotonic():
            member: Any = self._member
            member.commit_async(later.popleft()[1])

    TransactionalProducer.run = run_without  # type: ignore[method-assign]
    TransactionalCommits.step = step_with  # type: ignore[method-assign]


def plain_commit_beside() -> None:
    """The consumer commits on an interval what it knew of, while transactions over the same offsets come to their end."""
    later: deque[tuple[float, list[Position]]] = deque()
    step = TransactionalCommits.step

    def step_with(self: TransactionalCommits, held: Held) -> None:
        step(self, held)
        owner = self._loop._policy.owner
        known = [tracker.position_with((), owner) for tracker in held.values()]
        later.append((time.monotonic() + _LATER_S, [position for position in known if position is not None]))
        while later and later[0][0] <= time.monotonic():
            member: Any = self._member
            member.commit_async(later.popleft()[1])

    TransactionalCommits.step = step_with  # type: ignore[method-assign]


def lost_replies() -> None:
    """Every tenth commit is done and reported as unknown. No harm in itself."""
    run, count = TransactionalProducer.run, itertools.count(1)

    def run_and_lose(
        self: TransactionalProducer,
        messages: Sequence[Outgoing],
        positions: Sequence[Position],
        metadata: bytes,
    ) -> None:
        run(self, messages, positions, metadata)
        if messages and next(count) % _EVERY == 0:
            raise Undecided("the reply to the commit was lost")

    # Each loss costs a rebuild of the producer, and many of them look like two processes of one id.
    SettlingLoop._count_rebuild = lambda self, now: None  # type: ignore[method-assign]
    TransactionalProducer.run = run_and_lose  # type: ignore[method-assign]


def settle_unknown_again() -> None:
    """What a commit of unknown result held is settled again without asking what was decided."""

    def decide(self: SettlingLoop, group: Sequence[Waiting], told: Told) -> bool:
        self._grouping.put_back(self._sorted_out(self._membership, group, told))
        self._wake.set()
        return True

    SettlingLoop._decide = decide  # type: ignore[method-assign]


def publish_after_revoke() -> None:
    """Work goes on when its partition has left, and what comes of it is published by the plain producer."""
    from confluent_kafka import Producer

    from llm_service.kafka.source import KafkaSource

    sorted_out, plain = SettlingLoop._sorted_out, deque[Producer]()

    def sort_and_publish(
        self: SettlingLoop, membership: Membership, group: Sequence[Waiting], told: Told
    ) -> list[Waiting]:
        # Behind the port that bounds its calls.
        port: Any = self._port
        port = port._side.port
        if not plain:
            unwanted = {"transactional.id", "transaction.timeout.ms", "topic.metadata.propagation.max.ms"}
            plain.append(
                Producer({key: value for key, value in port._producer_config.items() if key not in unwanted})
            )
        gone = [waiting for waiting in group if membership.tracker(waiting.delivery) is None]
        for waiting in gone:
            for outgoing in waiting.messages:
                record = outgoing.record
                plain[0].produce(outgoing.topic, record.value, record.key, headers=list(record.headers))
            plain[0].flush(2)
        return sorted_out(self, membership, group, told)

    def revoke(self: KafkaSource, epochs: dict[TopicPartition, int], timeout: float) -> None:
        del self, epochs, timeout

    AtLeastOnceSettler._require_live = lambda self, delivery: None  # type: ignore[method-assign]
    SettlingLoop._sorted_out = sort_and_publish  # type: ignore[method-assign]
    KafkaSource.revoke = revoke  # type: ignore[method-assign]


def _change_events(change: Callable[[Outgoing], list[Outgoing]]) -> None:
    """Every tenth successful event goes out as ``change`` makes it; its offset is committed as if nothing were."""
    run, count = TransactionalProducer.run, itertools.count(1)

    def run_changed(
        self: TransactionalProducer,
        messages: Sequence[Outgoing],
        positions: Sequence[Position],
        metadata: bytes,
    ) -> None:
        changed: list[Outgoing] = []
        for message in messages:
            is_success = dict(message.record.headers).get("status") == b"3"
            changed += change(message) if is_success and next(count) % _EVERY == 0 else [message]
        run(self, changed, positions, metadata)

    TransactionalProducer.run = run_changed  # type: ignore[method-assign]


def event_dropped() -> None:
    """Committed and never sent."""
    _change_events(lambda _: [])


def event_doubled() -> None:
    """Sent twice in one transaction."""
    _change_events(lambda message: [message, message])


def event_altered() -> None:
    """Other bytes than those that its id names."""

    def altered(message: Outgoing) -> list[Outgoing]:
        # Still the same JSON, so that nothing but the bytes tells.
        return [replace(message, record=replace(message.record, value=(message.record.value or b"") + b" "))]

    _change_events(altered)


def leaked_secret() -> None:
    """The provider's key in the log."""
    sys.stderr.write(f"connecting with {os.environ['GIGACHAT_ACCESS_TOKEN']}\n")


PATCHES: Mapping[str, Callable[[], None]] = MappingProxyType(
    {
        "commit-before-work": commit_before_work,
        "highest-offset": highest_offset,
        "no-dedup": no_dedup,
        "offset-outside": offset_outside,
        "plain-commit-beside": plain_commit_beside,
        "lost-replies": lost_replies,
        "settle-unknown-again": settle_unknown_again,
        "publish-after-revoke": publish_after_revoke,
        "map-claims-too-much": map_claims_too_much,
        "event-dropped": event_dropped,
        "event-doubled": event_doubled,
        "event-altered": event_altered,
        "leaked-secret": leaked_secret,
    }
)
