"""Dead letters: a message that could not be processed, as it came, with the reason beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from llm_service.contract.record import Headers, Record
from llm_service.contract.status import iso, shorten
from llm_service.contract.strict_json import dumps

# The letter must fit where the message did: 500 characters are 2 kB at most, with 5 short headers beside.
MAX_REASON_CHARS = 500
REFERENCE_HEADER = "dlq_value_ref"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why, after how many attempts, where the message lies and when it was given up."""

    code: str
    message: str
    attempts: int
    topic: str
    partition: int
    offset: int
    timestamp: datetime
    """Aware."""


def encode(letter: DeadLetter, key: bytes | None, value: bytes | None, headers: Headers) -> Record:
    """The message for the dead-letter topic: the original byte for byte, the dlq_ headers after its own."""
    return Record(key, value, (*headers, *_reasons(letter)))


def encode_reference(letter: DeadLetter, key: bytes | None, headers: Headers, reference: str) -> Record:
    """The same for a value that is too large: it lies in the object store at ``reference``, ``bucket/key``.

    The value is never null, because on a compacted topic that would delete the letters of the same key.
    """
    pointer = ((REFERENCE_HEADER, reference.encode()),)
    return Record(key, dumps({"value_ref": reference}), (*headers, *_reasons(letter), *pointer))


def _reasons(letter: DeadLetter) -> Headers:
    named = (
        ("dlq_reason", letter.code),
        ("dlq_message", shorten(letter.message, MAX_REASON_CHARS)),
        ("dlq_attempts", str(letter.attempts)),
        ("dlq_topic", letter.topic),
        ("dlq_partition", str(letter.partition)),
        ("dlq_offset", str(letter.offset)),
        ("dlq_timestamp", iso(letter.timestamp)),
    )
    return tuple((name, text.encode("utf-8", "replace")) for name, text in named)
