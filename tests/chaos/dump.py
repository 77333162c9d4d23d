"""The topics and tables as they lie when the run is over, read by clients that know nothing of ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from tests.chaos.recording import Lying, write_lines

# A transaction that a dead process left open hides what follows until the broker ends it.
_LIMIT_S = 60.0

# After a run, on a machine whose cores are wanted by others too.
_CONNECT_S = 60.0


def topic(bootstrap: str, name: str, partitions: int, path: Path) -> None:
    """All records, each with whether it counts. Raises TimeoutError where a transaction stays open."""
    counting = {(found.partition(), found.offset()) for found in _read(bootstrap, name, partitions, True)}
    lying = (
        _lying(found, (found.partition(), found.offset()) in counting)
        for found in _read(bootstrap, name, partitions, False)
    )
    write_lines(path, (record.plain() for record in lying))


async def tables(dsn: str, path: Path) -> None:
    """Every table of the public schema, row by row."""
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_S)
    try:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found: dict[str, list[dict[str, Any]]] = {}
        for name in sorted(row["tablename"] for row in names):
            found[name] = [dict(row) for row in await connection.fetch(f'SELECT * FROM "{name}"')]
    finally:
        await connection.close(timeout=10)
    write_lines(path, [found])


def _read(bootstrap: str, name: str, partitions: int, committed: bool) -> Iterator[Message]:
    isolation = "read_committed" if committed else "read_uncommitted"
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "chaos-reader",
            "isolation.level": isolation,
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 8_000_000,
            "log_level": 0,
        }
    )
    try:
        places = [TopicPartition(name, number, OFFSET_BEGINNING) for number in range(partitions)]
        ends = {place.partition: consumer.get_watermark_offsets(place, 10.0)[1] for place in places}
        consumer.assign(places)
        until = time.monotonic() + _LIMIT_S
        while ends:
            if time.monotonic() > until:
                raise TimeoutError(
                    f"{name} could not be read to its end as {isolation}: {ends} is not reached"
                )
            for message in consumer.consume(1000, 0.2):
                error = message.error()
                if error is None:
                    until = time.monotonic() + _LIMIT_S
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    number, at = message.partition(), message.offset()
                    if number is not None and at is not None and at >= ends.get(number, at + 1):
                        del ends[number]
    finally:
        consumer.close()


def headers_of(message: Message) -> Iterator[tuple[str, bytes]]:
    """A header without a value has an empty one."""
    pairs: Any = message.headers() or ()
    for name, value in pairs:
        yield name, value or b""


def _lying(message: Message, committed: bool) -> Lying:
    _, stamp = message.timestamp()
    key: Any = message.key()
    value: Any = message.value()
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return Lying(
        partition=partition,
        offset=offset,
        at=stamp / 1000,
        key=key,
        value=value or b"",
        headers=tuple(headers_of(message)),
        committed=committed,
    )
