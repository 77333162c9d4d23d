"""The durable boundaries of a worker, and the points before and after each at which one can be made to die.

A boundary is a call of a library that changes, or asks for, what outlives the process. What it is called with tells which
boundary it is: a commit with a dead letter in it is another one than a commit of offsets alone.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer

from llm_service.kafka.offset_map import read

EXACTLY_ONCE = "exactly_once"
AT_LEAST_ONCE = "at_least_once"
BOTH_MODES = (EXACTLY_ONCE, AT_LEAST_ONCE)
BOTH_SIDES = ("before", "after")


@dataclass(frozen=True, slots=True)
class Boundary:
    """One boundary and what a worker has to be given to come to it."""

    name: str
    needs: str = "text"
    """What is sent. ``start``: it comes there by starting; ``open transaction``: by starting where another has left one."""
    modes: Sequence[str] = BOTH_MODES
    sides: Sequence[str] = BOTH_SIDES


_ONE = (EXACTLY_ONCE,)
_LEAST = (AT_LEAST_ONCE,)

BOUNDARIES = (
    Boundary("producer.opened", "start", _ONE),
    Boundary("offsets.asked", "start"),
    Boundary("takeover.committed", "start"),
    Boundary("predecessor.ended", "open transaction", _ONE),
    # Nothing is different before a message is read.
    Boundary("message.read", sides=("after",)),
    Boundary("suspects.committed", "many"),
    Boundary("processing.published"),
    Boundary("file.fetched", "file"),
    Boundary("provider.asked"),
    Boundary("result.stored", "large answer"),
    Boundary("letter.stored", "large and failing"),
    Boundary("transaction.begun", modes=_ONE),
    Boundary("transaction.aborted", "refused answer", _ONE),
    Boundary("terminal.produced", modes=_ONE),
    Boundary("letter.produced", "failing", _ONE),
    Boundary("retry.produced", "failing once", _ONE),
    Boundary("task.produced", "drop", _ONE),
    Boundary("offsets.sent", modes=_ONE),
    Boundary("terminal.committed", modes=_ONE),
    Boundary("letter.committed", "failing", _ONE),
    Boundary("retry.committed", "failing once", _ONE),
    Boundary("task.committed", "drop", _ONE),
    Boundary("terminal.published", modes=_LEAST),
    Boundary("letter.published", "failing", _LEAST),
    Boundary("retry.published", "failing once", _LEAST),
    Boundary("task.published", "drop", _LEAST),
    Boundary("outcomes.committed", modes=_LEAST),
    Boundary("ledger.written"),
    Boundary("ledger.replaced", "refused answer", _LEAST),
    Boundary("leaving.committed", "stop"),
)


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """A side of a boundary."""

    boundary: Boundary
    side: str

    @property
    def name(self) -> str:
        return f"{self.boundary.name}:{self.side}"


def points_of(mode: str) -> list[CrashPoint]:
    """All of a delivery mode."""
    of_mode = [boundary for boundary in BOUNDARIES if mode in boundary.modes]
    return [CrashPoint(boundary, side) for boundary in of_mode for side in boundary.sides]


@dataclass(frozen=True, slots=True)
class Fuse:
    """Ends this process when it passes its point, once the folder holds a file ``armed``."""

    point: str
    folder: Path

    def passed(self, names: Iterable[str], side: str) -> None:
        if any(f"{name}:{side}" == self.point for name in names) and (self.folder / "armed").exists():
            (self.folder / "died").write_text(self.point)
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def around(self, *names: str) -> Iterator[None]:
        """The call that is the boundary; no ``after`` where it fails."""
        self.passed(names, "before")
        yield
        self.passed(names, "after")


# --- Kafka ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kinds:
    """What a message is, by its topic."""

    status: str
    by_topic: Mapping[str, str]

    @staticmethod
    def of(environment: Mapping[str, str]) -> Kinds:
        by_topic = {
            environment["KAFKA_DLQ_TOPIC"]: "letter",
            environment["KAFKA_RETRY_TOPIC"]: "retry",
            environment["KAFKA_TASKS_TOPIC"]: "task",
        }
        return Kinds(environment["KAFKA_STATUS_TOPIC"], by_topic)

    def kind(self, topic: str, headers: Iterable[tuple[str, bytes]]) -> str:
        if topic == self.status:
            return "terminal" if dict(headers).get("status") in {b"3", b"4"} else "processing"
        return self.by_topic[topic]


class Progress:
    """What the offsets that are committed next are about."""

    def __init__(self) -> None:
        self._has_taken_over = False
        self.outcomes: set[str] = set()
        """Kinds of what was published since the last commit."""

    def names(self, offsets: Sequence[Any], kinds: Iterable[str]) -> list[str]:
        """Of a commit of these offsets, beside messages of these kinds."""
        if found := [f"{kind}.committed" for kind in kinds]:
            return found
        if any(read(each.metadata, each.offset).work.clean for each in offsets):
            return ["leaving.committed"]
        if not self._has_taken_over:
            self._has_taken_over = True
            return ["takeover.committed"]
        return ["suspects.committed"]


def mined_producer(fuse: Fuse, kinds: Kinds, progress: Progress) -> type[Producer]:
    """A producer that passes the fuse at each of its boundaries."""

    class Mined(Producer):
        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__(config)
            self._is_transactional = "transactional.id" in config
            self._kinds: set[str] = set()
            self._offsets: Sequence[Any] = ()

        def init_transactions(self, *args: Any) -> None:
            with fuse.around("producer.opened"):
                super().init_transactions(*args)

        def begin_transaction(self) -> None:
            self._kinds, self._offsets = set(), ()
            with fuse.around("transaction.begun"):
                super().begin_transaction()

        def abort_transaction(self, *args: Any) -> None:
            with fuse.around("transaction.aborted"):
                super().abort_transaction(*args)

        def send_offsets_to_transaction(self, offsets: Any, *args: Any) -> None:
            self._offsets = offsets
            with fuse.around("offsets.sent"):
                super().send_offsets_to_transaction(offsets, *args)

        def commit_transaction(self, *args: Any) -> None:
            names = progress.names(self._offsets, self._kinds) if self._kinds or self._offsets else []
            with fuse.around(*names):
                super().commit_transaction(*args)

        def produce(self, *args: Any, **more: Any) -> None:
            kind, on_delivery = kinds.kind(args[0], more["headers"]), more["on_delivery"]
            if self._is_transactional:
                with fuse.around(f"{kind}.produced"):
                    super().produce(*args, **more)
                    self._kinds.add(kind)
                    if fuse.point == f"{kind}.produced:after":
                        self.flush(2.0)  # it lies on the broker, and nobody has decided about it
                return

            def on_report(error: Any, message: Any) -> None:
                if error is None:
                    # Here the broker has said that it is there, and we do not know it yet.
                    fuse.passed([f"{kind}.published"], "after")
                    progress.outcomes |= {kind} - {"processing"}
                on_delivery(error, message)

            fuse.passed([f"{kind}.published"], "before")
            super().produce(*args, **{**more, "on_delivery": on_report})

    return Mined


def _mined_successor(fuse: Fuse) -> type[Producer]:
    """A producer by which the transaction of one that died is ended."""

    class Mined(Producer):
        def init_transactions(self, *args: Any) -> None:
            with fuse.around("predecessor.ended"):
                super().init_transactions(*args)

    return Mined


def mined_consumer(fuse: Fuse, progress: Progress) -> type[Consumer]:
    """A consumer that does the same."""

    class Mined(Consumer):
        def __init__(self, config: dict[str, Any]) -> None:
            on_commit = config["on_commit"]
            self._asked: deque[list[str]] = deque()

            def on_answer(error: Any, partitions: Any) -> None:
                names = self._asked.popleft() if self._asked else []
                if error is None:
                    fuse.passed(names, "after")
                on_commit(error, partitions)

            super().__init__({**config, "on_commit": on_answer})

        def poll(self, *args: Any) -> Any:
            message = super().poll(*args)
            if message is not None and message.error() is None:
                fuse.passed(["message.read"], "after")
            return message

        def committed(self, *args: Any, **more: Any) -> Any:
            with fuse.around("offsets.asked"):
                return super().committed(*args, **more)

        def commit(self, *args: Any, **more: Any) -> Any:
            outcomes, progress.outcomes = progress.outcomes, set()
            is_awaited = not more["asynchronous"]
            names = progress.names(more["offsets"], ["outcomes"] if outcomes and not is_awaited else ())
            if is_awaited:
                with fuse.around(*names):
                    return super().commit(*args, **more)
            fuse.passed(names, "before")
            self._asked.append(names)
            return super().commit(*args, **more)

    return Mined


# --- what else outlives the process --------------------------------------------------------------


def mine(fuse: Fuse, environment: Mapping[str, str]) -> None:
    """Put the points into the product's modules, in this process, for good."""
    from llm_service.kafka import confluent, dead_member, publisher, transactional_producer

    progress = Progress()
    producer = mined_producer(fuse, Kinds.of(environment), progress)
    for module in (publisher, transactional_producer):
        module.Producer = producer  # type: ignore[attr-defined]
    dead_member.Producer = _mined_successor(fuse)  # type: ignore[attr-defined]
    confluent.Consumer = mined_consumer(fuse, progress)  # type: ignore[attr-defined]
    _mine_store(fuse)
    _mine_provider(fuse)
    _mine_ledger(fuse)
    _without_converters()


