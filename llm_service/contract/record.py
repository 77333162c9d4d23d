"""A message to be produced, before it is known to Kafka: key, value and headers in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """Bytes for one topic; which topic is decided where it is settled."""

    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def size(self) -> int:
        """Bytes as the broker counts them, within the overhead that ``RECORD_OVERHEAD`` bounds."""
        return (
            RECORD_OVERHEAD
            + len(self.key or b"")
            + len(self.value or b"")
            + sum(len(name.encode()) + len(value or b"") + 10 for name, value in self.headers)
        )


# A record batch of one: 61 bytes of batch header, at most 5 varints of 5 bytes and one of 10 for the record;
# rounded up.
RECORD_OVERHEAD = 100
