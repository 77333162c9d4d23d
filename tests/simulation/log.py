"""Topics: partitions with records, control markers and gaps, read up to the last stable offset."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

from llm_service.contract.record import Headers, Record

Producer = tuple[str, int]
"""A transactional id and its epoch."""


@dataclass(slots=True)
class Entry:
    """One offset that is there; ``writer`` where a transaction wrote it, ``is_aborted`` once it is decided so."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    at: float
    writer: Producer | None = None
    is_marker: bool = False
    is_aborted: bool = False


class PartitionLog:
    """One partition. Offsets only grow; a marker or a compacted record is an offset that never comes."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.end = 0
        self.closed_until = 0.0
        """Its leader moves: until then nothing is read or written."""
        self._open: dict[Producer, int] = {}
        """Where the open transactions over it began."""
        self.watchers: list[Callable[[], None]] = []

    def append(self, record: Record, now: float, writer: Producer | None = None) -> Entry:
        entry = Entry(self.end, record.key, record.value, record.headers, now, writer)
        self.entries.append(entry)
        self.end += 1
        if writer is not None:
            self._open.setdefault(writer, entry.offset)
        else:
            self.tell()
        return entry

    def skip(self, count: int) -> None:
        """Offsets that compaction has removed."""
        self.end += count

    def decide(self, writer: Producer, *, commit: bool, now: float) -> None:
        """Write the marker of a transaction."""
        begun = self._open.pop(writer, None)
        if begun is None:
            return
        if not commit:
            for entry in self.entries[self._index(begun) :]:
                entry.is_aborted = entry.is_aborted or entry.writer == writer
        self.entries.append(Entry(self.end, None, None, (), now, writer, is_marker=True))
        self.end += 1
        self.tell()

    @property
    def stable(self) -> int:
        """The last stable offset: what is below is decided."""
        return min(self._open.values(), default=self.end)

    def next_visible(self, position: int) -> Entry | None:
        """The first record from ``position`` on that a read_committed reader is given."""
        stable = self.stable
        for index in range(self._index(position), len(self.entries)):
            entry = self.entries[index]
            if entry.offset >= stable:
                return None
            if not entry.is_marker and not entry.is_aborted:
                return entry
        return None

    def visible(self) -> list[Entry]:
        """What a read_committed reader has seen in the end."""
        stable = self.stable
        return [e for e in self.entries if not e.is_marker and not e.is_aborted and e.offset < stable]

    def _index(self, offset: int) -> int:
        return bisect_left(self.entries, offset, key=lambda entry: entry.offset)

    def tell(self) -> None:
        """There may be something to read."""
        for watcher in self.watchers:
            watcher()


class Topic:
    """Partitions by number; a key always goes to the same one."""

    def __init__(self, name: str, partitions: int, largest: int = 1_000_000) -> None:
        self.name = name
        self.partitions = [PartitionLog() for _ in range(partitions)]
        self.largest = largest
        self.denied_until = 0.0
        """Until then nobody may write."""

    def partition_of(self, key: bytes | None) -> int:
        return crc32(key or b"") % len(self.partitions)