def _mine_store(fuse: Fuse) -> None:
    from llm_service.files.minio_store import MinioStore
    from llm_service.files.results import RESULTS

    put, opened = MinioStore.put, MinioStore.open

    def put_with(self: MinioStore, bucket: str, key: str, value: bytes, content_type: str) -> None:
        with fuse.around("result.stored" if key.startswith(RESULTS) else "letter.stored"):
            put(self, bucket, key, value, content_type)

    @contextmanager
    def open_with(self: MinioStore, info: Any) -> Iterator[Iterator[bytes]]:
        with fuse.around("file.fetched"), opened(self, info) as chunks:
            yield chunks

    MinioStore.put = put_with  # type: ignore[method-assign]
    MinioStore.open = open_with  # type: ignore[method-assign]


def _mine_provider(fuse: Fuse) -> None:
    from llm_service.providers.guard import Guard

    answered = Guard._answer

    async def answer(self: Guard, request: Any) -> Any:
        with fuse.around("provider.asked"):
            return await answered(self, request)

    Guard._answer = answer  # type: ignore[method-assign]


def _mine_ledger(fuse: Fuse) -> None:
    from llm_service.ledger import outcome_table

    insert: Callable[..., Any] = outcome_table.insert
    replace: Callable[..., Any] = outcome_table.replace

    async def insert_with(connection: Any, entries: Any) -> Any:
        with fuse.around("ledger.written"):
            return await insert(connection, entries)

    async def replace_with(connection: Any, entry: Any, refused: Any) -> None:
        with fuse.around("ledger.replaced"):
            await replace(connection, entry, refused)

    outcome_table.insert = insert_with
    outcome_table.replace = replace_with


def _without_converters() -> None:
    """No child waits for documents that nobody sends; one that is needed is started then."""
    from llm_service.files.conversion.converter import Converter

    async def start(self: Converter) -> None:
        del self

    Converter.start = start  # type: ignore[method-assign]
